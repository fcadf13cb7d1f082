"""A model server on this machine, for tests, trials and measurements: fast, wayward on demand, and it counts.

It speaks OpenAI's chat completions, Azure's URLs included. Its own count of calls, and of calls in
flight, is what tests compare records with.
"""

import asyncio
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, Self

import orjson

FAULTS = ("429", "500", "503", "malformed", "truncated", "disconnect")
REFUSALS = ("refusal", "content_filter", "filtered_prompt")
"""Faults too, but only those that are named: answers that a model refuses, that a provider withholds, and
prompts that Azure turns away with a 400."""
_STATUS = {
    200: b"OK",
    400: b"Bad Request",
    401: b"Unauthorized",
    404: b"Not Found",
    429: b"Too Many Requests",
}
Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How the server behaves. Times in seconds.

    ``latency_s`` is the mean; ``jitter`` spreads it evenly by that share to both sides, ``lognormal``
    (a sigma) makes most calls faster and a few very slow. Of all calls, ``error_rate`` (0–1) get one of
    ``faults``, chosen by ``seed``. ``answer`` makes the text of an answer from a request's body, ``reply``
    (a status and a body) is given in the place of any answer. Nobody is answered before ``together``
    calls were in flight at one time.
    """

    latency_s: float = 0.0
    jitter: float = 0.0
    lognormal: float = 0.0
    error_rate: float = 0.0
    faults: Sequence[str] = FAULTS
    retry_after: str = "0.05"
    seed: int = 0
    answer: Callable[[Body], str] | None = None
    reply: tuple[int, Any] | None = None
    together: int = 0


def echo(body: Body) -> str:
    """The last message, back again."""
    return str(body["messages"][-1]["content"])


class LoopbackLLM:
    """A context manager: the server runs on a free port of 127.0.0.1, on a thread of its own.

    ``calls`` counts requests, ``answered`` those that got a good answer, ``faults`` the others by kind,
    ``peak_in_flight`` the most at one time. ``requests`` holds the last 1,000 bodies. ``behaviour`` may be
    changed while it runs.
    """

    def __init__(self, behaviour: Behaviour | None = None) -> None:
        self.behaviour = behaviour or Behaviour()
        self.calls = self.answered = self.in_flight = self.peak_in_flight = 0
        self.faults: Counter[str] = Counter()
        self.requests: deque[dict[str, Any]] = deque(maxlen=1000)
        self.paths: Counter[str] = Counter()
        self.random = Random(self.behaviour.seed)
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="loopback-llm", daemon=True)
        self._transports: set[asyncio.BaseTransport] = set()
        self._held: list[Callable[[], None]] = []
        self.port = 0

    @property
    def url(self) -> str:
        """The base: what Azure calls the endpoint; OpenAI's base URL is this and ``/v1``."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the server; connections are closed."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        make = self._loop.create_server(lambda: _Connection(self), "127.0.0.1", self.port, backlog=4096)
        server = self._loop.run_until_complete(make)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for transport in list(self._transports):
            transport.close()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.run_until_complete(server.wait_closed())
        self._loop.close()

    def delay(self) -> float:
        """How long the next answer takes."""
        how = self.behaviour
        if how.lognormal:
            # The mean of the distribution is latency_s.
            return how.latency_s * self.random.lognormvariate(-(how.lognormal**2) / 2, how.lognormal)
        return how.latency_s * (1 + how.jitter * self.random.uniform(-1, 1))

    def hold(self, reply: Callable[[], None]) -> bool:
        """Keep a reply back until enough calls are in flight; False: it need not wait."""
        if self.peak_in_flight < self.behaviour.together:
            self._held.append(reply)
            return True
        for held in self._held:
            self._loop.call_soon(held)
        self._held.clear()
        return False

    def fault(self) -> str | None:
        """What goes wrong with the next call, if anything."""
        how = self.behaviour
        if how.error_rate and self.random.random() < how.error_rate:
            return self.random.choice(list(how.faults))
        return None


class _Connection(asyncio.Protocol):
    def __init__(self, server: LoopbackLLM) -> None:
        self._server = server
        self._data = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server._transports.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._server._transports.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, found, rest = self._data.partition(b"\r\n\r\n")
        if not found:
            return
        length = 0
        for line in head.split(b"\r\n")[1:]:
            if line[:15].lower() == b"content-length:":
                length = int(line[15:])
        if len(rest) < length:
            return
        self._data = rest[length:]
        self._take(head.split(b" ", 2)[1].decode(), rest[:length])

    def _take(self, path: str, raw: bytes) -> None:
        server = self._server
        server.calls += 1
        server.in_flight += 1
        server.peak_in_flight = max(server.peak_in_flight, server.in_flight)
        server.paths[path] += 1
        body = orjson.loads(raw) if raw else {}
        server.requests.append(body)
        # One number per decision and in the order of requests: the same seed gives the same faults.
        delay, fault = server.delay(), server.fault()
        if server.hold(partial(self._reply, body, fault)):
            return
        if delay > 0:
            server._loop.call_later(delay, self._reply, body, fault)
        else:
            self._reply(body, fault)

    def _reply(self, body: Body, fault: str | None) -> None:
        server, transport = self._server, self._transport
        server.in_flight -= 1
        if transport is None or transport.is_closing():
            server.faults["gone"] += 1
            return
        if fault is not None:
            server.faults[fault] += 1
            self._misbehave(transport, fault)
            return
        if server.behaviour.reply is not None:
            status, content = server.behaviour.reply
            server.faults[str(status)] += 1
            transport.write(
                _response(status, content if isinstance(content, bytes) else orjson.dumps(content))
            )
            return
        server.answered += 1
        answer = server.behaviour.answer or echo
        transport.write(_response(200, completion(answer(body), body, server.calls)))

    def _misbehave(self, transport: asyncio.Transport, fault: str) -> None:
        if fault == "disconnect":
            transport.close()
        elif fault == "malformed":
            transport.write(_response(200, b'{"choices": [{"message": {"role": "assi'))
        elif fault == "truncated":
            whole = _response(200, completion("cut", {"messages": []}, 0))
            transport.write(whole[:-20])
            transport.close()
        elif fault in REFUSALS:
            transport.write(_refused(fault))
        else:
            status = int(fault)
            message = orjson.dumps({"error": {"message": f"injected {status}", "type": "injected"}})
            after = f"Retry-After: {self._server.behaviour.retry_after}\r\n" if status in (429, 503) else ""
            transport.write(_response(status, message, after.encode()))


def _refused(how: str) -> bytes:
    if how == "filtered_prompt":
        error = {"code": "content_filter", "message": "The prompt triggered the content management policy."}
        return _response(400, orjson.dumps({"error": error}))
    body = orjson.loads(completion("", {}, 0))
    if how == "refusal":
        body["choices"][0]["message"] |= {"content": None, "refusal": "I can't help with that."}
    else:
        body["choices"][0]["finish_reason"] = "content_filter"
    return _response(200, orjson.dumps(body))


def completion(text: str, body: Body, number: int) -> bytes:
    """A response as OpenAI would give it; tokens are counted as words."""
    words = sum(len(str(message.get("content", "")).split()) for message in body.get("messages", ()))
    spoken = len(text.split())
    return orjson.dumps(
        {
            "id": f"chatcmpl-{number}",
            "object": "chat.completion",
            "model": body.get("model") or "loopback",
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            ],
            "usage": {
                "prompt_tokens": words,
                "completion_tokens": spoken,
                "total_tokens": words + spoken,
            },
        }
    )


def _response(status: int, body: bytes, headers: bytes = b"") -> bytes:
    return (
        b"HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nx-request-id: loopback\r\n%s"
        b"Content-Length: %d\r\n\r\n%s" % (status, _STATUS.get(status, b"Error"), headers, len(body), body)
    )
