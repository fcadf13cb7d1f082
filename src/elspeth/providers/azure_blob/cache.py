"""Blobs kept on this machine: files named by their content, looked up by blob and ETag."""

import hashlib
import json
import os
import time
from pathlib import Path

from elspeth.providers.azure_blob.downloads import Downloads
from elspeth.providers.azure_blob.info import BlobInfo

_FOREVER = 7 * 24 * 3600.0


class BlobCache:
    """A directory of blobs. Several processes may use it at once: files appear and go in one step.

    An entry is right as long as the blob has the ETag that it was fetched with, which the service is
    asked for; within ``trust_s`` seconds of the last look it is not asked. Entries not used for ``ttl_s`` go,
    and the least recently used ones when all are larger than ``max_bytes``.
    """

    def __init__(
        self, directory: Path, max_bytes: int, *, ttl_s: float = _FOREVER, trust_s: float = 0.0
    ) -> None:
        self._contents = directory / "contents"
        self._names = directory / "names"
        self._max_bytes = max_bytes
        self._ttl = ttl_s
        self._trust = trust_s
        for place in (self._contents, self._names):
            place.mkdir(parents=True, exist_ok=True)

    def get(self, client: Downloads, info: BlobInfo) -> Path:
        """A file with the content that the blob has under this ETag; fetched if need be.

        Don't change it, and read it soon: an entry that makes room for others is deleted (an open file
        stays readable). Raises BlobError.
        """
        name = self._name(client.account_name, info.container, info.name)
        if (content := self._known(name, info.etag)) is not None:
            return content
        fresh = self._contents / f".{os.getpid()}-{hashlib.sha256(name.name.encode()).hexdigest()[:16]}"
        try:
            sha256 = client.download_to_file(
                info.container, info.name, fresh, if_match=info.etag, hashed=True
            ).sha256
            content = self._contents / f"{sha256}{Path(info.name).suffix[:16]}"
            os.replace(fresh, content)
        finally:
            fresh.unlink(missing_ok=True)
        self._write(name, {"etag": info.etag, "content": content.name, "seen": time.time()})
        self._make_room(content)
        return content

    def fetch(self, client: Downloads, container: str, blob: str) -> Path:
        """The same for a blob by name: within ``trust_s`` without a call, else its ETag is looked up."""
        name = self._name(client.account_name, container, blob)
        entry = self._read(name)
        if entry and time.time() - float(str(entry["seen"])) < self._trust:
            content = self._contents / str(entry["content"])
            if content.exists():
                return content
        info = client.get_blob_properties(container, blob)  # type: ignore[attr-defined]
        return self.get(client, info)

    def clear(self) -> None:
        """Delete everything."""
        for place in (self._names, self._contents):
            for path in place.iterdir():
                path.unlink(missing_ok=True)

    def _name(self, account: str, container: str, blob: str) -> Path:
        return self._names / hashlib.sha256(f"{account}\0{container}\0{blob}".encode()).hexdigest()

    def _known(self, name: Path, etag: str) -> Path | None:
        entry = self._read(name)
        if not entry or entry.get("etag") != etag:
            return None
        content = self._contents / str(entry["content"])
        try:
            os.utime(content)  # least recently used goes first
        except FileNotFoundError:
            return None
        self._write(name, {**entry, "seen": time.time()})
        return content

    def _read(self, name: Path) -> dict[str, object] | None:
        try:
            found: dict[str, object] = json.loads(name.read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        return found

    def _write(self, name: Path, entry: dict[str, object]) -> None:
        part = name.with_name(f".{name.name}.{os.getpid()}")
        part.write_text(json.dumps(entry), encoding="utf-8")
        os.replace(part, name)

    def _make_room(self, keep: Path) -> None:
        """Another process may be at it, too: what is gone already is gone."""
        found = []
        for path in self._contents.iterdir():
            if path.name.startswith("."):
                continue
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue
            found.append((stat.st_mtime, stat.st_size, path))
        total = sum(size for _, size, _ in found)
        oldest_allowed = time.time() - self._ttl
        for used, size, path in sorted(found, key=lambda item: item[0]):
            if path == keep or (total <= self._max_bytes and used >= oldest_allowed):
                continue
            path.unlink(missing_ok=True)
            total -= size
