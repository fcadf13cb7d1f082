"""The manifest of an export: what is in it, by which hash each file is known, and what vouches for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any

import orjson

from elspeth.contracts.version import __version__
from elspeth.core.landscape.records import RunRecord
from elspeth.core.landscape.schema import SCHEMA_VERSION

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


def manifest(
    run: RunRecord, form: str, counts: Mapping[str, int], files: Mapping[str, ExportedFile]
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
        "records": dict(counts),
        "files": {
            name: {"sha256": file.sha256, "bytes": file.bytes, "records": file.records}
            for name, file in files.items()
        },
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
