"""``type_coerce``: convert fields to other types, exactly or not at all."""

from collections.abc import Callable
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field

from elspeth.contracts.plugins import PluginContext, Row
from elspeth.contracts.results import TransformResult
from elspeth.contracts.schema import FieldSpec, FieldType, PluginSchema
from elspeth.core.config.models_base import broken_rule
from elspeth.plugins.schemas import parse_field
from elspeth.plugins.schemas.convert import VALUES
from elspeth.plugins.transforms.base import BaseTransform, Options, TransformOptions
from elspeth.plugins.transforms.reasons import missing_field
from elspeth.plugins.transforms.schema_changes import with_fields


def _checked_type(text: str, at: tuple[str, ...] = ()) -> str:
    if _spec("x", text, at).type is FieldType.ANY:
        raise broken_rule("nothing can be converted to 'any'", fix="leave the field out", at=at)
    return text


def _spec(field: str, to: str, at: tuple[str, ...] = ()) -> FieldSpec:
    # Not parse_field of the pair: a field's name may hold a colon.
    try:
        spec = parse_field(f"x: {to}")
    except ValueError as error:
        raise broken_rule(str(error).replace(" of field 'x'", ""), at=at) from error
    return FieldSpec(field, spec.type, spec.required)


class Conversion(Options):
    """One field and its new type."""

    field: str = Field(min_length=1, description="The field to convert.")
    to: Annotated[str, AfterValidator(_checked_type)] = Field(
        description="`str`, `int`, `float`, `bool`, `decimal`, `date` or `datetime`; with `?` behind it the "
        "field may be missing, null or empty (then it becomes null)."
    )


def _as_list(value: Any) -> Any:
    """The short form ``{field: type}`` as a list."""
    if not isinstance(value, dict):
        return value
    for name, to in value.items():
        if not isinstance(to, str):
            raise broken_rule(f"the type of '{name}' must be a word such as int", at=(name,))
        _checked_type(to, at=(name,))
    return [{"field": name, "to": to} for name, to in value.items()]


def _either_form(schema: dict[str, Any]) -> None:
    """For editors: the list, or the short form."""
    array = {key: schema.pop(key) for key in ("type", "items", "minItems")}
    short = {"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 1}
    schema["oneOf"] = [array, short]


class TypeCoerceOptions(TransformOptions):
    """Options of ``type_coerce``."""

    conversions: Annotated[list[Conversion], BeforeValidator(_as_list)] = Field(
        min_length=1,
        description="A list of `{field, to}`, or a map of field name → type.",
        json_schema_extra=_either_form,
    )


class TypeCoerce(BaseTransform):
    """Convert fields to other types; what cannot be converted without loss is an error of the row.

    ``"12"`` becomes 12, but ``"12.0"``, 12.5 and true are no whole numbers. The rules are those by
    which sources coerce.
    """

    name: ClassVar[str] = "type_coerce"
    options_model = TypeCoerceOptions
    options: TypeCoerceOptions

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self._specs = tuple(_spec(step.field, step.to) for step in self.options.conversions)
        self._steps: tuple[tuple[FieldSpec, Callable[[object], Any]], ...] = tuple(
            (spec, VALUES[spec.type]) for spec in self._specs
        )
        self.require(spec.name for spec in self._specs if spec.required)

    def output_schema(self, incoming: PluginSchema) -> PluginSchema:
        """The fields under their new types."""
        return with_fields(incoming, self._specs)

    def process(self, row: Row, ctx: PluginContext) -> TransformResult:
        """A row with the fields converted, the row itself if all were of their types."""
        out = row
        for spec, convert in self._steps:
            name = spec.name
            if name not in row:
                if spec.required:
                    return TransformResult.error(missing_field(name, row))
                continue
            value = out[name]
            if value is None or (value == "" and spec.type is not FieldType.STR):
                if spec.required:
                    return TransformResult.error(_refused(spec, "it is empty"))
                new = None
            else:
                try:
                    new = convert(value)
                except (ValueError, ArithmeticError) as error:
                    return TransformResult.error(_refused(spec, str(error)))
            if new is not value:
                if out is row:
                    out = row.copy()
                out[name] = new
        return TransformResult.success(out)


def _refused(spec: FieldSpec, why: str) -> dict[str, Any]:
    return {
        "error": f"field '{spec.name}' cannot become {spec.type}: {why}",
        "kind": "not_convertible",
        "field": spec.name,
        "to": str(spec.type),
    }
