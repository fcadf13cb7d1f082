"""``export``: a run's record as files, or as lineage events."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from elspeth.api.database import default_database_url
from elspeth.api.explain import row_index
from elspeth.api.keys import public_key
from elspeth.contracts.errors import LandscapeError, UsageError
from elspeth.core.clock import Clock
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.export.columns import read_columns
from elspeth.core.landscape.export.openlineage import RunStory, event_under_way, is_endpoint, run_events, send
from elspeth.core.landscape.export.prov import row_document, run_document
from elspeth.core.landscape.export.signature import ExportCheck
from elspeth.core.landscape.export.signature import check_export as check
from elspeth.core.landscape.export.write import RECORD_FORMATS, write_records
from elspeth.core.landscape.ledger.heads import SigningKey
from elspeth.core.landscape.reader import LandscapeReader
from elspeth.core.landscape.records import RunRecord
from elspeth.core.landscape.runs import LATEST
from elspeth.core.secrets import Redactor

FORMATS = (*RECORD_FORMATS, "prov", "openlineage")


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What an export wrote, and where. ``records`` counts by record type, ``files`` maps name → SHA-256."""

    run_id: str
    format: str
    target: str
    records: Mapping[str, int] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    manifest: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The shape of ``elspeth export --json``."""
        return {
            "run_id": self.run_id,
            "format": self.format,
            "target": self.target,
            "records": dict(self.records),
            "files": dict(self.files),
            "manifest": self.manifest,
        }


def export(
    run: str = LATEST,
    output: str | Path | None = None,
    *,
    format: str = "jsonl",
    row: int | str | None = None,
    database: str | None = None,
    signing_key: str | Path | None = None,
) -> ExportResult:
    """Write a run's record to files; ``row`` (prov only) is a row's index or id.

    With a ``signing_key`` (a file of `elspeth keys new`) the manifest is signed.

    ``format`` is ``jsonl``, ``json``, ``csv`` or ``parquet`` (all record types, to a directory with a
    manifest; ``jsonl`` also to one ``.jsonl`` file), ``prov`` (PROV-JSON, one file) or ``openlineage``
    (run events, to a file or an http(s) endpoint). What is there of an earlier export is replaced.

    Raises UsageError for what can't be asked together, NotFoundError for an unknown run or row,
    LandscapeError if the record contradicts itself or the target can't be written.
    """
    if format not in FORMATS:
        raise UsageError(f"there is no export format {format!r}", fix=f"choose one of {', '.join(FORMATS)}")
    if signing_key is not None and format not in RECORD_FORMATS:
        raise UsageError(f"an export as {format} can't be signed", fix=f"choose {', '.join(RECORD_FORMATS)}")
    if row is not None and format != "prov":
        raise UsageError(f"a single row can't be exported as {format}", fix="--row goes with --format prov")
    key = None if signing_key is None else SigningKey.load(signing_key)
    db = LandscapeDB.from_url(database or default_database_url(), create=False)
    try:
        return export_from(db, run, output, Manner(format, row, key))
    finally:
        db.close()


@dataclass(frozen=True, slots=True)
class Manner:
    """How to export: see `export`."""

    format: str
    row: int | str | None = None
    key: SigningKey | None = None
    greeted: bool = False
    """OpenLineage's START has been sent already."""


def export_from(db: LandscapeDB, run: str, output: str | Path | None, manner: Manner) -> ExportResult:
    """As `export`, from a landscape that is open."""
    format = manner.format
    reader = LandscapeReader(db)
    found = reader.run(run)
    target = str(output) if output is not None else default_target(found.run_id, format)
    if format == "prov":
        return _prov(reader, found, Path(target), manner.row)
    if format == "openlineage":
        return _openlineage(db, found, target, manner)
    with db.engine.connect() as connection:
        made = write_records(connection, found, Path(target), format, manner.key)
    hashes = {name: file.sha256 for name, file in made.files.items()}
    return ExportResult(found.run_id, format, target, made.records, hashes, str(made.manifest))


def check_export(target: str | Path, key: str | Path | None = None) -> ExportCheck:
    """Hold an export's files against its manifest, and that against its signature by a public key.

    ``key`` is a file, or the key's text. Raises NotFoundError where there is no export.
    """
    return check(Path(target), None if key is None else public_key(str(key)))


def default_target(run_id: str, format: str) -> str:
    """Where an export goes if nobody says so: beside us, named after the run."""
    suffix = {"prov": ".prov.json", "openlineage": ".openlineage.jsonl"}.get(format, "-export")
    return f"{run_id}{suffix}"


def _prov(reader: LandscapeReader, run: RunRecord, target: Path, row: int | str | None) -> ExportResult:
    nodes, artifacts = reader.nodes(run.run_id), reader.artifacts(run.run_id)
    if row is None:
        document = run_document(run, nodes, reader.edges(run.run_id), artifacts)
    else:
        lineage = reader.row_lineage(run.run_id, row_index(run, row))
        document = row_document(run, nodes, artifacts, lineage)
    _write(target, orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    counts = {section: len(items) for section, items in document.items() if section != "prefix"}
    return ExportResult(run.run_id, "prov", str(target), counts)


def lineage_events(db: LandscapeDB, run_id: str, under_way: str | None = None) -> list[dict[str, Any]]:
    """OpenLineage events of a run, as it stands; ``under_way``: the one event that says that it goes on."""
    reader = LandscapeReader(db)
    run, nodes = reader.run(run_id), reader.nodes(run_id)
    with db.engine.connect() as connection:
        columns = read_columns(connection, run.run_no, nodes, reader.edges(run_id))
    story = RunStory(run, nodes, reader.artifacts(run_id), reader.counts(run_id), columns)
    if under_way is None:
        return run_events(story, os.environ)
    return [event_under_way(story, os.environ, under_way, Clock().now())]


def write_events(target: str, events: Sequence[Mapping[str, Any]]) -> None:
    """Write OpenLineage events to a file, one a line."""
    _write(Path(target), b"".join(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE) for event in events))


def _openlineage(db: LandscapeDB, run: RunRecord, target: str, manner: Manner) -> ExportResult:
    made = lineage_events(db, run.run_id)
    if is_endpoint(target):
        send(target, made[1:] if manner.greeted else made, os.environ)
    else:
        write_events(target, made)
    return ExportResult(run.run_id, "openlineage", Redactor(None).text(target), {"events": len(made)})


def _write(target: Path, content: bytes) -> None:
    if target.is_dir():
        raise UsageError(f"this export is one file, and {target} is a directory", fix="name a file")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f"{target.name}.part")
        part.write_bytes(content)
        part.replace(target)
    except OSError as error:
        raise LandscapeError(f"the export can't be written: {error}") from error
