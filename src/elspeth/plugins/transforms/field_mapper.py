"""``field_mapper``: rename, select, drop and compute fields."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import Field, model_validator

from elspeth.contracts.plugins import PluginContext, Row
from elspeth.contracts.results import TransformResult
from elspeth.contracts.schema import FieldSpec, PluginSchema, SchemaMode
from elspeth.core.config.models_base import broken_rule
from elspeth.core.expressions import EVALUATION_ERRORS
from elspeth.plugins.transforms.base import BaseTransform, TransformOptions
from elspeth.plugins.transforms.formulas import ExpressionText, Formula, targets
from elspeth.plugins.transforms.reasons import missing_field
from elspeth.plugins.transforms.schema_changes import with_fields

_Plan = Callable[[Row], TransformResult]
_MOST_PLANS = 64
_MOST_FIELDS = 256


class FieldMapperOptions(TransformOptions):
    """Options of ``field_mapper``."""

    mapping: dict[str, str] = Field(
        default_factory=dict, description="Old field name → new field name; a renamed field keeps its place."
    )
    select_only: bool = Field(
        default=False, description="Keep only the fields of `mapping` (and `computed`), in that order."
    )
    computed: dict[str, ExpressionText] = Field(
        default_factory=dict,
        description="Field name → expression over the incoming row (old names); set after the renames.",
    )
    drop: list[str] = Field(default_factory=list, description="Fields to leave out.")
    strict: bool = Field(
        default=True, description="A row that lacks a mapped field is an error; `false`: it goes on."
    )

    @model_validator(mode="after")
    def _names_must_be_clear(self) -> "FieldMapperOptions":
        olds: dict[str, str] = {}
        for old, new in self.mapping.items():
            if new in olds:
                raise broken_rule(
                    f"the fields '{olds[new]}' and '{old}' would both be called '{new}'",
                    fix="give each a name of its own",
                    at=("mapping", old),
                )
            olds[new] = old
        for name in self.computed:
            if name in olds:
                raise broken_rule(
                    f"field '{name}' is both computed and the new name of '{olds[name]}'",
                    fix="give one of them another name",
                    at=("computed", name),
                )
        for place, name in enumerate(self.drop):
            if name in self.mapping:
                raise broken_rule(
                    f"field '{name}' is both in mapping and in drop",
                    fix="take it out of one of them",
                    at=("drop", place),
                )
        return self


class FieldMapper(BaseTransform):
    """Rename, select, drop and compute fields.

    A new name that another field of the row already has is an error of that row: nothing is
    overwritten in silence.
    """

    name: ClassVar[str] = "field_mapper"
    needs_values: ClassVar[bool] = False
    options_model = FieldMapperOptions
    options: FieldMapperOptions

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self._drop = frozenset(self.options.drop)
        self._formulas = tuple(Formula(*item) for item in self.options.computed.items())
        self._plans: dict[tuple[str, ...], _Plan] = {}
        self.require(name for formula in self._formulas for name in formula.expression.required_fields)
        if self.options.strict:
            self.require(self.options.mapping)

    def process(self, row: Row, ctx: PluginContext) -> TransformResult:
        """A new row; an error where a mapped field is missing or a new name is taken."""
        shape = tuple(row)
        plan = self._plans.get(shape)
        if plan is None:
            plan = self._plan(shape)
        return plan(row) if not self._formulas else self._compute(plan(row), row)

    def _compute(self, mapped: TransformResult, row: Row) -> TransformResult:
        """Add the computed fields to the row that the plan has just made."""
        if mapped.row is not None:
            for formula in self._formulas:
                try:
                    mapped.row[formula.target] = formula.fn(row)
                except EVALUATION_ERRORS as error:
                    return TransformResult.error(formula.failure(error, row))
        return mapped

    def output_schema(self, incoming: PluginSchema) -> PluginSchema:
        """The promises under their new names; with ``select_only`` nothing else."""
        declared = {spec.name: spec for spec in incoming.fields}
        sure = incoming.promises.union(self.options.mapping if self.options.strict else ())
        if self.options.select_only:
            declared = {
                old: declared.get(old, FieldSpec(old, required=False)) for old in self.options.mapping
            }
        mapped = PluginSchema(
            mode=SchemaMode.FIXED if self.options.select_only else incoming.mode,
            fields=tuple(replace(declared[old], name=new) for old, new in self._renames(tuple(declared))),
            guaranteed=frozenset(new for _, new in self._renames(tuple(sure))),
        )
        return with_fields(mapped, targets(self._formulas))

    def _renames(self, shape: tuple[str, ...]) -> list[tuple[str, str]]:
        """(old, new) for every field that a row of this shape keeps, in order."""
        mapping = self.options.mapping
        if self.options.select_only:
            present = frozenset(shape)
            return [(old, new) for old, new in mapping.items() if old in present]
        return [(old, mapping.get(old, old)) for old in shape if old not in self._drop]

    def _plan(self, shape: tuple[str, ...]) -> _Plan:
        """What to do with rows that have exactly these fields: rows of one shape are treated alike."""
        plan = self._refusal(shape) or _builder(self._renames(shape))
        if len(self._plans) < _MOST_PLANS:
            self._plans[shape] = plan
        return plan

    def _refusal(self, shape: tuple[str, ...]) -> _Plan | None:
        if self.options.strict:
            for old in self.options.mapping:
                if old not in shape:
                    return lambda row: TransformResult.error(missing_field(old, row))
        seen: dict[str, str] = {}
        for old, new in self._renames(shape):
            if new in seen:
                taken, other = (old, seen[new]) if old != new else (seen[new], old)
                reason = {
                    "error": f"field '{taken}' cannot be renamed to '{new}': "
                    f"the row already has a field of that name (from '{other}')",
                    "kind": "name_taken",
                    "field": taken,
                }
                return lambda row: TransformResult.error(reason)
            seen[new] = old
        return None


def _builder(renames: list[tuple[str, str]]) -> _Plan:
    """A function that makes the new row.

    A dict display that is compiled for the shape takes half the time of a loop. Field names go in
    as literals made by repr(), so that no name can become code.
    """
    if len(renames) > _MOST_FIELDS:
        return lambda row: TransformResult.success({new: row[old] for old, new in renames})
    items = ", ".join(f"{new!r}: row[{old!r}]" for old, new in renames)
    plan: _Plan = eval(f"lambda row: success({{{items}}})", {"success": TransformResult.success})
    return plan
