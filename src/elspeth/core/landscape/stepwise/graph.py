"""Nodes and edges of the graph as single records, made where a caller names one that is not there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, insert, select

from elspeth.contracts.enums import EdgeMode, NodeType
from elspeth.core.canonical import canonical, digest
from elspeth.core.landscape.stepwise.tokens import RecordError
from elspeth.core.landscape.tables import edges_table, nodes_table

CONTINUE = "continue"
_node, _edge = nodes_table.c, edges_table.c


@dataclass(frozen=True, slots=True)
class NodeDraft:
    """A node that may have to be put on record. ``config`` must hold no secrets."""

    node_id: str
    node_type: str
    plugin_name: str = ""
    plugin_version: str = ""
    determinism: str = "deterministic"
    config: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class EdgeAt:
    """An edge of one node, and what kind of node it leads to (None: none that is on record)."""

    edge_id: str
    to_node_id: str
    default_mode: str
    node_type: str | None


def ensure_node(connection: Connection, run_id: str, draft: NodeDraft) -> bool:
    """Put the node on record unless it is there; True if it was not. What is there stays as it is."""
    mine = (_node.run_id == run_id) & (_node.node_id == draft.node_id)
    if connection.execute(select(_node.node_id).where(mine)).scalar() is not None:
        return False
    last = connection.execute(
        select(func.max(_node.sequence_in_pipeline)).where(_node.run_id == run_id)
    ).scalar()
    config = dict(draft.config or {})
    connection.execute(
        insert(nodes_table).values(
            run_id=run_id, node_id=draft.node_id, plugin_name=draft.plugin_name or draft.node_id,
            node_type=draft.node_type, plugin_version=draft.plugin_version, determinism=draft.determinism,
            config_hash=digest(config).hex(), config_json=canonical(config).decode(),
            sequence_in_pipeline=0 if last is None else last + 1,
        )
    )  # fmt: skip
    return True


def find_edge(connection: Connection, run_id: str, from_node: str, to: str, mode: str) -> EdgeAt | None:
    """The edge that leads from a node to the one named ``to``, or that bears this label.

    One of this mode is preferred, because decisions may override the mode of an edge.
    """
    rows = connection.execute(
        select(_edge.edge_id, _edge.to_node_id, _edge.default_mode, _node.node_type)
        .join_from(
            edges_table,
            nodes_table,
            (_node.run_id == _edge.run_id) & (_node.node_id == _edge.to_node_id),
            isouter=True,
        )
        .where(_edge.run_id == run_id, _edge.from_node_id == from_node, _edge.default_mode != EdgeMode.DIVERT)
        .where((_edge.to_node_id == to) | (_edge.label == to))
        .order_by(_edge.edge_id)
    )
    found = sorted((EdgeAt(*row) for row in rows), key=lambda e: (e.to_node_id != to, e.default_mode != mode))
    return found[0] if found else None


def planned_destinations(connection: Connection, run_id: str, from_node: str) -> list[str]:
    """Where the run's graph says that a node can send tokens; empty if it says nothing about it."""
    rows = connection.execute(
        select(_edge.edge_id, _edge.to_node_id)
        .where(_edge.run_id == run_id, _edge.from_node_id == from_node, _edge.default_mode != EdgeMode.DIVERT)
        .order_by(_edge.edge_id)
    )
    # Edges that were made on demand are what callers did so far, not what they may do.
    return list(
        dict.fromkeys(row.to_node_id for row in rows if not row.edge_id.startswith(_demanded(run_id)))
    )


def add_edge(
    connection: Connection,
    run_id: str,
    ends: tuple[str, str],
    label: str,
    mode: str,
    *,
    on_demand: bool = False,
) -> str:
    """Put an edge (from, to) on record unless it is there, and return its id."""
    mine = (
        (_edge.run_id == run_id)
        & (_edge.from_node_id == ends[0])
        & (_edge.to_node_id == ends[1])
        & (_edge.label == label)
        & (_edge.default_mode == mode)
    )
    found = connection.execute(select(_edge.edge_id).where(mine)).scalar()
    if found is not None:
        return str(found)
    count = connection.execute(
        select(func.count()).select_from(edges_table).where(_edge.run_id == run_id)
    ).scalar()
    edge_id = f"{_demanded(run_id) if on_demand else f'{run_id}-registered-'}{count}"
    connection.execute(
        insert(edges_table).values(
            edge_id=edge_id, run_id=run_id, from_node_id=ends[0], to_node_id=ends[1], label=label,
            default_mode=mode,
        )
    )  # fmt: skip
    return edge_id


def gate_edge(connection: Connection, run_id: str, gate: str, destination: str, mode: str) -> EdgeAt:
    """The edge from a gate to a destination, made on demand where no graph says what there is.

    ``continue`` is wherever the gate's own row goes on to. Raises RecordError for any other
    destination that the run's graph does not have for this gate.
    """
    planned = planned_destinations(connection, run_id, gate)
    found = find_edge(connection, run_id, gate, destination, mode)
    if found is not None and (planned or found.default_mode == mode):
        return found
    if planned and destination != CONTINUE:
        raise RecordError(
            f"gate {gate!r} can't send a token to {destination!r}: no edge leads there",
            fix=f"its destinations are {', '.join(sorted(planned))}",
        )
    edge_id = add_edge(connection, run_id, (gate, destination), destination, mode, on_demand=True)
    kind = connection.execute(
        select(_node.node_type).where(_node.run_id == run_id, _node.node_id == destination)
    ).scalar()
    return EdgeAt(edge_id, destination, mode, kind)


def is_sink(edge: EdgeAt) -> bool:
    """Whether the edge leads to a sink as far as is on record."""
    return edge.node_type == NodeType.SINK


def _demanded(run_id: str) -> str:
    return f"{run_id}-demanded-"
