"""Which fields of which sources each field of a sink came from: worked out from what a run left on record.

Steps' own records say which fields stayed, were renamed or were set; of a field that was set, the
recorded options say from what where they hold its expression. Where nothing says so, a field counts as
made from its namesake in the input, and a field without one as made from all of the input.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import Connection, text

from elspeth.contracts.errors import ExpressionError
from elspeth.core.expressions import compile_expression
from elspeth.core.landscape.records import EdgeRecord, NodeRecord

Origin = tuple[str, str]
"""A source's node id, and a field of it."""

RANKS = ("IDENTITY", "TRANSFORMATION", "AGGREGATION")
Origins = dict[Origin, str]

_SHAPES = text(
    """SELECT p.origin, p.source_node_id, p.shape, s.node_id AS first FROM paths p
    LEFT JOIN path_steps s ON s.run_no = p.run_no AND s.path_no = p.path_no AND s.ordinal = 0
    WHERE p.run_no = :run_no AND p.shape IS NOT NULL AND (p.origin IS NULL OR p.origin <> 'fork')"""
)
_DELTAS = text(
    """SELECT DISTINCT node_id, delta FROM path_steps
    WHERE run_no = :run_no AND delta IS NOT NULL AND out_slot IS NOT NULL"""
)
_MAKERS = {"expand": "transform", "batch": "aggregation", "join": "coalesce"}


@dataclass(slots=True)
class Fields:
    """The fields of the rows at one place, each with where it came from; ``filters`` decided which rows."""

    fields: dict[str, Origins] = field(default_factory=dict)
    filters: set[Origin] = field(default_factory=set)

    def add(self, name: str, origins: Iterable[tuple[Origin, str]], least: str = "IDENTITY") -> None:
        here = self.fields.setdefault(name, {})
        for origin, how in origins:
            here[origin] = max(here.get(origin, how), how, least, key=RANKS.index)

    def merge(self, other: "Fields") -> None:
        for name, origins in other.fields.items():
            self.add(name, origins.items())
        self.filters |= other.filters

    def named(self, names: Iterable[str]) -> Iterator[tuple[Origin, str]]:
        for name in names:
            yield from self.fields.get(name, {}).items()


@dataclass(slots=True)
class _Facts:
    """What is on record of one node's steps: the rows' fields, which were set, which renamed from what."""

    kept: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    renamed: dict[str, str] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)
    """Fields of new rows that the node made of others."""


def read_columns(
    connection: Connection, run_no: int, nodes: Iterable[NodeRecord], edges: Iterable[EdgeRecord]
) -> dict[str, Fields]:
    """Node id → the fields that its rows have behind it (for sinks: that it was given)."""
    known = {node.node_id: node for node in nodes}
    into: dict[str, list[str]] = {node_id: [] for node_id in known}
    for edge in edges:
        into[edge.to_node_id].append(edge.from_node_id)
    facts = _read_facts(connection, run_no, known, into)
    done: dict[str, Fields] = {}
    for node_id in _in_order(into):
        incoming = Fields()
        for before in into[node_id]:
            incoming.merge(done.get(before, Fields()))
        done[node_id] = _behind(known[node_id], facts.get(node_id, _Facts()), incoming)
    return done


def _read_facts(
    connection: Connection, run_no: int, known: Mapping[str, NodeRecord], into: Mapping[str, list[str]]
) -> dict[str, _Facts]:
    facts = {node_id: _Facts() for node_id in known}
    for row in connection.execute(_SHAPES, {"run_no": run_no}):
        shape = orjson.loads(row.shape)
        if row.origin is None and row.source_node_id in facts:
            facts[row.source_node_id].made |= set(shape)
        elif row.first in into:
            for maker in into[row.first]:
                if known[maker].node_type == _MAKERS.get(row.origin):
                    facts[maker].made |= set(shape)
    for row in connection.execute(_DELTAS, {"run_no": run_no}):
        delta = orjson.loads(row.delta)
        if row.node_id not in facts or delta["fields"] is None:
            continue
        found = facts[row.node_id]
        found.kept |= set(delta["fields"]) - set(delta["set"])
        found.changed |= set(delta["set"])
        for new, old in (delta.get("from") or {}).items():
            found.kept.discard(new)
            found.renamed[new] = old
    return facts


def _behind(node: NodeRecord, facts: _Facts, incoming: Fields) -> Fields:
    if node.node_type == "source":
        return Fields({name: {(node.node_id, name): "IDENTITY"} for name in facts.made})
    if node.node_type == "gate":
        condition = orjson.loads(node.config_json).get("condition")
        asked = {origin for origin, _ in incoming.named(_mentioned(condition))}
        return Fields(incoming.fields, incoming.filters | asked)
    if node.node_type == "coalesce" or not (facts.made or facts.kept or facts.changed or facts.renamed):
        return incoming
    out = Fields(filters=set(incoming.filters))
    for name in facts.kept:
        out.add(name, incoming.named([name]))
    for new, old in facts.renamed.items():
        out.add(new, incoming.named([old]))
    formulas = _formulas(orjson.loads(node.config_json).get("options") or {})
    least = "AGGREGATION" if node.node_type == "aggregation" else "TRANSFORMATION"
    for name in facts.changed | facts.made:
        if name in formulas:
            # Operations see what those before them set, so a name may be one of this node's own.
            behind = [*incoming.named(formulas[name]), *out.named(formulas[name])]
        else:
            behind = list(incoming.named([name])) or list(incoming.named(incoming.fields))
        out.add(name, behind, least)
    return out


def _formulas(options: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """Field → the fields that its expression mentions, with those of earlier operations taken in."""
    texts = [
        (item["target"], item["expression"])
        for item in options.get("operations") or ()
        if isinstance(item, dict) and "target" in item and "expression" in item
    ]
    computed = options.get("computed")
    if isinstance(computed, dict):
        texts += list(computed.items())
    found: dict[str, frozenset[str]] = {}
    for target, expression in texts:
        mentioned = _mentioned(expression)
        found[target] = mentioned.union(*(found[name] for name in mentioned if name in found))
    return found


def _mentioned(expression: Any) -> frozenset[str]:
    if not isinstance(expression, str):
        return frozenset()
    try:
        return compile_expression(expression).fields
    except ExpressionError:
        return frozenset()


def _in_order(into: Mapping[str, list[str]]) -> list[str]:
    """Nodes so that each comes behind those that lead to it; graphs on record have no cycles."""
    order: dict[str, None] = {}
    stack = [(node, False) for node in reversed(list(into))]
    seen: set[str] = set()
    while stack:
        node, ready = stack.pop()
        if ready:
            order[node] = None
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((before, False) for before in into.get(node, ()))
    return list(order)
