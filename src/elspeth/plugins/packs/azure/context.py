"""What a context tells, also one that no engine made: any object with some of the fields."""

from collections.abc import Sequence
from typing import Any


def text(ctx: Any, name: str) -> str:
    """A field that is text; empty if there is none, or something else under its name."""
    value = getattr(ctx, name, "")
    return value if isinstance(value, str) else ""


def tokens_of(ctx: Any) -> Sequence[Any]:
    """The tokens of the rows of a batch; empty if no engine gave any."""
    found = getattr(ctx, "tokens", ())
    return found if isinstance(found, list | tuple) else ()


def ids_of(ctx: Any, index: int, rows: int) -> dict[str, str]:
    """``row_id`` and ``token_id`` of one row of a batch, as far as the context tells them. None is made up.

    One token can't be that of several rows.
    """
    if tokens := tokens_of(ctx):
        token = tokens[index]
    elif rows > 1:
        return {}
    else:
        token = getattr(ctx, "token", None) or ctx
    found = {name: getattr(token, name, None) for name in ("row_id", "token_id")}
    return {name: str(value) for name, value in found.items() if isinstance(value, str | int)}
