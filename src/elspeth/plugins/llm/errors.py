"""What can go wrong with a call, as kinds that people and programs can tell apart."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """The kinds of failure. What each means is in docs/how-to/llm.md."""

    CONTENT_FILTER = "content_filter"
    REFUSAL = "refusal"
    CONTEXT_TOO_LONG = "context_too_long"
    REFUSED_KEY = "refused_key"
    MODEL_NOT_FOUND = "model_not_found"
    BAD_REQUEST = "bad_request"
    QUOTA_EXCEEDED = "quota_exceeded"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    SERVER_ERROR = "server_error"
    TIMEOUT = "timeout"
    CONNECTION_FAILED = "connection_failed"
    MALFORMED_RESPONSE = "malformed_response"
    INVALID_OUTPUT = "invalid_output"
    CIRCUIT_OPEN = "circuit_open"
    NOT_RECORDED = "not_recorded"
    DRIFT = "drift"
    MISSING_FIELD = "missing_field"
    TEMPLATE_ERROR = "template_error"
    INVALID_TEXT = "invalid_text"
    FIELD_EXISTS = "field_exists"


class Feedback(StrEnum):
    """What a failure says about the service."""

    ANSWERED = "answered"  # it works; this request was the trouble
    THROTTLED = "throttled"
    BROKEN = "broken"
    NONE = "none"


RETRYABLE = frozenset(
    {
        Kind.RATE_LIMITED, Kind.OVERLOADED, Kind.SERVER_ERROR, Kind.TIMEOUT, Kind.CONNECTION_FAILED,
        Kind.MALFORMED_RESPONSE, Kind.CIRCUIT_OPEN,
    }
)  # fmt: skip
_FEEDBACK = {
    Kind.RATE_LIMITED: Feedback.THROTTLED,
    Kind.OVERLOADED: Feedback.THROTTLED,
    Kind.SERVER_ERROR: Feedback.BROKEN,
    Kind.TIMEOUT: Feedback.BROKEN,
    Kind.CONNECTION_FAILED: Feedback.BROKEN,
    Kind.MALFORMED_RESPONSE: Feedback.BROKEN,
    Kind.NOT_RECORDED: Feedback.NONE,
}
_BY_STATUS = {
    401: Kind.REFUSED_KEY,
    402: Kind.QUOTA_EXCEEDED,
    403: Kind.REFUSED_KEY,
    404: Kind.MODEL_NOT_FOUND,
    408: Kind.TIMEOUT,
    413: Kind.CONTEXT_TOO_LONG,
    429: Kind.RATE_LIMITED,
    503: Kind.OVERLOADED,
    529: Kind.OVERLOADED,
}
_BY_CODE = {
    "content_filter": Kind.CONTENT_FILTER,
    "content_policy_violation": Kind.CONTENT_FILTER,
    "responsibleaipolicyviolation": Kind.CONTENT_FILTER,
    "context_length_exceeded": Kind.CONTEXT_TOO_LONG,
    "string_above_max_length": Kind.CONTEXT_TOO_LONG,
    "model_not_found": Kind.MODEL_NOT_FOUND,
    "deploymentnotfound": Kind.MODEL_NOT_FOUND,
    "invalid_api_key": Kind.REFUSED_KEY,
    "insufficient_quota": Kind.QUOTA_EXCEEDED,
    "rate_limit_exceeded": Kind.RATE_LIMITED,
}
_LONGEST_MESSAGE = 500


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a call gave no answer. ``message`` is for people and holds no secrets.

    ``status`` is the HTTP status if there was one, ``code`` the provider's own word for it,
    ``retry_after`` seconds that the service asked to wait.
    """

    kind: Kind
    message: str
    status: int | None = None
    code: str | None = None
    retry_after: float | None = None
    request_id: str | None = None

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later."""
        return self.kind in RETRYABLE

    @property
    def feedback(self) -> Feedback:
        """What this says about the service."""
        return _FEEDBACK.get(self.kind, Feedback.ANSWERED)

    def facts(self) -> dict[str, Any]:
        """As it goes on record: only what is known."""
        pairs = {
            "error": self.message, "kind": self.kind.value, "status": self.status, "code": self.code,
            "retry_after": self.retry_after, "request_id": self.request_id, "retryable": self.retryable,
        }  # fmt: skip
        return {name: value for name, value in pairs.items() if value is not None}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> "Failure":
        """The failure that `facts` were taken from."""
        names = ("status", "code", "retry_after", "request_id")
        return cls(Kind(facts["kind"]), facts["error"], **{name: facts.get(name) for name in names})


def http_failure(status: int, body: Any, headers: Mapping[str, str], now: datetime | None = None) -> Failure:
    """What an answer with an error status, or with an ``error`` object in it, means.

    The provider's own code counts more than the status: 400 stands for a dozen things.
    """
    code, message = _error_of(body)
    kind = _BY_CODE.get((code or "").lower())
    if kind is None or (kind is Kind.RATE_LIMITED and status != 429):
        kind = _BY_STATUS.get(status) or (Kind.SERVER_ERROR if status >= 500 else _by_text(message))
    text = f"HTTP {status}: {message or _PLAIN.get(kind, 'no reason was given')}"
    failure = Failure(
        kind, text[:_LONGEST_MESSAGE], status, code, request_id=headers.get("x-request-id") or headers.get(
            "apim-request-id"))  # fmt: skip
    if failure.retryable:
        return replace(failure, retry_after=retry_after(headers, now or datetime.now(UTC)))
    return failure


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds for which a service asked to be left alone, by any header in use; None: it did not."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after")
    seconds = _number(text)
    if seconds is not None or text is None:
        return seconds
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (moment - now).total_seconds()) if moment.tzinfo is not None else None


_PLAIN = {
    Kind.REFUSED_KEY: "the key was refused",
    Kind.MODEL_NOT_FOUND: "there is no such model or deployment",
    Kind.RATE_LIMITED: "too many requests",
    Kind.OVERLOADED: "the service is overloaded",
    Kind.SERVER_ERROR: "the service failed",
}


def _error_of(body: Any) -> tuple[str | None, str]:
    """The provider's code and message, as OpenAI, Azure, OpenRouter and vLLM write them."""
    error = body.get("error", body) if isinstance(body, Mapping) else body
    if not isinstance(error, Mapping):
        return None, str(error or "")[:_LONGEST_MESSAGE]
    flagged = error.get("metadata")
    if isinstance(flagged, Mapping) and flagged.get("reasons"):
        # OpenRouter's moderation answers 403, as it does to a wrong key.
        return Kind.CONTENT_FILTER.value, str(error.get("message") or "")
    inner = error.get("innererror")
    code = inner.get("code") if isinstance(inner, Mapping) else None
    code = code or error.get("code") or error.get("type")
    return (str(code) if code is not None else None), str(error.get("message") or error.get("detail") or "")


def _by_text(message: str) -> Kind:
    """Servers without codes of their own say it in words."""
    lower = message.lower()
    if "context length" in lower or "context window" in lower or "maximum context" in lower:
        return Kind.CONTEXT_TOO_LONG
    if "content management policy" in lower or "content filter" in lower:
        return Kind.CONTENT_FILTER
    return Kind.BAD_REQUEST


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else None
    except ValueError:
        return None
    return value if value is not None and 0 <= value < 1e9 else None
