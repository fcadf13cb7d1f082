"""A proxy that makes a storage service's bad days: for tests of what must survive them."""

import http.client
import random
import socket
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_DROPPED = frozenset({"connection", "keep-alive", "transfer-encoding"})
_SLOW_PIECE = 512


class Fault(StrEnum):
    """What may happen to a request."""

    NONE = "none"
    BUSY = "busy"
    """503 ServerBusy with Retry-After, and nothing done."""
    RESET = "reset"
    """The connection ends before anything is done."""
    LOST = "lost"
    """The service does the work, and its answer is lost."""
    CUT = "cut"
    """The connection ends in the middle of the answer's body."""
    SLOW = "slow"
    """The answer's body comes in small pieces."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request as it came by, and what was made of it."""

    method: str
    path: str
    headers: dict[str, str]
    fault: Fault
    status: int | None


Chooser = Callable[[str, str], Fault]


def mixed(seed: int, rate: float) -> Chooser:
    """Faults of all kinds at this rate, always the same ones for a seed and an order of requests."""
    source = random.Random(seed)
    kinds = [fault for fault in Fault if fault is not Fault.NONE]
    return lambda _method, _path: source.choice(kinds) if source.random() < rate else Fault.NONE


@dataclass
class FaultProxy:
    """Stands before ``upstream`` (``http://host:port``) on a free port, until `stop`.

    ``choose`` is asked for every request, by one thread at a time; ``seen`` is what came by.
    """

    upstream: str
    choose: Chooser = lambda _method, _path: Fault.NONE
    retry_after: str = "0"
    seen: list[Exchange] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lock = threading.Lock()
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def counts(self) -> Counter[Fault]:
        """How often each fault was made."""
        with self.lock:
            return Counter(exchange.fault for exchange in self.seen)

    def stop(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> "FaultProxy":
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections that break are what this is for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: FaultProxy

    def _handle(self) -> None:
        owner = self.owner
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with owner.lock:
            fault = owner.choose(self.command, self.path)
        if fault is Fault.BUSY:
            self._note(fault, 503)
            self._refuse()
        elif fault is Fault.RESET:
            self._note(fault, None)
            self._hang_up()
        else:
            self._forward(body, fault)

    def _note(self, fault: Fault, status: int | None) -> None:
        """Before the answer is sent: whoever has it finds the exchange among those that were seen."""
        with self.owner.lock:
            self.owner.seen.append(Exchange(self.command, self.path, dict(self.headers), fault, status))

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _handle

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""

    def _refuse(self) -> None:
        text = b'<?xml version="1.0"?><Error><Code>ServerBusy</Code><Message>busy</Message></Error>'
        self.send_response(503)
        self.send_header("x-ms-error-code", "ServerBusy")
        self.send_header("Content-Type", "application/xml")
        self.send_header("Retry-After", self.owner.retry_after)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _forward(self, body: bytes, fault: Fault) -> None:
        upstream = http.client.HTTPConnection(urlsplit(self.owner.upstream).netloc, timeout=30)
        try:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in _DROPPED:
                    upstream.putheader(name, value)
            upstream.endheaders(body or None)
            answer = upstream.getresponse()
            data = answer.read()
        finally:
            upstream.close()
        self._note(fault, answer.status)
        if fault is Fault.LOST:
            self._hang_up()
        else:
            self._answer(answer, data, fault)

    def _answer(self, answer: http.client.HTTPResponse, data: bytes, fault: Fault) -> None:
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in _DROPPED | {"content-length"}:
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(data))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault is Fault.CUT and data:
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            self._hang_up()
        elif fault is Fault.SLOW:
            for start in range(0, len(data), _SLOW_PIECE):
                self.wfile.write(data[start : start + _SLOW_PIECE])
                self.wfile.flush()
        else:
            self.wfile.write(data)
