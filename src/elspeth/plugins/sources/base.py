"""What every source has in common."""

import difflib
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from elspeth.contracts.enums import Determinism
from elspeth.contracts.errors import SourceError
from elspeth.contracts.plugins import PluginContext, Quarantined, Row
from elspeth.contracts.schema import PluginSchema
from elspeth.plugins.schemas import RowCoercer, SchemaOptions, Unfit

_HEAD_BYTES = 64 * 1024


class SourceOptions(BaseModel):
    """Options that every source takes."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True, populate_by_name=True)

    schema_: SchemaOptions = Field(
        default_factory=SchemaOptions,
        alias="schema",
        description="What the rows look like: `observed` (default), or a mapping with mode and fields.",
    )
    on_validation_failure: str | None = Field(
        default=None,
        description="The sink for rows that do not fit the schema, or `discard`; default: the quarantine.",
    )


class FileSourceOptions(SourceOptions):
    """Options of a source that reads one file."""

    path: Path = Field(description="The file to read, relative to the working directory.")


class TextFileOptions(FileSourceOptions):
    """Options of a source that reads one file of text."""

    encoding: str = Field(
        default="utf-8", description="The file's encoding; a byte order mark at its start is dropped."
    )
    max_field_bytes: int = Field(
        default=64 * 1024 * 1024,
        gt=0,
        description="Rows with a field (or a line) longer than this many bytes are quarantined.",
    )


class BaseSource:
    """The boring half of a source: build it from options, then override what is not boring.

    A subclass sets ``name`` and ``options_model`` and writes ``load``, ``position`` and ``seek``.
    """

    name: ClassVar[str]
    plugin_version: ClassVar[str] = "1.0.0"
    determinism: ClassVar[Determinism] = Determinism.IO_DEPENDENT
    options_model: ClassVar[type[SourceOptions]] = SourceOptions

    def __init__(self, options: dict[str, Any]) -> None:
        """Raises pydantic's ValidationError for options that are not understood."""
        self.options: Any = self.options_model.model_validate(options)
        self.output_schema: PluginSchema = self.options.schema_.to_schema()
        self.original_headers: Mapping[str, str] = {}

    def on_start(self, ctx: PluginContext) -> None:
        """Nothing to acquire."""

    def close(self) -> None:
        """Nothing to release."""

    def load(self, ctx: PluginContext) -> Iterator[Row | Quarantined]:
        """See `elspeth.contracts.plugins.Source.load`."""
        raise NotImplementedError

    def position(self) -> Mapping[str, Any]:
        """See `elspeth.contracts.plugins.Source.position`."""
        raise NotImplementedError

    def seek(self, position: Mapping[str, Any]) -> None:
        """See `elspeth.contracts.plugins.Source.seek`."""
        raise NotImplementedError

    def size_hint(self) -> int | None:
        """Not known."""
        return None

    def identity(self) -> Mapping[str, Any]:
        """What tells this input from another, without reading it all; empty if nothing does."""
        return {}

    def check(self) -> list[str]:
        """What would keep this source from being read, found without reading it all; empty if nothing."""
        return []

    def preview_schema(self) -> PluginSchema:
        """What the rows will look like, from the head of the input. Raises SourceError."""
        return self.output_schema

    def observed_schema(self) -> PluginSchema | None:
        """What was inferred, once the first row is read; None if nothing was inferred."""
        return None


class ChunkedSource(BaseSource):
    """A source that reads chunks and hands out their items, so that its position is exact.

    A subclass writes ``_chunks``: pairs of where a chunk starts and the chunk's items. The
    position is the start of the current chunk and how many of its items were handed out.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self._start: dict[str, Any] = {}
        self._done = 0
        self._skip = 0

    def _chunks(self, start: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], list[Row | Quarantined]]]:
        """Chunks from ``start`` on (empty: from the beginning)."""
        raise NotImplementedError

    def load(self, ctx: PluginContext) -> Iterator[Row | Quarantined]:
        """Yield the rows from the beginning, or from where `seek` said."""
        for start, items in self._chunks(self._start):
            skip, self._skip = self._skip, max(self._skip - len(items), 0)
            if skip >= len(items) > 0:
                continue
            self._start = start
            self._done = skip
            for self._done, item in enumerate(items[skip:] if skip else items, skip + 1):
                yield item

    def position(self) -> Mapping[str, Any]:
        """The start of the chunk that the last yielded row is from, and its number there."""
        return {**self._start, "skip": self._done}

    def seek(self, position: Mapping[str, Any]) -> None:
        """Start behind the row after which ``position`` was taken."""
        self._start = {key: value for key, value in position.items() if key != "skip"}
        self._skip = self._done = int(position.get("skip", 0))


class FileSource(ChunkedSource):
    """A source that reads one file."""

    @property
    def path(self) -> Path:
        """The file that is read."""
        path: Path = self.options.path
        return path

    def on_start(self, ctx: PluginContext) -> None:
        """Raises SourceError if the file can't be read."""
        for what, fix in file_problems(self.path):
            raise SourceError(what, fix=fix)

    def identity(self) -> Mapping[str, Any]:
        """Path, size, time of the last change, and SHA-256 of the first 64 KiB."""
        stat = self.path.stat()
        with open(self.path, "rb") as file:
            head = hashlib.sha256(file.read(_HEAD_BYTES)).hexdigest()
        return {"path": str(self.path), "bytes": stat.st_size, "modified_ns": stat.st_mtime_ns, "head": head}

    def check(self) -> list[str]:
        """The same as `on_start` would find, and what the head of the file shows."""
        if problems := [f"{what}; {fix}" for what, fix in file_problems(self.path)]:
            return problems
        try:
            self.preview_schema()
        except SourceError as error:
            return [f"{error.what}; {error.fix}" if error.fix else error.what]
        return []


def file_problems(path: Path) -> list[tuple[str, str]]:
    """Why this file can't be read, as pairs of what and fix; empty if it can."""
    if path.is_dir():
        return [(f"{path} is a directory, not a file", "give the path of one file inside it")]
    if not path.exists():
        fix = f"paths are relative to the working directory ({Path.cwd()})"
        if not path.parent.is_dir():
            return [(f"there is no file {path}: its directory does not exist", fix)]
        close = difflib.get_close_matches(path.name, os.listdir(path.parent), n=1)
        return [(f"there is no file {path}", f"did you mean {path.parent / close[0]}?" if close else fix)]
    if not path.is_file():
        return [(f"{path} is not a regular file", "copy the data to a file first: a resume reads it again")]
    if not os.access(path, os.R_OK):
        return [(f"{path} is not readable for this user", f"chmod u+r {path}, or run as its owner")]
    return []


def settle(
    coercer: RowCoercer, rows: Iterable[tuple[Row | Quarantined, int | None]]
) -> list[Row | Quarantined]:
    """Coerce the good ones among ``rows`` (pairs of row and line); what does not fit is quarantined."""
    pairs = list(rows)
    good = iter(coercer.chunk([row for row, _ in pairs if isinstance(row, dict)]))
    return [quarantine_unfit(next(good), row, line) if isinstance(row, dict) else row for row, line in pairs]


def quarantine_unfit(coerced: Row | Unfit, raw: Row, line: int | None) -> Row | Quarantined:
    """The coerced row, or `Quarantined` with what it was before."""
    if isinstance(coerced, Unfit):
        return Quarantined(raw, coerced.reason, coerced.field, line)
    return coerced
