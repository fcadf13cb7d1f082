"""The jobs of bench_azure.py; each runs in a process of its own, and prints what its work took.

python benchmarks/azure_jobs.py JOB CONNECTION_STRING PATH SIZE

Loading modules is no part of the work, on either side.
"""

import hashlib
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MIB = 1024 * 1024
CONTAINER = "bench"
SMALL = "small/"
BLOCK = {"connection_data_block_size": MIB}
# What the library's documentation would have one try for speed: MiB per request, and requests at once.
SETTINGS = {"a": (8, 4), "b": (4, 8)}


def sdk(connection: str, mib: int = 8) -> Any:
    """The client library, set for speed."""
    from azure.storage.blob import ContainerClient  # noqa: PLC0415 - each job loads only what it uses

    sizes = {"max_block_size": mib * MIB, "max_chunk_get_size": mib * MIB, "max_single_get_size": mib * MIB}
    return ContainerClient.from_connection_string(connection, CONTAINER, **BLOCK, **sizes)


def ours(connection: str) -> Any:
    """ELSPETH's client."""
    from elspeth.providers.azure_blob.client import AzureBlobClient  # noqa: PLC0415 - see above

    return AzureBlobClient(connection_string=connection)


def up_sdk_a(connection: str, path: Path, _size: int, setting: str = "a") -> None:
    """Upload a file."""
    mib, threads = SETTINGS[setting]
    with sdk(connection, mib) as container, open(path, "rb") as file:
        container.upload_blob("up-sdk", file, overwrite=True, max_concurrency=threads)


def up_sdk_b(connection: str, path: Path, size: int) -> None:
    """The same with other settings."""
    up_sdk_a(connection, path, size, "b")


def up_ours(connection: str, path: Path, _size: int) -> None:
    """Upload a file, with MD5 of every block, SHA-256 of the whole, and resumable."""
    with ours(connection) as client, open(path, "rb") as file:
        client.upload_blob_staged(CONTAINER, "up-ours", file)


def down_sdk_a(connection: str, path: Path, _size: int, setting: str = "a") -> None:
    """Download into a file."""
    mib, threads = SETTINGS[setting]
    with sdk(connection, mib) as container, open(path, "wb") as file:
        container.download_blob("up-sdk", max_concurrency=threads).readinto(file)


def down_sdk_b(connection: str, path: Path, size: int) -> None:
    """The same with other settings."""
    down_sdk_a(connection, path, size, "b")


def down_ours(connection: str, path: Path, _size: int) -> None:
    """Download into a file, all of one version."""
    with ours(connection) as client:
        client.download_to_file(CONTAINER, "up-sdk", path)


def small_sdk(connection: str, _path: Path, size: int) -> None:
    """Read many small blobs as rows."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - see above

    with sdk(connection) as container, ThreadPoolExecutor(8) as pool:
        names = container.list_blob_names(name_starts_with=SMALL)
        rows = list(pool.map(lambda name: json.loads(container.download_blob(name).readall()), names))
    assert len(rows) == size


def small_plain(connection: str, path: Path, size: int) -> None:
    """The same through the azure_blob source, without obstore."""
    small_ours(connection, path, size, quick=False)


def small_ours(connection: str, _path: Path, size: int, *, quick: bool = True) -> None:
    """The same through the azure_blob source, with obstore where it is installed."""
    from elspeth.contracts import PluginContext  # noqa: PLC0415 - see above
    from elspeth.plugins.packs.azure import AzureBlobSource  # noqa: PLC0415 - see above

    options = {
        "connection_string": connection,
        "container": CONTAINER,
        "blob_pattern": f"{SMALL}*",
        "quick_reads": quick,
    }
    source = AzureBlobSource(options)
    rows = list(source.load(PluginContext()))
    source.close()
    assert len(rows) == size


def _fill(sink: Any, size: int) -> None:
    from elspeth.contracts import PluginContext  # noqa: PLC0415 - see above
    from elspeth.contracts.tokens import TokenInfo  # noqa: PLC0415 - see above

    rows = [{"id": number, "name": f"name {number}", "amount": number * 1.25} for number in range(8192)]
    tokens = [TokenInfo(str(number), f"{number}-0") for number in range(8192)]
    ctx = PluginContext(run_id="bench", node_id="out")
    sink.on_start(ctx)
    left = size
    while left:
        count = min(left, 8192)
        ctx.tokens = tokens[:count]
        sink.write(rows[:count], ctx)
        sink.flush()
        left -= count
    sink.publish()
    sink.close()


def sink_file(_connection: str, path: Path, size: int) -> None:
    """Rows into a local JSONL file."""
    from elspeth.plugins.sinks.json_sink import JsonSink  # noqa: PLC0415 - see above

    _fill(JsonSink({"path": str(path)}), size)


def sink_blob(connection: str, path: Path, size: int) -> None:
    """The same rows into a blob."""
    from elspeth.plugins.packs.azure import AzureBlobSink  # noqa: PLC0415 - see above

    _fill(
        AzureBlobSink({"connection_string": connection, "container": CONTAINER, "blob_path": path.name}), size
    )


def send_file(connection: str, path: Path, _size: int) -> None:
    """What the library alone takes for the same bytes."""
    with sdk(connection) as container, open(path, "rb") as file:
        container.upload_blob("send", file, overwrite=True)


def prepare(connection: str, path: Path, size: int) -> None:
    """A container, a file of ``size`` MiB that does not compress, and 5,000 small blobs."""
    client = ours(connection)
    client.create_container(CONTAINER)
    block = hashlib.shake_256(b"bench").digest(MIB)
    with open(path, "wb") as file:
        for number in range(size):
            file.write(number.to_bytes(8, "big") + block[8:])
    client.close()


def fill_small(connection: str, _path: Path, size: int) -> None:
    """Small blobs, one row each."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - see above

    with ours(connection) as client, ThreadPoolExecutor(8) as pool:

        def put(number: int) -> None:
            row = {"id": number, "name": f"name {number}", "text": "x" * 400}
            client.upload_blob(CONTAINER, f"{SMALL}{number:05}.json", json.dumps(row), overwrite=True)

        list(pool.map(put, range(size)))


JOBS: dict[str, Callable[[str, Path, int], None]] = {
    job.__name__: job
    for job in (
        prepare, fill_small, up_sdk_a, up_sdk_b, up_ours, down_sdk_a, down_sdk_b, down_ours,
        small_sdk, small_plain, small_ours, sink_file, sink_blob, send_file,
    )
}  # fmt: skip


def load(name: str) -> None:
    """Import what a job will use, so that its work alone is measured."""
    import azure.storage.blob  # noqa: F401, PLC0415 - see above

    if name.endswith(("_ours", "_plain", "_file", "_blob")):
        import elspeth.plugins.packs.azure  # noqa: PLC0415 - see above
        import elspeth.plugins.sinks.json_sink  # noqa: F401, PLC0415 - see above


def main() -> None:
    """Do one job, and print seconds by the clock, seconds of CPU, and peak bytes."""
    name, connection, file_name, amount = sys.argv[1:]
    load(name)
    cpu, wall = time.process_time(), time.perf_counter()
    JOBS[name](connection, Path(file_name), int(amount))
    took = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    sys.stdout.write(json.dumps({**took, "peak": peak}) + "\n")


if __name__ == "__main__":
    main()
