"""Making tokens: of new rows, under ids that a caller brought, by splitting and by joining."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert

from elspeth.contracts.plugins import Row
from elspeth.core.canonical import row_digest
from elspeth.core.landscape.stepwise.states import current_row, reason_text
from elspeth.core.landscape.stepwise.tokens import (
    STANDALONE,
    RecordError,
    TokenAt,
    change_path,
    change_trace,
    end,
    ensure_run,
    find_row,
    find_token,
    need_token,
    next_row_no,
    next_token_no,
    require_open,
    store,
    with_time,
)
from elspeth.core.landscape.tables import joins_table

# A row's first token is there as soon as the row is. It counts as handed out from the first time on
# record behind its birth, so the tokens that are handed out at once are given one.
_NOT_HANDED_OUT = "[]"
_HANDED_OUT = "[0]"


@dataclass(frozen=True, slots=True)
class Carried:
    """A token as a caller knows it, perhaps not on record; ``row`` is None where the caller has none."""

    token_id: str
    row_id: str
    branch_name: str | None = None
    row: Row | None = None


@dataclass(frozen=True, slots=True)
class Child:
    """One token that a split makes. ``row`` is None where it is what the parent had."""

    branch_name: str | None
    edge_id: str | None = None
    row: Row | None = None


@dataclass(frozen=True, slots=True)
class Joined:
    """What is said of a joined token besides its row: ``merge`` is how the row was made (`MergeRecord`)."""

    branch_name: str | None = None
    merge: Mapping[str, Any] | None = None


def add_row(
    connection: Connection, place: tuple[int, str, int], source_node_id: str | None, row: Row, now: int,
    alias: str | None = None,
) -> TokenAt:  # fmt: skip
    """A new row at ``place`` (run number, run id, row index) with its first token, not yet handed out."""
    run_no, run_id, row_no = place
    new = TokenAt(
        run_id, run_no, row_no, 0, 0, None, now, _NOT_HANDED_OUT, b"", None, alias, None, source_node_id
    )
    return store(connection, new, row)


def hand_out(connection: Connection, row_id: str, run_id: str | None, now: int) -> TokenAt:
    """A token for whoever asks for one of this row: its first if nobody has that yet, else a further one.

    A row that is not on record is put down, in ``run_id`` or else in the run ``standalone``.
    """
    first = find_row(connection, row_id, run_id)
    if first is None:
        return _first_token(connection, Carried("", row_id), run_id, now)
    if first.token_no == 0 and first.times == _NOT_HANDED_OUT and first.ending is None:
        change_trace(connection, first, times=with_time(first, now)[0])
        return first
    return _further_token(connection, first, Carried("", row_id), now)


def adopt(connection: Connection, token: Carried, run_id: str | None, now: int) -> TokenAt:
    """The stored token that a caller means; put down under the caller's ids if it is not there."""
    found = find_token(connection, token.token_id, run_id)
    if found is not None:
        return found
    row = find_row(connection, token.row_id, run_id)
    if row is None:
        return _first_token(connection, token, run_id, now)
    return _further_token(connection, row, token, now)


def split(
    connection: Connection, parent: TokenAt, origin: str, children: Iterable[Child], now: int
) -> list[TokenAt]:
    """End ``parent`` as forked or expanded (``origin`` is fork or expand) and make its children, in order.

    Raises RecordError if the parent has ended.
    """
    require_open(parent)
    inherited = None
    if origin == "fork":
        row = current_row(connection, parent)
        inherited = None if row is None else row_digest(row)
    end(connection, parent, "forked" if origin == "fork" else "expanded", now)
    first = next_token_no(connection, parent.run_no, parent.row_no)
    made = []
    for number, child in enumerate(children, start=first):
        new = TokenAt(
            parent.run_id, parent.run_no, parent.row_no, number, 0, parent.token_no, now, _NOT_HANDED_OUT,
            b"", None, parent.row_alias, None, parent.source_node_id, child.branch_name, origin,
            last_edge_id=child.edge_id,
        )  # fmt: skip
        made.append(store(connection, new, child.row, inherited))
    return made


def open_tokens(connection: Connection, token_ids: Sequence[str], what: str) -> list[TokenAt]:
    """These tokens. Raises RecordError if there is none, one twice, one unknown or one that has ended."""
    if not token_ids:
        raise RecordError(f"{what} needs the tokens that it takes, there are none")
    found = [need_token(connection, token_id) for token_id in token_ids]
    if len({(token.run_no, token.row_no, token.token_no) for token in found}) < len(found):
        raise RecordError(f"{what} needs different tokens, these are {', '.join(token_ids)}")
    for token in found:
        require_open(token)
    return found


def join(
    connection: Connection, parent_ids: Sequence[str], row: Row | None, child: Joined, now: int
) -> TokenAt:
    """End several tokens as joined and make the one that goes on, in the row of the first of them.

    Raises RecordError as `open_tokens` does, and if they are not of one run.
    """
    parents = open_tokens(connection, parent_ids, "a join")
    first = parents[0]
    for parent in parents:
        if parent.run_no != first.run_no:
            raise RecordError(
                f"tokens of one run can be joined: {first.token_id!r} is of run {first.run_id!r},"
                f" {parent.token_id!r} of {parent.run_id!r}"
            )
    for parent in parents:
        end(connection, parent, "joined", now)
    number = next_token_no(connection, first.run_no, first.row_no)
    made = store(connection, _made_of(first, number, "join", child.branch_name, now), row)
    if child.merge is not None:
        change_path(connection, made, merge=reason_text(child.merge))
    connection.execute(
        insert(joins_table),
        [
            {
                "run_no": made.run_no,
                "row_no": made.row_no,
                "token_no": made.token_no,
                "ordinal": ordinal,
                "parent_row_no": parent.row_no,
                "parent_token_no": parent.token_no,
            }
            for ordinal, parent in enumerate(parents)
        ],
    )
    return made


def take_up(
    connection: Connection, members: Sequence[TokenAt], rows: Sequence[Row], now: int
) -> list[TokenAt]:
    """End a batch's members and make a token of each row that came of it, in the row of the first member.

    Raises RecordError if a member has ended.
    """
    for member in members:
        end(connection, member, "batched", now)
    first = members[0]
    number = next_token_no(connection, first.run_no, first.row_no)
    return [
        store(connection, _made_of(first, place, "batch", None, now), row)
        for place, row in enumerate(rows, start=number)
    ]


def _made_of(first: TokenAt, number: int, origin: str, branch_name: str | None, now: int) -> TokenAt:
    """A token that is made of several, of which this is the first; not yet stored."""
    return TokenAt(
        first.run_id, first.run_no, first.row_no, number, 0, first.token_no, now, _NOT_HANDED_OUT, b"", None,
        first.row_alias, None, first.source_node_id, branch_name, origin,
    )  # fmt: skip


def _first_token(connection: Connection, token: Carried, run_id: str | None, now: int) -> TokenAt:
    run_no = ensure_run(connection, run_id or STANDALONE, now)
    new = TokenAt(
        run_id or STANDALONE, run_no, next_row_no(connection, run_no), 0, 0, None, now, _HANDED_OUT, b"",
        None, token.row_id, token.token_id or None, branch_name=token.branch_name,
    )  # fmt: skip
    return store(connection, new, token.row)


def _further_token(connection: Connection, row: TokenAt, token: Carried, now: int) -> TokenAt:
    number = next_token_no(connection, row.run_no, row.row_no)
    new = TokenAt(
        row.run_id, row.run_no, row.row_no, number, 0, None, now, _HANDED_OUT, b"", None, row.row_alias,
        token.token_id or None, row.source_node_id, token.branch_name,
    )  # fmt: skip
    return store(connection, new, token.row)
