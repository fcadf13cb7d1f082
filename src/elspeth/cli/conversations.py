"""What was said in a recorded call to a language model."""

from collections.abc import Iterator
from typing import Any

import orjson


def conversation(request: str | None, response: str | None) -> Iterator[tuple[str, str]]:
    """Who said what, in order: the request's messages, then the answer. Nothing for calls of other kinds."""
    asked = _parsed(request)
    messages = asked.get("messages") if isinstance(asked, dict) else None
    if not isinstance(messages, list):
        return
    for message in messages:
        if isinstance(message, dict) and isinstance(message.get("content"), str):
            role = "prompt" if message.get("role") == "user" else str(message.get("role"))
            yield role, message["content"]
    answer = _answer(_parsed(response))
    if isinstance(answer, str):
        yield "answer", answer


def _answer(recorded: Any) -> Any:
    try:
        return recorded["body"]["choices"][0]["message"]["content"]
    except (IndexError, KeyError, TypeError):
        return None


def _parsed(text: str | None) -> Any:
    try:
        return orjson.loads(text) if text else None
    except orjson.JSONDecodeError:
        return None
