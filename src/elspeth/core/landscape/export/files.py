"""Records as files: one per record type, or all in one; written beside the target, moved there at the end."""

import csv
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TextIO

import orjson

from elspeth.contracts.errors import LandscapeError
from elspeth.core.canonical import dump
from elspeth.core.landscape.export.record_types import RECORD_TYPES, RecordType

PART = ".part"


class RecordWriter(Protocol):
    """Takes records one by one; the files are whole when `close` is done."""

    def write(self, name: str, values: Sequence[Any]) -> None: ...
    def close(self) -> None: ...


def jsonable(record_type: RecordType, values: Sequence[Any]) -> dict[str, Any]:
    """A record for orjson; rows are JSON with what JSON lacks in its tagged form."""
    return {
        column.name: orjson.Fragment(dump(value)) if column.kind == "data" and value is not None else value
        for column, value in zip(record_type.columns, values, strict=True)
    }


def flat(record_type: RecordType, values: Sequence[Any]) -> list[Any]:
    """A record without nested values: rows as JSON text."""
    return [
        dump(value).decode() if column.kind == "data" and value is not None else value
        for column, value in zip(record_type.columns, values, strict=True)
    ]


class JsonLines:
    """``<record type>.jsonl`` for each type."""

    suffix = "jsonl"

    def __init__(self, directory: Path) -> None:
        self._opened = ExitStack()
        self._files = {
            name: self._opened.enter_context(part_of(directory, name, self.suffix).open("wb"))
            for name in RECORD_TYPES
        }

    def write(self, name: str, values: Sequence[Any]) -> None:
        document = jsonable(RECORD_TYPES[name], values)
        self._files[name].write(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE))

    def close(self) -> None:
        self._opened.close()


class OneJsonLines:
    """All records in one file; each says in ``record_type`` what it is."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "wb")  # noqa: SIM115

    def write(self, name: str, values: Sequence[Any]) -> None:
        document = {"record_type": name, **jsonable(RECORD_TYPES[name], values)}
        self._file.write(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE))

    def close(self) -> None:
        self._file.close()


class JsonArrays(JsonLines):
    """``<record type>.json`` for each type: an array, one record a line."""

    suffix = "json"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._begun: set[str] = set()

    def write(self, name: str, values: Sequence[Any]) -> None:
        self._files[name].write(b",\n" if name in self._begun else b"[\n")
        self._begun.add(name)
        self._files[name].write(orjson.dumps(jsonable(RECORD_TYPES[name], values)))

    def close(self) -> None:
        for name, file in self._files.items():
            file.write(b"\n]\n" if name in self._begun else b"[]\n")
        super().close()


class CsvFiles:
    """``<record type>.csv`` for each type, with a heading; null is an empty cell."""

    suffix = "csv"

    def __init__(self, directory: Path) -> None:
        self._opened = ExitStack()
        self._writers = {}
        for name, record_type in RECORD_TYPES.items():
            path = part_of(directory, name, self.suffix)
            file: TextIO = self._opened.enter_context(path.open("w", encoding="utf-8", newline=""))
            self._writers[name] = csv.writer(file, lineterminator="\n")
            self._writers[name].writerow(record_type.names)

    def write(self, name: str, values: Sequence[Any]) -> None:
        cells = flat(RECORD_TYPES[name], values)
        self._writers[name].writerow(
            [cell.isoformat() if isinstance(cell, datetime) else cell for cell in cells]
        )

    def close(self) -> None:
        self._opened.close()


def part_of(directory: Path, name: str, suffix: str) -> Path:
    """Where a file is written before it is whole."""
    return directory / f"{name}.{suffix}{PART}"


def publish(parts: Mapping[Path, Path]) -> None:
    """Give files that are whole their names. Raises LandscapeError."""
    try:
        for part, target in parts.items():
            with open(part, "rb") as file:
                os.fsync(file.fileno())
            os.replace(part, target)
    except OSError as error:
        raise LandscapeError(f"the export can't be written: {error}") from error


def discard(parts: Sequence[Path]) -> None:
    """Remove what was begun."""
    for part in parts:
        with suppress(OSError):
            part.unlink(missing_ok=True)
