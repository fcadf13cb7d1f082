"""The manifest of an export: what is in it, by which hash each file is known, and what vouches for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, select

from elspeth.contracts.version import __version__
from elspeth.core.landscape.records import RunRecord
from elspeth.core.landscape.reproducibility import read_purge
from elspeth.core.landscape.schema import SCHEMA_VERSION
from elspeth.core.landscape.tables import tree_heads_table

FORMAT = "elspeth-export"
NAME = "manifest.json"


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """One file of an export; ``records`` counts those in it."""

    path: Path
    records: int
    sha256: str
    bytes: int


def describe(path: Path, records: int) -> ExportedFile:
    """A file that is whole, with its hash and size."""
    with open(path, "rb") as file:
        found = file_digest(file, "sha256").hexdigest()
    return ExportedFile(path, records, found, path.stat().st_size)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a run stood when it was exported: the newest head of its tree (a note), whether purged."""

    head: str | None
    purged: bool


def read_standing(connection: Connection, run_no: int) -> Standing:
    """How a run stands."""
    head = tree_heads_table.c
    newest = select(head.note).where(head.run_no == run_no).order_by(head.head_no.desc()).limit(1)
    return Standing(connection.execute(newest).scalar(), read_purge(connection, run_no) is not None)


def manifest(
    run: RunRecord,
    standing: Standing,
    form: str,
    counts: Mapping[str, int],
    files: Mapping[str, ExportedFile],
) -> bytes:
    """The manifest as JSON. It holds no time of its own: exports of an unchanged run have equal ones."""
    document: dict[str, Any] = {
        "format": FORMAT,
        "version": 1,
        "run_id": run.run_id,
        "status": run.status,
        "config_hash": run.config_hash,
        "landscape_version": SCHEMA_VERSION,
        "elspeth_version": __version__,
        "export_format": form,
        "payloads": "purged" if standing.purged else "complete",
        "tree_head": standing.head,
        "records": dict(counts),
        "files": {
            name: {"sha256": file.sha256, "bytes": file.bytes, "records": file.records}
            for name, file in files.items()
        },
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
