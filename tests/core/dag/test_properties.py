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

NAMES = st.sampled_from(["a", "b", "c", "out", "err"])
MAYBE = st.none() | NAMES
TARGET = st.one_of(
    NAMES,
    st.sampled_from(["continue", "discard", "fork"]),
    st.lists(NAMES, min_size=1, max_size=3, unique=True),
)


@st.composite
def pipelines(draw: st.DrawFn) -> dict[str, Any]:
    def step(name: str) -> dict[str, Any]:
        parts = {"name": name, "input": draw(MAYBE), "on_success": draw(MAYBE), "on_error": draw(MAYBE)}
        return {"plugin": "p"} | {key: value for key, value in parts.items() if value is not None}

    def gate(name: str) -> dict[str, Any]:
        routes = {"true": draw(TARGET), "false": draw(TARGET)}
        made = {
            "name": name,
            "condition": "row['x'] > 1",
            "routes": routes,
            "mode": draw(st.sampled_from(["move", "copy"])),
        }
        if "fork" in routes.values():
            made["fork_to"] = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
        if (reads := draw(MAYBE)) is not None:
            made["input"] = reads
        return made

    return {
        "sources": {name: {"plugin": "csv"} for name in ("s1", "s2")[: draw(st.integers(1, 2))]},
        "queues": {name: {} for name in draw(st.sets(st.sampled_from(["a", "b"]), max_size=1))},
        "transforms": [step(f"t{index}") for index in range(draw(st.integers(0, 3)))],
        "gates": [gate(f"g{index}") for index in range(draw(st.integers(0, 2)))],
        "sinks": {
            "out": {"plugin": "csv"},
            "err": {"plugin": "csv", "on_write_failure": draw(st.sampled_from(["out", "err", "discard"]))},
        },
    }


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(pipelines())
def test_refused_with_reasons_or_able_to_run(pipeline: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "pipeline.yaml")
        file.write_text(json.dumps(pipeline), encoding="utf-8")
        graph = None
        problems: tuple[Problem, ...] = ()
        try:
            graph = build_graph(load_pipeline(file, environ={}))
        except ConfigurationError as refusal:
            problems = refusal.problems
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
