"""A storage service that says what a test tells it to, for what the emulator lacks; and a query's Avro."""

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from elspeth.testing.azurite import KEY


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What it is answered."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @classmethod
    def error(cls, status: int, code: str) -> "Answer":
        body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>no</Message></Error>'
        return cls(status, {"x-ms-error-code": code, "Content-Type": "application/xml"}, body.encode())


class BlobWire:
    """Answers each request as ``answer`` says; ``asked`` is what came, its headers in lower case."""

    def __init__(self, answer: Callable[[Asked], Answer]) -> None:
        self.asked: list[Asked] = []
        wire = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked = Asked(self.command, self.path, headers, body)
                wire.asked.append(asked)
                found = answer(asked)
                self.send_response_only(found.status)
                for name, value in {"x-ms-request-id": "wire-1", **found.headers}.items():
                    self.send_header(name, value)
                if "Content-Length" not in found.headers:
                    self.send_header("Content-Length", str(len(found.body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(found.body)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_one

            def log_message(self, format: str, *args: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/acme"
        self.connection_string = (
            f"DefaultEndpointsProtocol=http;AccountName=acme;AccountKey={KEY};BlobEndpoint={self.url};"
        )

    def __enter__(self) -> "BlobWire":
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


_PREFIX = "com.microsoft.azure.storage.queryBlobContents."
_RECORDS: dict[str, list[tuple[str, str]]] = {
    "resultData": [("data", "bytes")],
    "error": [("fatal", "boolean"), ("name", "string"), ("description", "string"), ("position", "long")],
    "progress": [("bytesScanned", "long"), ("totalBytes", "long")],
    "end": [("totalBytes", "long")],
}
_SYNC = bytes(range(16))


def query_answer(*records: tuple[str, Sequence[Any]], per_block: int = 1) -> bytes:
    """An Avro file of these (kind, values) records, as Query Blob Contents sends it."""
    schema = [
        {
            "type": "record",
            "name": _PREFIX + name,
            "fields": [{"name": field, "type": kind} for field, kind in fields],
        }
        for name, fields in _RECORDS.items()
    ]
    meta = {"avro.schema": json.dumps(schema).encode(), "avro.codec": b"null"}
    made = b"Obj\x01" + _long(len(meta))
    for name, value in meta.items():
        made += _bytes(name.encode()) + _bytes(value)
    made += _long(0) + _SYNC
    for start in range(0, len(records), per_block):
        block = [_record(kind, values) for kind, values in records[start : start + per_block]]
        data = b"".join(block)
        made += _long(len(block)) + _long(len(data)) + data + _SYNC
    return made


def _record(kind: str, values: Sequence[Any]) -> bytes:
    made = _long(list(_RECORDS).index(kind))
    for (_, form), value in zip(_RECORDS[kind], values, strict=True):
        if form == "boolean":
            made += bytes([value])
        elif form == "long":
            made += _long(value)
        else:
            made += _bytes(value if isinstance(value, bytes) else value.encode())
    return made


def _bytes(value: bytes) -> bytes:
    return _long(len(value)) + value


def _long(value: int) -> bytes:
    """Zigzag, seven bits at a time."""
    left = (value << 1) ^ (value >> 63)
    made = bytearray()
    while left > 0x7F:
        made.append(left & 0x7F | 0x80)
        left >>= 7
    made.append(left)
    return bytes(made)
