"""Writing a run's records to a directory, or to one file, with a manifest."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from elspeth.contracts.errors import LandscapeError, UsageError
from elspeth.core.landscape.export.collect import records
from elspeth.core.landscape.export.files import (
    PART,
    CsvFiles,
    JsonArrays,
    JsonLines,
    OneJsonLines,
    RecordWriter,
    discard,
    part_of,
    publish,
)
from elspeth.core.landscape.export.manifest import NAME, ExportedFile, describe, manifest, read_standing
from elspeth.core.landscape.export.record_types import RECORD_TYPES
from elspeth.core.landscape.export.signature import SIGNATURE, sign
from elspeth.core.landscape.ledger.heads import SigningKey
from elspeth.core.landscape.records import RunRecord

RECORD_FORMATS = ("jsonl", "json", "csv", "parquet")


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote; ``files`` go by name, without the manifest."""

    manifest: Path
    records: dict[str, int]
    files: dict[str, ExportedFile]


def write_records(
    connection: Connection, run: RunRecord, target: Path, form: str, key: SigningKey | None = None
) -> Exported:
    """Export all records of a run; what was at ``target`` of an earlier export is replaced.

    ``target`` is a directory, or a ``.jsonl`` file for ``form`` jsonl. The files take their names when
    all are whole, the manifest last; with a ``key`` its signature is beside it. Raises UsageError for a
    target that holds something else, LandscapeError where the record contradicts itself or the
    files can't be written.
    """
    single = form == "jsonl" and target.suffix == ".jsonl" and not target.is_dir()
    _check_target(target, single=single)
    try:
        if single:
            target.parent.mkdir(parents=True, exist_ok=True)
            parts = {target.with_name(target.name + PART): target}
            writer: RecordWriter = OneJsonLines(next(iter(parts)))
        else:
            target.mkdir(parents=True, exist_ok=True)
            parts = {part_of(target, name, form): target / f"{name}.{form}" for name in RECORD_TYPES}
            writer = _writer(target, form)
        counts = _write(connection, run, writer, parts)
    except OSError as error:
        raise LandscapeError(f"the export can't be written: {error}") from error
    publish(parts)
    files = {
        path.name: describe(path, counts.total() if single else counts[path.stem]) for path in parts.values()
    }
    ordered = {name: counts[name] for name in RECORD_TYPES}
    listing = target.with_name(f"{target.name}.{NAME}") if single else target / NAME
    content = manifest(run, read_standing(connection, run.run_no), form, ordered, files)
    signature = listing.with_name(f"{listing.name}{SIGNATURE}")
    signature.unlink(missing_ok=True)  # an earlier export's
    if key is not None:
        _write_manifest(signature, sign(content, key))
    _write_manifest(listing, content)
    return Exported(listing, ordered, files)


def _write(
    connection: Connection, run: RunRecord, writer: RecordWriter, parts: dict[Path, Path]
) -> Counter[str]:
    counts: Counter[str] = Counter()
    try:
        try:
            for name, values in records(connection, run):
                writer.write(name, values)
                counts[name] += 1
        finally:
            writer.close()
    except BaseException:
        discard(list(parts))
        raise
    return counts


def _write_manifest(path: Path, content: bytes) -> None:
    part = path.with_name(path.name + PART)
    try:
        part.write_bytes(content)
    except OSError as error:
        raise LandscapeError(f"the export's manifest can't be written: {error}") from error
    publish({part: path})


def _writer(directory: Path, form: str) -> RecordWriter:
    if form == "jsonl":
        return JsonLines(directory)
    if form == "json":
        return JsonArrays(directory)
    if form == "csv":
        return CsvFiles(directory)
    try:
        from elspeth.core.landscape.export.parquet import ParquetFiles  # noqa: PLC0415
    except ImportError as error:
        raise UsageError(
            "an export to Parquet needs pyarrow", fix='pip install "elspeth[parquet]"'
        ) from error
    return ParquetFiles(directory)


def _check_target(target: Path, *, single: bool) -> None:
    if single:
        return
    if target.exists() and not target.is_dir():
        raise UsageError(f"an export goes to a directory, and {target} is a file", fix="name a directory")
    if target.is_dir() and any(target.iterdir()) and not (target / NAME).exists():
        raise UsageError(
            f"{target} holds something that is not an export", fix="name a new or an empty directory"
        )
