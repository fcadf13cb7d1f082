"""Whatever the file says: a graph that is refused, or one that can run."""

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elspeth.contracts.enums import EdgeMode, NodeType
from elspeth.contracts.errors import ConfigurationError, Problem
from elspeth.core.config import load_pipeline
from elspeth.core.dag import Graph, build_graph

SINKS = ["out", "err"]


@st.composite
def pipelines(draw: st.DrawFn) -> dict[str, Any]:
    """Pipelines that are right: each node reads an end that an earlier one left open, the rest are sinks."""
    ends: list[list[Any]] = []  # (holder, key) of destinations that are not chosen yet
    steps: dict[str, list[dict[str, Any]]] = {"transforms": [], "gates": []}
    sources = {"s": {"plugin": "csv", "on_success": None}}
    ends.append([sources["s"], "on_success"])
    for number in range(draw(st.integers(0, 6))):
        holder, key = ends.pop(draw(st.integers(0, len(ends) - 1)))
        holder[key] = f"c{number}"
        if draw(st.booleans()):
            step: dict[str, Any] = {
                "name": f"t{number}",
                "plugin": "p",
                "input": f"c{number}",
                "on_success": None,
            }
            if draw(st.booleans()):
                step["on_error"] = draw(st.sampled_from([*SINKS, "discard", "quarantine"]))
            ends.append([step, "on_success"])
            steps["transforms"].append(step)
        else:
            gate = _gate(draw, number)
            ends += _ends(gate)
            steps["gates"].append(gate)
    for holder, key in ends:
        taken = set(holder) if isinstance(holder, list) else set()
        holder[key] = draw(st.sampled_from([name for name in SINKS if name not in taken]))
    shuffled = {kind: draw(st.permutations(made)) for kind, made in steps.items()}
    return {"sources": sources, **shuffled, "sinks": {name: {"plugin": "csv"} for name in SINKS}}


def _gate(draw: st.DrawFn, number: int) -> dict[str, Any]:
    routes: dict[str, Any] = {"false": draw(st.sampled_from(["discard", None]))}
    gate = {"name": f"g{number}", "input": f"c{number}", "condition": "row['x'] > 1", "routes": routes}
    shape = draw(st.sampled_from(["one", "list", "fork"]))
    if shape == "fork":
        gate["fork_to"] = [None, None]
    routes["true"] = {"one": None, "list": [None, None], "fork": "fork"}[shape]
    return gate


def _ends(gate: dict[str, Any]) -> list[list[Any]]:
    ends = [[gate["routes"], label] for label, to in gate["routes"].items() if to is None]
    for copies in (gate.get("fork_to"), gate["routes"]["true"]):
        if isinstance(copies, list):
            ends += [[copies, index] for index in range(len(copies))]
    return ends


def _built(pipeline: dict[str, Any]) -> tuple[Graph | None, tuple[Problem, ...]]:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "pipeline.yaml")
        file.write_text(json.dumps(pipeline), encoding="utf-8")
        try:
            return build_graph(load_pipeline(file, environ={})), ()
        except ConfigurationError as refusal:
            return None, refusal.problems


def _use_both_sinks(pipeline: dict[str, Any]) -> dict[str, Any]:
    """Another source for each sink, so that neither is unused."""
    more = {f"to_{name}": {"plugin": "csv", "on_success": name} for name in SINKS}
    return pipeline | {"sources": pipeline["sources"] | more}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(pipelines())
def test_what_is_right_is_accepted(pipeline: dict[str, Any]) -> None:
    graph, problems = _built(_use_both_sinks(pipeline))
    assert problems == ()
    assert graph is not None
    _check(graph)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(pipelines(), st.data())
def test_whatever_is_changed_it_is_refused_with_reasons_or_able_to_run(
    pipeline: dict[str, Any], data: st.DataObject
) -> None:
    steps = [*pipeline["transforms"], *pipeline["gates"], pipeline["sources"]["s"]]
    for _ in range(data.draw(st.integers(1, 3))):
        step = data.draw(st.sampled_from(steps))
        place = data.draw(st.sampled_from(sorted(step.keys() - {"plugin", "condition", "routes", "fork_to"})))
        new = data.draw(st.sampled_from([None, "c0", "c1", "c2", "out", "err", "t0", "continue", "discard"]))
        step[place] = new or "t1" if place == "name" else new
    for gate in pipeline["gates"]:
        gate["mode"] = data.draw(st.sampled_from(["move", "copy"]))
        label = data.draw(st.sampled_from(["true", "false"]))
        if data.draw(st.booleans()) and gate["routes"][label] != "fork":
            gate["routes"][label] = data.draw(st.sampled_from(["continue", "discard", "out", "c2", "c3"]))
    graph, problems = _built(_use_both_sinks(pipeline))
    assert (graph is None) is bool(problems)
    assert all(problem.what and problem.location for problem in problems)
    if graph is not None:
        _check(graph)


def _check(graph: Graph) -> None:
    place = {node.node_id: node.sequence for node in graph.nodes}
    assert list(place.values()) == list(range(len(graph.nodes)))
    assert len(set(graph.edges)) == len(graph.edges)
    assert all(place[edge.from_node] < place[edge.to_node] for edge in graph.edges)
    for node in graph.nodes:
        forward = [edge for edge in graph.out_edges(node.node_id) if edge.mode is not EdgeMode.DIVERT]
        diverted = [edge for edge in graph.out_edges(node.node_id) if edge.mode is EdgeMode.DIVERT]
        assert bool(forward) is (node.node_type is not NodeType.SINK)
        assert bool(graph.in_edges(node.node_id)) is (node.node_type is not NodeType.SOURCE)
        assert len(diverted) <= 1
        if node.node_type in (NodeType.SOURCE, NodeType.TRANSFORM):
            assert [edge.label for edge in forward] == ["on_success"]
            assert len(diverted) == 1
        if node.node_type is NodeType.GATE:
            assert {"true", "false"} <= {edge.label for edge in forward} <= {"true", "false", "continue"}
            _check_gate(forward)


def _check_gate(edges: list[Any]) -> None:
    for label in ("true", "false"):
        same = [edge for edge in edges if edge.label == label]
        assert len({edge.mode for edge in same}) == 1
        assert len(same) == 1 or same[0].mode is EdgeMode.COPY
        assert all(bool(edge.branch) is (edge.mode is EdgeMode.COPY) for edge in same)
