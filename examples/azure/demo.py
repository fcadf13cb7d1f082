"""Blobs in, blobs out, killed and resumed, and proved: what `make demo-azure` shows.

Run it from the root of the repository.
"""

import csv
import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

from elspeth.providers.azure_blob.client import AzureBlobClient
from elspeth.testing.azurite import Azurite

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "examples/claims/data/randhie.csv"
OUT = ROOT / "examples/azure/out"
PIPELINE = "examples/azure/pipeline.yaml"
DATABASE = OUT / "landscape.db"
ELSPETH = [sys.executable, "-m", "elspeth"]
_LONGEST_RUN_S = 60.0


def main() -> int:
    """Tell the story; returns an exit code."""
    os.chdir(ROOT)
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    with Azurite(ROOT) as server, AzureBlobClient(connection_string=server.connection_string) as client:
        os.environ["AZURE_STORAGE_CONNECTION_STRING"] = server.connection_string
        say(f"Azurite listens at {server.endpoint}")
        upload(client)
        kill_in_the_middle()
        say("resume it")
        resumed = elspeth("resume", "latest", "--database", f"sqlite:///{DATABASE}")
        if resumed not in (0, 1):
            return resumed
        verify(client)
        say("one row, down to the blob and the ETag that it was read from")
        return elspeth(
            "explain", "latest", "--sink", "review", "--limit", "1", "--database", f"sqlite:///{DATABASE}"
        )


def say(what: str) -> None:
    """One line of the story."""
    sys.stdout.write(f"\n── {what}\n")
    sys.stdout.flush()


def upload(client: AzureBlobClient) -> None:
    """The real records, one blob for each of the places where they were collected."""
    client.create_container("claims")
    with open(DATA, newline="", encoding="utf-8") as lines:
        header, *rows = list(csv.reader(lines))
    places: dict[str, list[list[str]]] = defaultdict(list)
    for row in rows:
        places[row[header.index("site")]].append(row)
    for place, records in sorted(places.items()):
        text = "".join(",".join(cells) + "\n" for cells in [header, *records])
        client.upload_blob("claims", f"incoming/site-{place}.csv", text)
    say(f"{len(rows):,} records are in {len(places)} blobs of the container claims")


def kill_in_the_middle() -> None:
    """Run the pipeline, and end its process the hard way as soon as something is committed."""
    say(f"elspeth run {PIPELINE}")
    process = subprocess.Popen(
        [*ELSPETH, "run", PIPELINE], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + _LONGEST_RUN_S
    while process.poll() is None and committed() == 0 and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    code = process.wait()
    if code >= 0:
        say(f"it was too quick to be killed (it ended with {code}); nothing is left to resume")
    else:
        say(f"killed (signal {-code}) after {committed():,} rows were committed")


def committed() -> int:
    """How many rows are on record."""
    if not DATABASE.exists():
        return 0
    connection = sqlite3.connect(f"file:{DATABASE}?mode=ro", uri=True)
    try:
        found = connection.execute("SELECT max(rows_read) FROM checkpoints").fetchone()
    except sqlite3.OperationalError:
        return 0
    finally:
        connection.close()
    return found[0] or 0


def verify(client: AzureBlobClient) -> None:
    """Each blob's content against the hash that is on record."""
    say("every blob against the hash on record")
    connection = sqlite3.connect(DATABASE)
    query = "SELECT path_or_uri, content_hash, size_bytes FROM artifacts WHERE path_or_uri LIKE '%/results/%'"
    found = connection.execute(query).fetchall()
    calls = connection.execute(
        "SELECT count(*), sum(status = 'error') FROM calls WHERE call_type = 'blob'"
    ).fetchone()
    connection.close()
    for uri, sha256, size in found:
        name = uri.partition("/results/")[2]
        data = client.download_blob("results", name)
        right = (hashlib.sha256(data).hexdigest(), len(data)) == (sha256, size)
        if not right:
            raise SystemExit(f"✗ {name} is not what is on record")
        sys.stdout.write(f"✓ {name}  {size:,} bytes\n  sha256 {sha256}\n")
    sys.stdout.write(f"{calls[0]} storage calls are on record, {calls[1] or 0} of them failed\n")


def elspeth(*arguments: str) -> int:
    """The command line, with its output shown."""
    sys.stdout.flush()
    return subprocess.run([*ELSPETH, *arguments], check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
