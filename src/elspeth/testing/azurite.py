"""Azurite, the storage emulator, for tests and demos: a blob service on a free port of this machine."""

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue

from elspeth.contracts.errors import UsageError

ACCOUNT = "devstoreaccount1"
# The emulator's key is the same everywhere, and published: it protects nothing.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_SCRIPT = Path("node_modules") / "azurite" / "dist" / "src" / "blob" / "main.js"
_START_S = 60.0


@dataclass(frozen=True, slots=True)
class Certificate:
    """Files with which the emulator speaks https: then it takes any token credential, too."""

    cert: Path
    key: Path


class Azurite:
    """A running emulator. Ends with `stop`, or with the ``with`` block."""

    def __init__(
        self, root: Path, *, certificate: Certificate | None = None, directory: Path | None = None
    ) -> None:
        """``root`` has the ``node_modules`` of ``make servers``. Raises UsageError if it can't start."""
        script = root / _SCRIPT
        node = shutil.which("node")
        if node is None or not script.is_file():
            raise UsageError("Azurite is not installed", fix="install Node.js 20, then: make servers")
        self._own = tempfile.TemporaryDirectory(prefix="elspeth-azurite-") if directory is None else None
        self.directory = Path(self._own.name) if self._own else directory
        more: list[str] = []
        if certificate:
            more = ["--cert", str(certificate.cert), "--key", str(certificate.key), "--oauth", "basic"]
        self._process = subprocess.Popen(
            [node, str(script), "--blobHost", "127.0.0.1", "--blobPort", "0",
             "--location", str(self.directory), "--silent",
             "--disableTelemetry", "--skipApiVersionCheck", *more],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=_environment(),
        )  # fmt: skip
        self.endpoint = self._listening()

    @property
    def url(self) -> str:
        """The account's URL."""
        return f"{self.endpoint}/{ACCOUNT}"

    @property
    def connection_string(self) -> str:
        """All that a client needs."""
        return self.connection_string_for(self.endpoint)

    @staticmethod
    def connection_string_for(endpoint: str) -> str:
        """The same for a proxy that stands before the emulator."""
        scheme = endpoint.partition(":")[0]
        return (
            f"DefaultEndpointsProtocol={scheme};AccountName={ACCOUNT};AccountKey={KEY};"
            f"BlobEndpoint={endpoint}/{ACCOUNT};"
        )

    def stop(self) -> None:
        """End it; what it stored is gone, unless a directory was given."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        if self._own:
            self._own.cleanup()

    def _listening(self) -> str:
        lines: Queue[str] = Queue()
        thread = threading.Thread(target=self._read, args=(lines,), daemon=True)
        thread.start()
        seen: list[str] = []
        try:
            while True:
                line = lines.get(timeout=_START_S)
                if not line:
                    break
                seen.append(line)
                if "successfully listen" in line:
                    return line.rstrip().rpartition(" ")[2].rstrip("/")
        except Empty:
            pass
        self.stop()
        raise UsageError(f"Azurite did not start: {_tail(seen)}")

    def _read(self, lines: "Queue[str]") -> None:
        assert self._process.stdout is not None
        try:
            for line in self._process.stdout:
                lines.put(line)
        except ValueError:
            pass  # closed while reading: the server was stopped
        lines.put("")

    def __enter__(self) -> "Azurite":
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()


def _environment() -> dict[str, str]:
    return {**os.environ, "AZURITE_TELEMETRY": "false", "NODE_OPTIONS": ""}


def _tail(lines: Sequence[str]) -> str:
    return " ".join(line.strip() for line in lines[-5:]) or "it said nothing"
