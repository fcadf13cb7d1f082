"""The ids that people see, made from the integers that are stored.

A run's id is a time and some random letters; every other id is its run's id and numbers, so that it
is stable across a resume and leads back to the stored record without a search. To all others ids
are opaque. `views` composes the same texts in SQL.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

_LETTERS = "abcdefghjkmnpqrstuvwxyz"
_SYMBOLS = _LETTERS + "23456789"  # nothing that reads like something else: no i, l, o, 0, 1


@dataclass(frozen=True, slots=True)
class RowKey:
    """Where a row is: its run, and its 0-based place in what the run read."""

    run_id: str
    row_no: int


@dataclass(frozen=True, slots=True)
class TokenKey:
    """Where a token is: its row, and its number in that row (0 is the row as it was read)."""

    run_id: str
    row_no: int
    token_no: int


@dataclass(frozen=True, slots=True)
class StateKey:
    """Where a node state is: its token, the step, and the attempt (from 1)."""

    token_id: str
    step_index: int
    attempt: int


def new_run_id(clock: Callable[[], datetime], random: Random) -> str:
    """An id like ``20261121T021530Z-k7f3q2``: sorts by time to the second, safe in file names and URLs.

    Six random symbols tell runs of one second apart (6·10⁸ values); the first is a letter, so that
    they never look like a row number.
    """
    stamp = clock().astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    return f"{stamp}-{random.choice(_LETTERS)}{''.join(random.choices(_SYMBOLS, k=5))}"


def row_id(run_id: str, row_no: int) -> str:
    return f"{run_id}-{row_no}"


def token_id(run_id: str, row_no: int, token_no: int) -> str:
    return f"{run_id}-{row_no}-{token_no}"


def state_id(token_id: str, step_index: int, attempt: int) -> str:
    return f"{token_id}-{step_index}.{attempt}"


def routing_group_id(state_id: str) -> str:
    return f"{state_id}-routing"


def event_id(state_id: str, ordinal: int) -> str:
    return f"{state_id}-event-{ordinal}"


def error_id(state_id: str) -> str:
    return f"{state_id}-error"


def parse_row_id(text: str) -> RowKey | None:
    """The row that an id names; None if it is not a row id made here (an alias, a token id cut short …)."""
    run_id, _, row_no = text.rpartition("-")
    number = _number(row_no)
    return RowKey(run_id, number) if run_id and number is not None else None


def parse_token_id(text: str) -> TokenKey | None:
    """The token that an id names; None if it is not a token id made here."""
    row, _, token_no = text.rpartition("-")
    number = _number(token_no)
    key = parse_row_id(row)
    return TokenKey(key.run_id, key.row_no, number) if key and number is not None else None


def parse_state_id(text: str) -> StateKey | None:
    """The state that an id names; None if it is not a state id. The token's id may be an alias."""
    token, _, step = text.rpartition("-")
    step_index, dot, attempt = step.partition(".")
    numbers = _number(step_index), _number(attempt)
    if not token or not dot or numbers[0] is None or numbers[1] is None:
        return None
    return StateKey(token, numbers[0], numbers[1])


def _number(text: str) -> int | None:
    """A number as it is written here: ASCII digits, no sign, no leading zeros, within 64 bits."""
    if not (text.isascii() and text.isdigit()) or (text[0] == "0" and text != "0") or len(text) > 18:
        return None
    return int(text)
