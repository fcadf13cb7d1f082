"""The ``schema:`` option and what a source does with it: coercion, inference, plain values."""

from elspeth.contracts.schema import FieldSpec, FieldType, PluginSchema, SchemaMode
from elspeth.plugins.schemas.coerce import CellCoercer, RowCoercer, Unfit
from elspeth.plugins.schemas.infer import SAMPLE_ROWS, infer_columns
from elspeth.plugins.schemas.options import SchemaOptions, parse_field

__all__ = [
    "SAMPLE_ROWS",
    "CellCoercer",
    "FieldSpec",
    "FieldType",
    "PluginSchema",
    "RowCoercer",
    "SchemaMode",
    "SchemaOptions",
    "Unfit",
    "infer_columns",
    "parse_field",
]
