"""What a run that goes on must still be, whatever somebody accepts: else its record would be false."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from elspeth.api.variants import treatment
from elspeth.contracts.errors import UsageError
from elspeth.core.landscape.records import EdgeRecord, NodeRecord, RunRecord
from elspeth.engine.assembly import Assembly, edge_ids

_WORDS = ("name", "description")


def refuse_another_pipeline(
    run: RunRecord, nodes: Sequence[NodeRecord], edges: Sequence[EdgeRecord], assembly: Assembly
) -> None:
    """Raise UsageError where rows would go other ways than those on record, or to other variants.

    Paths and events name edges by their place in the graph, and what an experiment added up is of
    one phase.
    """
    found = [*_other_graph(run, nodes, edges, assembly), *_other_experiments(nodes, assembly)]
    if found:
        listed = "\n".join(f"  - {what}" for what in found)
        raise UsageError(
            f"run {run.run_id} can't go on in another pipeline than it began in:\n{listed}",
            fix="undo the change, or start a new run",
        )


def _other_graph(
    run: RunRecord, nodes: Sequence[NodeRecord], edges: Sequence[EdgeRecord], assembly: Assembly
) -> Iterator[str]:
    before = {node.node_id: node.plugin_name for node in nodes}
    now = {node.node_id: node.plugin_name for node in assembly.graph.nodes}
    for node_id in sorted(before.keys() | now.keys()):
        if node_id not in now:
            yield f"node {node_id!r} is gone"
        elif node_id not in before:
            yield f"node {node_id!r} is new"
        elif before[node_id] != now[node_id]:
            yield f"node {node_id!r} was of plugin {before[node_id]!r}, and is of {now[node_id]!r}"
    ways = {
        edge_id: (edge.from_node, edge.to_node, edge.label, edge.mode.value)
        for edge, edge_id in edge_ids(assembly.graph, run.run_id).items()
    }
    known = {
        edge.edge_id: (edge.from_node_id, edge.to_node_id, edge.label, edge.default_mode) for edge in edges
    }
    if before == now and ways != known:
        yield "its nodes are wired in another way"


def _other_experiments(nodes: Sequence[NodeRecord], assembly: Assembly) -> Iterator[str]:
    known = {node.node_id: node for node in nodes}
    for node_id, plan in assembly.experiments.items():
        if node_id not in known:
            continue  # which the graph shows
        before = orjson.loads(known[node_id].config_json)
        now = orjson.loads(orjson.dumps(assembly.node_configs[node_id]))
        what = sorted(_changed(before["experiment"], now["experiment"]))
        if before["phase"] != now["phase"] and not {"variants", "unit", "mode"} & set(what):
            what.append(f"options of {before['transform']!r}")
        if what:
            yield f"experiment {plan.experiment.experiment_id!r} has changed: {', '.join(what)}"


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """The settings that differ in more than words, and in more than what a judge may cost."""
    for name in before.keys() | now.keys():
        ours, theirs = before.get(name), now.get(name)
        if name == "judge" and ours and theirs:
            ours, theirs = ({**judge, "options": treatment(judge["options"])} for judge in (ours, theirs))
        if name not in _WORDS and ours != theirs:
            yield name
