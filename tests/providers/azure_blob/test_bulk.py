"""Much at once: a large blob up and down within a bounded memory, and many small ones."""

import hashlib
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from elspeth.contracts import PluginContext
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.recorder import LandscapeRecorder
from elspeth.plugins.packs.azure import AzureBlobSource
from elspeth.providers.azure_blob.client import AzureBlobClient
from elspeth.testing.azurite import Azurite

MIB = 1024 * 1024
MOST_MEMORY = 200_000_000

# In a process of its own, whose peak of memory is that of the work.
WORK = """
import json, sys
from pathlib import Path
from elspeth.providers.azure_blob.client import AzureBlobClient

connection, container, here, there = sys.argv[1:]
with AzureBlobClient(connection_string=connection) as client:
    with open(here, "rb") as file:
        up = client.upload_blob_staged(container, "large", file)
    down = client.download_to_file(container, "large", Path(there))
# Not ru_maxrss: that begins with the size of the process that started this one.
peak = next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({"sha256": up.sha256, "size": up.size, "etag": up.etag == down.info.etag, "peak": peak}))
"""


def fill(path: Path, mib: int) -> str:
    """A file that is different in every block; returns its hash."""
    block, whole = hashlib.shake_256(b"bulk").digest(MIB), hashlib.sha256()
    with open(path, "wb") as file:
        for number in range(mib):
            piece = number.to_bytes(8, "big") + block[8:]
            file.write(piece)
            whole.update(piece)
    return whole.hexdigest()


def hash_of(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.mark.parametrize("mib", [48, pytest.param(1024, marks=pytest.mark.soak)])
def test_a_large_blob_up_and_down(azurite: Azurite, container: str, tmp_path: Path, mib: int) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    sha256 = fill(here, mib)
    done = subprocess.run(
        [sys.executable, "-c", WORK, azurite.connection_string, container, str(here), str(there)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["peak"] <= MOST_MEMORY
    assert (told["sha256"], told["size"], told["etag"]) == (sha256, mib * MIB, True)
    assert hash_of(there) == sha256


@pytest.mark.parametrize("count", [120, pytest.param(5_000, marks=pytest.mark.soak)])
@pytest.mark.parametrize("quick", [False, True])
def test_many_small_blobs_as_rows(
    azurite: Azurite, client: AzureBlobClient, container: str, count: int, quick: bool
) -> None:
    if quick:
        pytest.importorskip("obstore")

    def put(number: int) -> str:
        return client.upload_blob(container, f"{number:05}.json", json.dumps({"id": number})).etag

    with ThreadPoolExecutor(8) as pool:
        etags = list(pool.map(put, range(count)))
    db = LandscapeDB.in_memory()
    recorder = LandscapeRecorder(db)
    source = AzureBlobSource(
        {"connection_string": azurite.connection_string, "container": container, "quick_reads": quick}
    )
    rows = list(source.load(PluginContext(run_id="run-1", landscape=recorder, state_id="state-1")))
    source.close()
    calls = recorder.get_external_calls(state_id="run-1-azure_blob")
    db.close()
    assert [(row["id"], row["_blob_etag"]) for row in rows] == list(enumerate(etags))
    reads = [call for call in calls if call.operation == "download_blob"]
    assert sorted(json.loads(str(call.response))["etag"] for call in reads) == sorted(etags)
    assert {call.status for call in reads} == {"success"}
    assert all(call.latency_ms > 0 for call in reads)
