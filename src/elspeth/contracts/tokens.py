"""Tokens: one token is one row on one path through the graph."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it stands in the record.

    A row starts as one token; a fork or an expansion makes children that share a
    ``fork_group_id``; a join makes one child with a ``join_group_id`` and several parents, of
    which ``parent_token_id`` names the first. ``branch_name`` is the destination for which a fork
    made the token.
    """

    token_id: str
    row_id: str
    parent_token_id: str | None
    fork_group_id: str | None
    join_group_id: str | None
    branch_name: str | None
    created_at: datetime


@dataclass(slots=True)
class TokenInfo:
    """A token on its way, with the row it carries. ``row_data`` must not be changed in place."""

    row_id: str
    token_id: str
    row_data: dict[str, Any] = field(default_factory=dict)
    branch_name: str | None = None
