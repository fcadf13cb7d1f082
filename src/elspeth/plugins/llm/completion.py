"""From what a server sent to an answer or a failure, in OpenAI's format, as everybody speaks it."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson

from elspeth.plugins.llm.errors import Failure, Kind, http_failure


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one call: ``text``, or a ``failure``. ``recorded`` is what goes on record of the response.

    Token counts are the provider's own, None where it gave none. ``latency_ms`` is from the first
    byte sent to the last received. ``cost`` is what the provider itself says that it charged.
    """

    text: str = ""
    model: str = ""
    finish_reason: str = ""
    tokens_in: int | None = None
    tokens_out: int | None = None
    failure: Failure | None = None
    recorded: str | None = None
    request_id: str | None = None
    latency_ms: float = 0.0
    cost: Decimal | None = None


def read_completion(status: int, headers: Mapping[str, str], body: bytes, latency_ms: float = 0.0) -> Answer:
    """The answer in an HTTP response. Never raises: what can't be read is a failure.

    ``headers`` must find lower-case names.
    """
    request_id = headers.get("x-request-id") or headers.get("apim-request-id")
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _unreadable(status, headers, body, latency_ms)
    recorded = _record(status, request_id, body)
    if status >= 400:
        failure = http_failure(status, data, headers)
        return Answer(failure=failure, recorded=recorded, request_id=request_id, latency_ms=latency_ms)
    return answer_from(data, recorded, request_id, status=status, latency_ms=latency_ms)


def answer_from(
    data: Any, recorded: str | None, request_id: str | None, *, status: int = 200, latency_ms: float = 0.0
) -> Answer:
    """The answer in a parsed body of a 200."""
    if isinstance(data, Mapping) and isinstance(data.get("error"), Mapping) and not data.get("choices"):
        # Gateways answer 200 and put the provider's error inside.
        code = data["error"].get("code")
        inner = code if isinstance(code, int) and 400 <= code < 600 else 500
        failure = http_failure(inner, data, {})
        return Answer(failure=failure, recorded=recorded, request_id=request_id, latency_ms=latency_ms)
    try:
        choice = data["choices"][0]
        message = choice["message"]
        text = _text_of(message.get("content"))
        reason, model, usage = choice.get("finish_reason"), data.get("model"), data.get("usage")
        refusal = message.get("refusal")
    except (AttributeError, IndexError, KeyError, TypeError):
        text = reason = model = usage = refusal = None
    tokens_in, tokens_out = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
    wrong = None
    if reason == "content_filter":
        wrong = Failure(Kind.CONTENT_FILTER, "the provider's content filter withheld the answer", status)
    elif refusal or reason == "refusal":
        said = str(refusal or text or "without a word")[:300]
        wrong = Failure(Kind.REFUSAL, f"the model refused: {said}", status)
    elif text is None:
        wrong = Failure(Kind.MALFORMED_RESPONSE, "the response holds no answer", status)
    return Answer(
        text or "", str(model or ""), str(reason or ""), tokens_in, tokens_out, wrong, recorded, request_id,
        latency_ms, _cost(usage),
    )  # fmt: skip


def _unreadable(status: int, headers: Mapping[str, str], body: bytes, latency_ms: float) -> Answer:
    text = body[:2000].decode("utf-8", "replace")
    if status >= 400:
        failure = http_failure(status, text if "<" not in text else "", headers)
    else:
        failure = Failure(Kind.MALFORMED_RESPONSE, "the response is no JSON, or only the head of it", status)
    recorded = orjson.dumps({"status": status, "text": text}).decode()
    return Answer(failure=failure, recorded=recorded, latency_ms=latency_ms)


def _record(status: int, request_id: str | None, body: bytes) -> str:
    head = orjson.dumps({"status": status, "request_id": request_id})[:-1]
    return (head + b',"body":' + body.strip() + b"}").decode()


def _text_of(content: Any) -> str | None:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, Mapping)]
        texts = [part for part in parts if isinstance(part, str)]
        return "".join(texts) if texts else None
    return None


def _count(usage: Any, name: str) -> int | None:
    value = usage.get(name) if isinstance(usage, Mapping) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _cost(usage: Any) -> Decimal | None:
    value = usage.get("cost") if isinstance(usage, Mapping) else None
    return Decimal(str(value)) if isinstance(value, int | float) and value >= 0 else None
