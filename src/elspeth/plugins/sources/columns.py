"""The columns of an input, declared and found, put together."""

import difflib
from collections.abc import Mapping, Sequence

from elspeth.contracts.errors import SourceError
from elspeth.contracts.schema import FieldSpec, FieldType, PluginSchema, SchemaMode
from elspeth.plugins.schemas.coerce import Column


def cell_columns(declared: PluginSchema, inferred: Mapping[str, FieldType], where: str) -> list[Column]:
    """One `Column` for each field of ``inferred``, with its declared type if it has one.

    Raises what `check_columns` raises.
    """
    check_columns(declared, list(inferred), where)
    specs = {spec.name: spec for spec in declared.fields}
    return [
        Column(specs[name]) if name in specs else Column(FieldSpec(name, kind, required=False), inferred=True)
        for name, kind in inferred.items()
    ]


def check_columns(declared: PluginSchema, names: Sequence[str], where: str) -> None:
    """Raise SourceError if every row would be refused.

    That is so if a declared, guaranteed or required field is not there, or if the schema is fixed and
    there are other columns.
    """
    for name in sorted(declared.promises | declared.required):
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1)
            raise SourceError(
                f"{where} has no column for the field {name!r}; it has: {', '.join(names)}",
                fix=f"did you mean {close[0]!r}?"
                if close
                else f'declare it "{name}: ...?" if it may be missing',
            )
    known = {spec.name for spec in declared.fields}
    extra = [name for name in names if name not in known]
    if declared.mode is SchemaMode.FIXED and extra:
        raise SourceError(
            f"{where} has columns that the fixed schema does not declare: {', '.join(extra)}",
            fix=f'add "{extra[0]}: any" to schema.fields, or use mode: flexible',
        )


def known_schema(declared: PluginSchema, columns: Sequence[Column]) -> PluginSchema:
    """What rows of exactly these columns promise: every row has every field (which may be None)."""
    names = frozenset(column.spec.name for column in columns)
    return PluginSchema(
        mode=SchemaMode.FIXED,
        fields=tuple(
            FieldSpec(column.spec.name, column.spec.type, _never_empty(column)) for column in columns
        ),
        guaranteed=names,
        required=declared.required,
    )


def _never_empty(column: Column) -> bool:
    return column.spec.required or (column.inferred and column.spec.type is FieldType.STR)


def native_schema(declared: PluginSchema, found: Sequence[FieldSpec]) -> PluginSchema:
    """What rows of exactly these typed columns promise, where some are declared otherwise."""
    known = {spec.name: spec for spec in declared.fields}
    return PluginSchema(
        mode=SchemaMode.FIXED,
        fields=tuple(known.get(spec.name, spec) for spec in found),
        guaranteed=frozenset(spec.name for spec in found),
        required=declared.required,
    )
