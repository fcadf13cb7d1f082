"""Rows into their declared or inferred types, a chunk at a time.

Whole columns are turned at C speed; only around what does not fit is a chunk gone through row by
row, to find the culprits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from operator import itemgetter
from typing import Any

from elspeth.contracts.schema import FieldSpec, FieldType, PluginSchema, SchemaMode
from elspeth.plugins.schemas.convert import COLUMNS, MISFIT, NATIVE, VALUES, shown
from elspeth.plugins.schemas.infer import INFERRED, WHAT_FITS

_FEW = 8


@dataclass(frozen=True, slots=True)
class Unfit:
    """A row that does not fit: which field, and why."""

    field: str | None
    reason: str


class _Misfit(Exception):
    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field
        self.reason = reason


def _missing(spec: FieldSpec, how: str) -> str:
    return f"field {spec.name!r} is {how}, but it is declared `{spec}`; `{spec}?` would accept it"


def _wrong(spec: FieldSpec, reason: str) -> str:
    return f"field {spec.name!r} ({spec.type}): {reason}"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of text cells: its field, and whether its type was inferred or declared."""

    spec: FieldSpec
    inferred: bool = False

    def convert(self, cells: Sequence[str]) -> Sequence[Any]:
        """The whole column. Raises one of `MISFIT` if any cell does not fit."""
        kind = self.spec.type
        if kind is FieldType.ANY or (self.inferred and kind is FieldType.STR):
            return cells
        turn = INFERRED[kind] if self.inferred else COLUMNS[kind]
        if "" not in cells:
            return cells if kind is FieldType.STR else turn(cells)
        if self.spec.required:
            raise ValueError("empty")
        filled = list(filter(None, cells))
        values = iter(turn(filled) if filled else ())
        return [next(values) if cell else None for cell in cells]

    def value(self, cell: str) -> Any:
        """One cell. Raises `_Misfit` with the reason."""
        spec = self.spec
        if spec.type is FieldType.ANY or (self.inferred and spec.type is FieldType.STR):
            return cell
        if not cell or (spec.type is not FieldType.STR and not self.inferred and not cell.strip()):
            if spec.required:
                raise _Misfit(spec.name, _missing(spec, "empty"))
            return None
        if self.inferred:
            return self._inferred_value(cell)
        try:
            return VALUES[spec.type](cell)
        except ValueError as error:
            raise _Misfit(spec.name, _wrong(spec, str(error))) from None

    def _inferred_value(self, cell: str) -> Any:
        kind = self.spec.type
        try:
            return INFERRED[kind]([cell])[0]
        except ValueError:
            name = self.spec.name
            raise _Misfit(
                name,
                f"field {name!r}: {shown(cell)} is not {WHAT_FITS[kind]}, unlike the column's first rows "
                f'({kind}); to accept it, write schema: {{mode: flexible, fields: ["{name}: str"]}}',
            ) from None


class CellCoercer:
    """Lists of text cells, all in one column order, into rows."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = tuple(columns)
        self._names = tuple(column.spec.name for column in columns)

    def chunk(self, rows: Sequence[Sequence[str]]) -> list[dict[str, Any] | Unfit]:
        """Every row as a dict, or why not. Each row must have one cell per column."""
        if not rows:
            return []
        names = self._names
        try:
            turned = [
                column.convert(cells)
                for column, cells in zip(self._columns, zip(*rows, strict=True), strict=True)
            ]
        except MISFIT:
            # Halve until the culprits are alone with a few others: most rows still go the fast way.
            half = len(rows) // 2
            if half < _FEW:
                return list(map(self.row, rows))
            return self.chunk(rows[:half]) + self.chunk(rows[half:])
        return [dict(zip(names, values)) for values in zip(*turned)]  # noqa: B905 - equal lengths; strict costs time

    def row(self, cells: Sequence[str]) -> dict[str, Any] | Unfit:
        """One row as a dict, or why not."""
        try:
            return {
                name: column.value(cell)
                for name, column, cell in zip(self._names, self._columns, cells, strict=True)
            }
        except _Misfit as misfit:
            return Unfit(misfit.field, misfit.reason)


class RowCoercer:
    """Rows of native values (JSON, Parquet, databases) into their declared types.

    Text is turned into the declared type as from a CSV cell, except that an empty text is a value
    of type ``str``. Undeclared fields are left alone (refused in mode ``fixed``). Rows given to it
    belong to it: they may be changed in place.
    """

    def __init__(self, schema: PluginSchema) -> None:
        self._specs = tuple(spec for spec in schema.fields)
        self._declared = frozenset(spec.name for spec in schema.fields)
        self._fixed = schema.mode is SchemaMode.FIXED
        self._present = tuple(sorted((schema.guaranteed | schema.required) - {s.name for s in schema.fields}))

    def chunk(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any] | Unfit]:
        """Every row, or why it does not fit."""
        if not self._specs and not self._present:
            return list(rows)
        if self._fits(rows):
            return list(rows)
        return list(map(self.row, rows))

    def _fits(self, rows: Sequence[dict[str, Any]]) -> bool:
        if self._fixed and set(map(len, rows)) != {len(self._specs)}:
            return False
        try:
            for spec in self._specs:
                if not _column_fits(spec, list(map(itemgetter(spec.name), rows))):
                    return False
            for name in self._present:
                list(map(itemgetter(name), rows))
        except KeyError:
            return False
        return True

    def row(self, row: dict[str, Any]) -> dict[str, Any] | Unfit:
        """One row, or why it does not fit."""
        if self._fixed:
            for name in row:
                if name not in self._declared:
                    return Unfit(
                        name,
                        f"field {name!r} is not declared, and the schema is fixed; "
                        f'add "{name}: any" to its fields, or use mode: flexible',
                    )
        for name in self._present:
            if name not in row:
                return Unfit(name, f"field {name!r} is missing, but the schema says that every row has it")
        changed = dict(row)
        try:
            for spec in self._specs:
                _coerce_field(spec, changed)
        except _Misfit as misfit:
            return Unfit(misfit.field, misfit.reason)
        return changed


def _column_fits(spec: FieldSpec, values: list[Any]) -> bool:
    kinds = set(map(type, values))
    if not spec.required:
        kinds.discard(type(None))
    elif type(None) in kinds:
        return False
    if spec.type is FieldType.ANY:
        return True
    if spec.type is FieldType.FLOAT:
        return kinds <= {float} and isfinite(sum(value for value in values if value is not None))
    native = NATIVE.get(spec.type)
    return native is not None and kinds <= {native}


def _coerce_field(spec: FieldSpec, row: dict[str, Any]) -> None:
    if spec.name not in row:
        if spec.required:
            raise _Misfit(spec.name, _missing(spec, "missing"))
        return
    value = row[spec.name]
    blank = isinstance(value, str) and spec.type not in (FieldType.STR, FieldType.ANY) and not value.strip()
    if value is None or blank:
        if spec.required:
            raise _Misfit(spec.name, _missing(spec, "null" if value is None else "empty"))
        row[spec.name] = None
        return
    try:
        row[spec.name] = VALUES[spec.type](value)
    except ValueError as error:
        raise _Misfit(spec.name, _wrong(spec, str(error))) from None
