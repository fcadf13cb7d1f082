"""``type_coerce``: convert fields to other types, exactly or not at all."""

from collections.abc import Callable
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from elspeth.contracts.plugins import PluginContext, Row
from elspeth.contracts.results import TransformResult
from elspeth.contracts.schema import FieldSpec, FieldType, PluginSchema
from elspeth.plugins.schemas import parse_field
from elspeth.plugins.schemas.convert import VALUES
from elspeth.plugins.transforms.base import BaseTransform, Options, TransformOptions
from elspeth.plugins.transforms.reasons import missing_field
from elspeth.plugins.transforms.schema_changes import with_fields


def _checked_type(text: str) -> str:
    try:
        spec = parse_field(f"field: {text}")
    except ValueError as error:
        what = str(error).replace(" of field 'field'", "")
        raise PydanticCustomError("unknown_type", "{what}", {"what": what}) from error
    if spec.type is FieldType.ANY:
        raise PydanticCustomError("unknown_type", "nothing can be converted to 'any': leave the field out")
    return text


TypeName = Annotated[str, AfterValidator(_checked_type)]


class Conversion(Options):
    """One field and its new type."""

    field: str = Field(min_length=1, description="The field to convert.")
    to: TypeName = Field(
        description="`str`, `int`, `float`, `bool`, `decimal`, `date` or `datetime`; with `?` behind it the "
        "field may be missing, null or empty (then it becomes null)."
    )


Conversions = Annotated[
    Annotated[list[Conversion], Field(min_length=1), Tag("list")]
    | Annotated[dict[str, TypeName], Field(min_length=1), Tag("map")],
    Discriminator(lambda value: "map" if isinstance(value, dict) else "list"),
]


class TypeCoerceOptions(TransformOptions):
    """Options of ``type_coerce``."""

    conversions: Conversions = Field(description="A list of `{field, to}`, or a map of field name → type.")

    @property
    def specs(self) -> tuple[FieldSpec, ...]:
        """The conversions, in order, whichever way they were written."""
        pairs = (
            self.conversions.items()
            if isinstance(self.conversions, dict)
            else [(step.field, step.to) for step in self.conversions]
        )
        # Not parse_field of the pair: a field's name may hold a colon.
        types = ((name, parse_field(f"field: {to}")) for name, to in pairs)
        return tuple(FieldSpec(name, spec.type, spec.required) for name, spec in types)


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
        self._specs = self.options.specs
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
