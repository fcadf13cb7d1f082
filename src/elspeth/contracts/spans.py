"""Spans: how long which piece of work took, for whoever watches from outside."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Span:
    """One finished piece of work; ``error`` is what broke it.

    Times are in nanoseconds; for spans with a ``key`` they count from 1970-01-01 UTC. ``key`` tells this
    piece of work from all others (a node state has its id), ``parent`` is the key of the piece that it
    is part of, ``run_id`` that of the whole. ``client``: it was a call to somebody else.
    """

    name: str
    attributes: Mapping[str, Any]
    started_ns: int
    ended_ns: int
    error: str | None = None
    key: str = ""
    parent: str = ""
    run_id: str = ""
    client: bool = False


def drop(_span: Span) -> None:
    """Nobody watches."""


def node_key(run_id: str, node_id: str) -> str:
    """The key of a node's span."""
    return f"{run_id}/{node_id}"
