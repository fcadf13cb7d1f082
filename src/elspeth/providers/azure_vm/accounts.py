"""An account of every request to Azure Resource Manager: what was asked, what came back. Holds no secrets."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, urlsplit

_HIDDEN = frozenset(
    {
        "adminPassword", "customData", "userData", "protectedSettings", "protectedParameters", "parameters",
        "script", "accessSAS", "sasUri",
    }
)  # fmt: skip
_LONGEST_BODY = 65_536


@dataclass(frozen=True, slots=True)
class ArmCall:
    """One HTTP request to Azure Resource Manager, for the record (call type ``arm``).

    ``path`` is without host and query, hashes are SHA-256 (hex) of the bodies, ``body`` is what was sent,
    with hashes for what may hold secrets. ``status`` is 0 where there was no answer, ``request_id`` is
    Azure's own, which its support asks for; ``attempt`` counts from 1. ``code`` and ``message`` are Azure's,
    where it refused.
    """

    method: str
    path: str
    status: int
    started_at: float
    latency_ms: float
    request_hash: str
    response_hash: str
    request_id: str
    attempt: int = 1
    api_version: str = ""
    body: Any = None
    code: str = ""
    message: str = ""
    retry_after: str = ""

    @property
    def ok(self) -> bool:
        """Whether Azure did, or began, what was asked; a 404 to a question is an answer."""
        return 0 < self.status < 400 or (self.status == 404 and self.method in ("GET", "HEAD"))


@dataclass(slots=True)
class Listener:
    """Who is told of requests, in the thread that makes them; see `ConnectionOptions`."""

    on_request: Callable[[str, str], None] | None = None
    on_call: Callable[[ArmCall], None] | None = None


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


def path_of(request: Any) -> str:
    """A request's path: what it is about, without the query, in which Azure puts signatures."""
    return str(urlsplit(request.url).path)


def next_attempt(request: Any) -> int:
    """How often this request is being sent, this time included: the SDK sends the same object again."""
    attempt = getattr(request, "elspeth_attempt", 0) + 1
    request.elspeth_attempt = attempt
    return attempt


def account(request: Any, response: Any, started: float, ended: float, attempt: int) -> ArmCall:
    """The account of a request; ``response`` is None where none came."""
    content = request.content if hasattr(request, "content") else getattr(request, "body", None)
    sent = content.encode() if isinstance(content, str) else content if isinstance(content, bytes) else b""
    answer = _Answer()
    if response is not None:
        # What is streamed is read here; the SDK then gets it from memory.
        got = response.read() if hasattr(response, "read") else response.body()
        answer = _Answer(response.status_code, response.headers, got)
    error = _error(answer)
    return ArmCall(
        method=request.method,
        path=path_of(request),
        status=answer.status,
        started_at=started,
        latency_ms=(ended - started) * 1000.0,
        request_hash=sha256(sent).hexdigest(),
        response_hash=sha256(answer.body).hexdigest() if response is not None else "",
        request_id=answer.headers.get("x-ms-request-id", ""),
        attempt=attempt,
        api_version=next(iter(parse_qs(urlsplit(request.url).query).get("api-version", [])), ""),
        body=_without_secrets(_json(sent)) if 0 < len(sent) <= _LONGEST_BODY else None,
        code=str(error.get("code") or ""),
        message=str(error.get("message") or "")[:1000],
        retry_after=answer.headers.get("Retry-After", ""),
    )


def _error(answer: _Answer) -> Mapping[str, Any]:
    if answer.status < 400:
        return {}
    body = _json(answer.body)
    error = body.get("error", body) if isinstance(body, dict) else {}
    return error if isinstance(error, dict) else {"message": str(error)}


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _without_secrets(body: Any) -> Any:
    if isinstance(body, dict):
        return {
            key: {"sha256": sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()}
            if key in _HIDDEN
            else _without_secrets(value)
            for key, value in body.items()
        }
    return [_without_secrets(item) for item in body] if isinstance(body, list) else body
