"""Paths: the ways that tokens take through the graph, each stored once per run.

A `Path` is a node of a trie: a token carries the path it has come so far and grows it step by
step. Growing is a dictionary look-up after the first token has gone that way, so a step costs
some 50 ns however much there is to say about it.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Event:
    """One destination of a routing decision; ``reason`` is canonical JSON, ``reason_hash`` its SHA-256."""

    edge_id: str
    mode: str
    reason: str | None = None
    reason_hash: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Delta:
    """Which fields a row has after a step, in order, and which of them are new or changed.

    ``renamed`` are pairs of a new name and the name under which the value came in: such values are
    not stored again. Fields and changed are None where the whole row is stored as an object: rows
    of too many shapes to have a path for each. Compared by identity: each step keeps the ones it
    has, and they serve as keys.
    """

    fields: tuple[str, ...] | None
    changed: tuple[str, ...] | None
    renamed: tuple[tuple[str, str], ...] = ()

    @property
    def width(self) -> int:
        """How many entries of a trace's deltas belong to it."""
        return 1 if self.changed is None else len(self.changed)

    def to_json(self) -> str:
        delta: dict[str, Any] = {"fields": self.fields, "set": self.changed}
        if self.renamed:
            delta["from"] = dict(self.renamed)
        return orjson.dumps(delta).decode()


@dataclass(frozen=True, slots=True)
class Origin:
    """How a token came to be, and the names of the fields of the row that it starts with.

    ``kind`` is None for a source row, else ``fork``, ``expand``, ``join`` or ``batch``. ``shape``
    is None where the row is stored as an object. ``step_index`` counts on from the parent's.
    ``edge_id`` is the edge on which the token was sent off, None for a source row. ``merge`` says how
    a joined row was made, as JSON: the branches, and of each field the branch that it came from.
    """

    source_node_id: str | None
    kind: str | None = None
    branch_name: str | None = None
    shape: tuple[str, ...] | None = None
    step_index: int = 0
    edge_id: str | None = None
    merge: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What happened at one node, without what differs from token to token. Compared by identity.

    ``gap``: time passed between the step before and this one (the token waited), so the start has
    a time of its own. ``exit_edge`` is the edge by which the token left. ``ending`` is set where
    the token ended here: sink, discarded, forked, expanded, joined or batched.
    """

    node_id: str
    status: str = "completed"
    attempt: int = 1
    delta: Delta | None = None
    events: tuple[Event, ...] = ()
    gap: bool = False
    exit_edge: str | None = None
    ending: str | None = None
    sink: str | None = None
    step_index: int | None = None


class Path:
    """The steps from a token's start up to one point. Interned: compare with ``is``.

    ``path_no`` is None until a token that ends or rests here is committed. ``hashes``, ``times``
    and ``deltas`` count the slots that a trace on this path has filled.
    """

    __slots__ = (
        "children", "count", "deltas", "hashes", "in_slot", "last_edge", "origin", "parent", "path_no",
        "step", "step_index", "times",
    )  # fmt: skip

    def __init__(self, origin: Origin, parent: "Path | None", step: Step | None) -> None:
        self.origin = origin
        self.parent = parent
        self.step = step
        self.children: dict[Hashable, Path] = {}
        self.path_no: int | None = None
        self.count = 0  # tokens that ended here, in this process
        if parent is None or step is None:
            self.hashes, self.times, self.deltas = 1, 0, 0
            self.in_slot = 0
            self.step_index = origin.step_index - 1
            self.last_edge = origin.edge_id
            return
        self.in_slot = parent.hashes - 1
        self.hashes = parent.hashes + (step.delta is not None)
        self.deltas = parent.deltas + (step.delta.width if step.delta else 0)
        self.times = parent.times + 1 + step.gap
        if step.step_index is not None:
            self.step_index = step.step_index
        else:
            self.step_index = parent.step_index + (step.attempt == 1)
        self.last_edge = step.exit_edge or parent.last_edge

    def grow(self, key: Hashable, step: Step) -> "Path":
        """The path one ``step`` on, remembered under ``key``: use ``children.get(key)`` first."""
        child = self.children.get(key)
        if child is None:
            child = self.children[key] = Path(self.origin, self, step)
        return child

    @property
    def ending(self) -> str | None:
        return self.step.ending if self.step else None

    def line(self) -> "list[Path]":
        """All paths from the first step to this one."""
        found: list[Path] = []
        path: Path | None = self
        while path is not None and path.step is not None:
            found.append(path)
            path = path.parent
        return found[::-1]


class PathBook:
    """All paths of one run: roots by origin, numbers by first use.

    The first number may be greater than 0, for a run that goes on where another process stopped.
    """

    def __init__(self, run_no: int, first_number: int = 0) -> None:
        self.run_no = run_no
        self.next_number = first_number
        self.roots: dict[Origin, Path] = {}
        self.unwritten: list[Path] = []
        self.numbered: list[Path] = []

    def root(self, origin: Origin) -> Path:
        """The empty path of tokens that start like this."""
        path = self.roots.get(origin)
        if path is None:
            path = self.roots[origin] = Path(origin, None, None)
        return path

    def number(self, path: Path) -> int:
        """The path's number; at the first call it is assigned and the path put down for writing."""
        if path.path_no is None:
            path.path_no = self.next_number
            self.next_number += 1
            self.unwritten.append(path)
            self.numbered.append(path)
        return path.path_no

    def take_unwritten(self) -> list[Path]:
        """The paths numbered since the last call; the caller commits them with their traces."""
        paths, self.unwritten = self.unwritten, []
        return paths

    def __iter__(self) -> Iterator[Path]:
        return iter(self.numbered)


def path_row(run_no: int, path: Path) -> tuple[Any, ...]:
    """The record of a path for the table ``paths``."""
    origin, step = path.origin, path.step
    shape = None if origin.shape is None else orjson.dumps(origin.shape).decode()
    sink = step.sink if step else None
    return (
        run_no, path.path_no, origin.source_node_id, origin.branch_name, origin.kind, shape, path.ending,
        sink, path.last_edge, origin.merge,
    )  # fmt: skip


def step_rows(run_no: int, path: Path) -> list[tuple[Any, ...]]:
    """The records of a path's steps for the table ``path_steps``."""
    rows = []
    for ordinal, here in enumerate(path.line()):
        step, before = here.step, here.parent
        assert step is not None
        assert before is not None
        delta, delta_slot = (step.delta.to_json(), before.deltas) if step.delta else (None, None)
        out_slot = None if step.status != "completed" else here.hashes - 1
        start_slot = before.times if step.gap else before.times - 1
        rows.append(
            (run_no, path.path_no, ordinal, here.step_index, step.node_id, step.attempt, step.status,
             here.in_slot, out_slot, start_slot, here.times - 1, delta, delta_slot)
        )  # fmt: skip
    return rows


def event_rows(run_no: int, path: Path) -> list[tuple[Any, ...]]:
    """The records of a path's routing events for the table ``path_events``."""
    return [
        (run_no, path.path_no, ordinal, number, event.edge_id, event.mode, event.reason_hash, event.reason)
        for ordinal, here in enumerate(path.line())
        for number, event in enumerate(_events(here))
    ]


def _events(path: Path) -> Sequence[Event]:
    return path.step.events if path.step else ()
