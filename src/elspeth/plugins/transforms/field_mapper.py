"""``field_mapper``: rename, select, drop and compute fields."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from elspeth.contracts.plugins import PluginContext, Row
from elspeth.contracts.results import TransformResult
from elspeth.contracts.schema import PluginSchema, SchemaMode
from elspeth.plugins.transforms.base import BaseTransform, TransformOptions
from elspeth.plugins.transforms.reasons import missing_field

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
    drop: list[str] = Field(default_factory=list, description="Fields to leave out.")
    strict: bool = Field(
        default=True, description="A row that lacks a mapped field is an error; `false`: it goes on."
    )

    @model_validator(mode="after")
    def _names_must_be_clear(self) -> "FieldMapperOptions":
        olds: dict[str, str] = {}
        for old, new in self.mapping.items():
            if new in olds:
                raise PydanticCustomError(
                    "mapping_collision",
                    "the fields '{first}' and '{second}' would both be called '{new}'",
                    {"first": olds[new], "second": old, "new": new},
                )
            olds[new] = old
        for name in self.drop:
            if name in self.mapping:
                raise PydanticCustomError(
                    "mapped_and_dropped", "field '{name}' is both in mapping and in drop", {"name": name}
                )
        return self


class FieldMapper(BaseTransform):
    """Rename, select, drop and compute fields.

    A new name that another field of the row already has is an error of that row: nothing is
    overwritten in silence.
    """

    name: ClassVar[str] = "field_mapper"
    options_model = FieldMapperOptions
    options: FieldMapperOptions

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self._drop = frozenset(self.options.drop)
        self._plans: dict[tuple[str, ...], _Plan] = {}
        if self.options.strict:
            self.input_schema = PluginSchema.demanding(self.options.mapping)

    def process(self, row: Row, ctx: PluginContext) -> TransformResult:
        """A new row; an error where a mapped field is missing or a new name is taken."""
        shape = tuple(row)
        plan = self._plans.get(shape)
        if plan is None:
            plan = self._plan(shape)
        return plan(row)

    def output_schema(self, incoming: PluginSchema) -> PluginSchema:
        """The promises under their new names."""
        sure = self._renames(tuple(incoming.promises))
        declared = {spec.name: spec for spec in incoming.fields}
        kept = self._renames(tuple(declared))
        return replace(
            incoming,
            mode=SchemaMode.FLEXIBLE if incoming.mode is SchemaMode.FIXED else incoming.mode,
            fields=tuple(replace(declared[old], name=new) for old, new in kept),
            guaranteed=frozenset(new for _, new in sure),
            required=frozenset(),
        )

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
