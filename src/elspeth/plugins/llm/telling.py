"""Calls as spans, by OpenTelemetry's semantic conventions for generative AI."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import orjson

from elspeth.contracts.spans import Span
from elspeth.plugins.llm.completion import Answer
from elspeth.plugins.llm.endpoint import Endpoint
from elspeth.plugins.llm.work import Ask

_PROVIDERS = {"azure": "azure.ai.openai"}
_SETTINGS = {
    "temperature": "temperature", "top_p": "top_p", "max_tokens": "max_tokens", "seed": "seed",
    "stop": "stop_sequences", "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
}  # fmt: skip


class CallTelling:
    """Tells of each call. Prompts and answers are left out unless ``content`` asks for them."""

    def __init__(self, export: Callable[[Span], None], endpoint: Endpoint, *, content: bool) -> None:
        self._export = export
        self._content = content
        parts = urlsplit(endpoint.url)
        port = parts.port or {"http": 80}.get(parts.scheme, 443)
        self._fixed = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": _PROVIDERS.get(endpoint.provider, endpoint.provider),
            "gen_ai.request.model": endpoint.model,
            "server.address": parts.hostname or "",
            "server.port": port,
        }

    def __call__(self, ask: Ask, answer: Answer, cost: Decimal | None, times: tuple[int, int]) -> None:
        """One call is over; ``times`` are nanoseconds since 1970-01-01 UTC."""
        state_id = ask.work.state_id
        found: dict[str, Any] = {**self._fixed, **_asked(ask), **_answered(answer)}
        found["elspeth.run_id"] = ask.work.run_id
        found["elspeth.state_id"] = state_id
        found["elspeth.call_index"] = index = ask.index
        found["elspeth.attempt"] = ask.attempt + ask.throttles
        if cost is not None:
            found["elspeth.cost"] = float(cost)
        if self._content:
            found["gen_ai.input.messages"] = _messages(ask.messages)
            if answer.failure is None:
                said = {"role": "assistant", "content": answer.text}
                found["gen_ai.output.messages"] = _messages([said], answer.finish_reason)
        failure = answer.failure
        if failure is not None:
            found["error.type"] = failure.kind.value
            if failure.status is not None:
                found["http.response.status_code"] = failure.status
        self._export(
            Span(
                f"chat {self._fixed['gen_ai.request.model']}", found, times[0], times[1],
                None if failure is None else failure.message, f"{state_id}-call-{index}", state_id,
                ask.work.run_id, True,
            )
        )  # fmt: skip


def _asked(ask: Ask) -> dict[str, Any]:
    body = ask.frame.body
    found = {f"gen_ai.request.{name}": body[key] for key, name in _SETTINGS.items() if key in body}
    if ask.query.form is not None:
        found["gen_ai.output.type"] = "json"
    if ask.query.name:
        found["elspeth.query"] = ask.query.name
    return found


def _answered(answer: Answer) -> dict[str, Any]:
    pairs = {
        "gen_ai.response.model": answer.model,
        "gen_ai.response.id": _id_of(answer.recorded),
        "gen_ai.response.finish_reasons": [answer.finish_reason] if answer.finish_reason else None,
        "gen_ai.usage.input_tokens": answer.tokens_in,
        "gen_ai.usage.output_tokens": answer.tokens_out,
    }
    return {name: value for name, value in pairs.items() if value not in (None, "")}


def _id_of(recorded: str | None) -> str | None:
    body = orjson.loads(recorded).get("body") if recorded else None
    found = body.get("id") if isinstance(body, Mapping) else None
    return found if isinstance(found, str) else None


def _messages(turns: list[dict[str, str]], finish_reason: str | None = None) -> str:
    told = []
    for turn in turns:
        one: dict[str, Any] = {
            "role": turn["role"],
            "parts": [{"type": "text", "content": turn["content"]}],
        }
        told.append(one if finish_reason is None else one | {"finish_reason": finish_reason})
    return orjson.dumps(told).decode()
