"""One row into several: what ``json_explode`` and ``line_explode`` share."""

from collections.abc import Iterable
from typing import Any

from pydantic import Field

from elspeth.contracts.plugins import Row
from elspeth.contracts.results import TransformResult
from elspeth.contracts.schema import FieldSpec, FieldType, PluginSchema
from elspeth.plugins.transforms.base import TransformOptions
from elspeth.plugins.transforms.schema_changes import with_fields


class ExplodeOptions(TransformOptions):
    """What both take."""

    include_index: bool = Field(
        default=False, description="Add `<output_field>_index`: the place in the list, from 0."
    )


def exploded(
    row: Row, field: str, output: str, values: Iterable[tuple[int, Any]], index: str | None
) -> TransformResult:
    """One row per (place, value): the value stands where ``field`` stood, under the name ``output``.

    An error where ``output`` or ``index`` is the name of another field of the row.
    """
    for new in (output, index):
        if new is not None and new != field and new in row:
            return TransformResult.error(
                {
                    "error": f"field '{new}' cannot be added: the row already has a field of that name",
                    "kind": "name_taken",
                    "field": new,
                }
            )
    template = {output if name == field else name: value for name, value in row.items()}
    rows = []
    for place, value in values:
        one = template.copy()
        one[output] = value
        if index is not None:
            one[index] = place
        rows.append(one)
    return TransformResult.expand(rows)


def exploded_schema(
    incoming: PluginSchema, field: str, output: str, kind: FieldType, index: str | None
) -> PluginSchema:
    """What is promised of the rows that `exploded` makes."""
    new = [FieldSpec(output, kind)]
    if index is not None:
        new.append(FieldSpec(index, FieldType.INT))
    return with_fields(incoming, new, without=frozenset({field}))
