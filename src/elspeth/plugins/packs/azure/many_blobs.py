"""One blob per row."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from elspeth.contracts.errors import SinkError
from elspeth.contracts.plugins import Artifact, Row, RowFailure
from elspeth.plugins.packs.azure.blob_part import RUN_KEY, Place
from elspeth.plugins.packs.azure.names import BlobName
from elspeth.providers.azure_blob.errors import BlobExistsError
from elspeth.providers.azure_blob.uploads import SHA256_KEY, Label

TOKEN_KEY = "elspeth_token_id"
Encode = Callable[[Row], bytes]


class ManyBlobs:
    """Uploads each row as a blob of its own, several at a time.

    A row that was written before (by a process that died before the commit) is the same blob again. The
    artifact's hash is that of all names and hashes, chained in the order of the rows.
    """

    def __init__(self, place: Place, template: BlobName, encode: Encode, concurrency: int) -> None:
        self._place = place
        self._template = template
        self._encode = encode
        self._names: dict[bytes, tuple[str, bytes]] = {}
        self._pool = ThreadPoolExecutor(concurrency, "blob-rows")
        self._rows = 0
        self._bytes = 0
        self._chain = hashlib.sha256(b"").hexdigest()
        self._resumed = False
        self._repeats = False

    def write(
        self, rows: Sequence[Row], known: Sequence[Mapping[str, str]], *, repeats: bool
    ) -> list[RowFailure]:
        """Upload the rows; ``known`` are the template's variables for each.

        ``repeats``: the same row may have been written before, by a process that died.
        """
        self._repeats = repeats
        failures: list[RowFailure] = []
        jobs: list[tuple[int, str, bytes, str]] = []
        for index, (row, variables) in enumerate(zip(rows, known, strict=True)):
            token_id = variables.get("token_id", "")
            try:
                name = self._template.render(row, dict(variables))
                data = self._encode(row)
                self._claim(name, token_id, data)
            except ValueError as error:
                failures.append(RowFailure(index, str(error)))
                continue
            jobs.append((index, name, data, token_id))
        for job, outcome in zip(jobs, list(self._pool.map(self._upload, jobs)), strict=True):
            index, name, data, _ = job
            if isinstance(outcome, ValueError):
                failures.append(RowFailure(index, str(outcome)))
                continue
            self._rows += 1
            self._bytes += len(data)
            self._chain = hashlib.sha256(f"{self._chain}\n{name}\n{outcome}".encode()).hexdigest()
        return failures

    def _claim(self, name: str, token_id: str, data: bytes) -> None:
        """Remember whose name it is. The same row may come again, another one may not have its name."""
        owner = token_id or f"row {self._rows + len(self._names)}"
        mine = (owner, _short_hash(data))
        found = self._names.setdefault(_short_hash(name.encode()), mine)
        if found != mine:
            raise _taken(name, found[0])

    def _upload(self, job: tuple[int, str, bytes, str]) -> str | ValueError:
        """The content's hash, or why this row can't have its name."""
        _, name, data, token_id = job
        place = self._place
        # A resumed run doesn't know the names of the rows before the crash: it looks before it overwrites.
        overwrite = place.overwrite and not self._resumed
        known = {**place.metadata, RUN_KEY: place.run_id, TOKEN_KEY: token_id}
        label = Label(place.content_type, known, place.tags)
        try:
            return place.client.upload_blob(
                place.container, name, data, overwrite=overwrite, label=label
            ).sha256
        except BlobExistsError as error:
            found = place.client.get_blob_properties(place.container, name).metadata
            owner = found.get(TOKEN_KEY, "")
            ours = self._repeats and found.get(RUN_KEY) == place.run_id and owner != ""
            if ours and owner != token_id:
                return _taken(name, owner)
            sha256 = hashlib.sha256(data).hexdigest()
            if ours and found.get(SHA256_KEY) == sha256:
                return sha256
            if not place.overwrite:
                raise SinkError(
                    f"blob {place.container}/{name} exists already, and overwrite is false",
                    fix="delete it, choose another name (with {run_id}), or set overwrite: true",
                ) from error
        return place.client.upload_blob(place.container, name, data, overwrite=True, label=label).sha256

    def position(self) -> dict[str, Any]:
        """What the artifact tells, so far."""
        return {"rows": self._rows, "bytes": self._bytes, "chain": self._chain}

    def restore(self, position: Mapping[str, Any]) -> None:
        """Go on counting. Blobs written after the position are written again, under the same names."""
        self._rows, self._bytes = int(position.get("rows", 0)), int(position.get("bytes", 0))
        self._chain = str(position.get("chain", self._chain))
        self._resumed = True

    def publish(self) -> Artifact:
        """Everything is visible already."""
        place = self._place
        uri = f"{place.client.url}/{place.container}/{self._template.template}"
        return Artifact(uri, self._chain, self._bytes, self._rows)

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _short_hash(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def _taken(name: str, owner: str) -> ValueError:
    return ValueError(f"the blob name {name[:200]!r} is that of another row of this run, {owner}")
