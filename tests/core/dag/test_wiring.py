"""Graphs of pipelines that are right."""

from collections.abc import Callable

import pytest

from elspeth.contracts.enums import EdgeMode, NodeType
from elspeth.core.dag import Edge, Graph

Build = Callable[..., Graph]


def ways(graph: Graph) -> list[str]:
    """The edges for rows that fare well, as ``a -label-> b`` (``=label=>`` for copies)."""
    arrows = {EdgeMode.MOVE: "-{}->", EdgeMode.COPY: "={}=>"}
    return [
        f"{e.from_node} {arrows[e.mode].format(e.label)} {e.to_node}"
        for e in graph.edges
        if e.mode is not EdgeMode.DIVERT
    ]


def diverts(graph: Graph) -> list[str]:
    """The error edges, as ``a -label-> b``."""
    return [f"{e.from_node} -{e.label}-> {e.to_node}" for e in graph.edges if e.mode is EdgeMode.DIVERT]


def test_the_smallest_useful_file(build: Build) -> None:
    graph = build("""
source: {plugin: csv, options: {path: data/transactions.csv}}
gates:
  - name: large
    condition: "row['amount'] > 1000"
    routes: {"true": review, "false": approved}
sinks:
  review:   {plugin: csv, options: {path: out/review.csv}}
  approved: {plugin: csv, options: {path: out/approved.csv}}
""")
    assert ways(graph) == [
        "source -on_success-> large",
        "large -true-> review",
        "large -false-> approved",
    ]
    assert diverts(graph) == [
        "source -on_validation_failure-> quarantine",
        "large -on_error-> quarantine",
        "review -on_write_failure-> quarantine",
        "approved -on_write_failure-> quarantine",
    ]
    assert [(node.node_id, node.node_type, node.plugin_name, node.sequence) for node in graph.nodes] == [
        ("source", NodeType.SOURCE, "csv", 0),
        ("large", NodeType.GATE, "gate", 1),
        ("review", NodeType.SINK, "csv", 2),
        ("approved", NodeType.SINK, "csv", 3),
        ("quarantine", NodeType.SINK, "json", 4),
    ]
    assert graph.node("large").settings_key == ("gates", 0)
    assert graph.node("large").config["routes"] == {"true": "review", "false": "approved"}
    assert graph.node("quarantine").settings_key == ("sinks", "quarantine")
    assert [node.node_id for node in graph.sources] == ["source"]
    assert [node.node_id for node in graph.sinks] == ["review", "approved", "quarantine"]
    assert graph.in_edges("large") == (Edge("source", "large", "on_success", EdgeMode.MOVE),)
    assert graph.out_edges("quarantine") == ()
    with pytest.raises(KeyError):
        graph.node("nothing")


def test_list_order_is_the_wiring(build: Build) -> None:
    graph = build("""
gates:
  - {name: g, condition: "row['x'] > 1", routes: {"true": continue, "false": discard}}
transforms:
  - {name: a, plugin: passthrough}
  - {name: b, plugin: passthrough}
aggregations:
  - {name: c, plugin: batch_stats}
sinks:
  out: {plugin: csv}
""")
    assert ways(graph) == [
        "source -on_success-> a",
        "a -on_success-> b",
        "b -on_success-> c",
        "c -on_success-> g",
        "g -true-> out",
        "g -false-> discard",
    ]
    assert graph.node("discard").plugin_name == "discard"
    assert graph.node("c").node_type is NodeType.AGGREGATION


def test_the_sink_called_output_is_the_default(build: Build) -> None:
    graph = build("""
transforms: [{name: a, plugin: passthrough, on_error: errors}]
sinks: {errors: {plugin: csv}, output: {plugin: csv}}
""")
    assert ways(graph) == ["source -on_success-> a", "a -on_success-> output"]
    assert "a -on_error-> errors" in diverts(graph)


def test_named_connections_and_branches_stand_outside_the_chain(build: Build) -> None:
    graph = build("""
transforms:
  - {name: enrich, plugin: passthrough}
  - {name: fast, plugin: passthrough, input: fast_path, on_success: sa}
  - {name: slow, plugin: passthrough, input: slow_path, on_success: sb}
gates:
  - name: split
    condition: "'both' if row['a'] > 1 else 'list'"
    routes: {both: fork, list: [sa, sb]}
    fork_to: [fast_path, slow_path, sb]
sinks: {sa: {plugin: csv}, sb: {plugin: csv}}
""")
    assert ways(graph) == [
        "source -on_success-> enrich",
        "enrich -on_success-> split",
        "split =both=> fast",
        "split =both=> slow",
        "split =both=> sb",
        "split =list=> sa",
        "split =list=> sb",
        "fast -on_success-> sa",
        "slow -on_success-> sb",
    ]
    assert [node.node_id for node in graph.nodes][:5] == ["source", "enrich", "split", "fast", "slow"]
    branches = {edge.to_node: edge.branch for edge in graph.out_edges("split") if edge.label == "both"}
    assert branches == {"fast": "fast_path", "slow": "slow_path", "sb": "sb"}
    assert {edge.branch for edge in graph.edges if edge.mode is not EdgeMode.COPY} == {""}


def test_a_node_with_an_input_goes_on_to_the_node_behind_it(build: Build) -> None:
    graph = build("""
source: {plugin: csv, on_success: raw}
transforms:
  - {name: a, plugin: passthrough, input: raw}
  - {name: b, plugin: passthrough}
sinks: {out: {plugin: csv}}
""")
    assert ways(graph) == ["source -on_success-> a", "a -on_success-> b", "b -on_success-> out"]


def test_mode_copy_sends_a_copy_and_goes_on(build: Build) -> None:
    graph = build("""
gates:
  - name: watch
    condition: "row['a'] > 1"
    mode: copy
    routes: {"true": audit, "false": continue}
  - name: pick
    condition: "row['b'] > 1"
    routes: {"true": [audit, continue], "false": [out]}
sinks: {audit: {plugin: csv}, out: {plugin: csv}, output: {plugin: csv}}
""")
    assert ways(graph) == [
        "source -on_success-> watch",
        "watch =true=> audit",
        "watch -false-> pick",
        "watch =continue=> pick",
        "pick =true=> audit",
        "pick =true=> output",
        "pick -false-> out",
    ]


def test_several_sources_feed_the_first_node(build: Build) -> None:
    graph = build("""
sources: {a: {plugin: csv}, b: {plugin: csv}}
transforms: [{name: t, plugin: passthrough}]
sinks: {out: {plugin: csv}}
""")
    assert ways(graph) == ["a -on_success-> t", "b -on_success-> t", "t -on_success-> out"]


def test_a_queue_joins_producers(build: Build) -> None:
    graph = build("""
sources: {a: {plugin: csv, on_success: all}, b: {plugin: csv, on_success: all}}
queues: {all: {}}
transforms: [{name: t, plugin: passthrough, input: all, on_success: out}]
sinks: {out: {plugin: csv}}
""")
    assert ways(graph) == [
        "a -on_success-> all",
        "b -on_success-> all",
        "all -continue-> t",
        "t -on_success-> out",
    ]
    assert graph.node("all").node_type is NodeType.QUEUE
    assert "all" not in [edge.from_node for edge in graph.edges if edge.mode is EdgeMode.DIVERT]


def test_several_routes_of_one_gate_and_several_writers_of_one_sink_are_fine(build: Build) -> None:
    graph = build("""
sources: {a: {plugin: csv, on_success: out}, b: {plugin: csv}}
gates:
  - {name: g, condition: "row['k']", routes: {x: path, y: path, z: out}}
transforms: [{name: t, plugin: passthrough, input: path, on_success: out}]
sinks: {out: {plugin: csv}}
""")
    assert ways(graph) == [
        "a -on_success-> out",
        "b -on_success-> g",
        "g -x-> t",
        "g -y-> t",
        "g -z-> out",
        "t -on_success-> out",
    ]


def test_coalesce_joins_branches(build: Build) -> None:
    graph = build("""
transforms:
  - {name: ta, plugin: passthrough, input: a, on_success: a_done}
gates:
  - {name: g, condition: "row['x'] > 1", routes: {"true": fork, "false": out}, fork_to: [a, b]}
coalesce:
  - {name: join, branches: {a: a_done, b: b}, on_success: joined}
sinks: {out: {plugin: csv}, joined: {plugin: csv}}
""")
    assert ways(graph) == [
        "source -on_success-> g",
        "g =true=> ta",
        "g =true=> join",
        "g -false-> out",
        "ta -on_success-> join",
        "join -on_success-> joined",
    ]
    assert graph.node("join").node_type is NodeType.COALESCE


def test_coalesce_of_a_list_goes_to_the_default_sink(build: Build) -> None:
    graph = build("""
gates:
  - {name: g, condition: "True", routes: {"true": fork}, fork_to: [a, b]}
coalesce: [{name: join, branches: [a, b]}]
sinks: {out: {plugin: csv}}
""")
    assert ways(graph)[-1] == "join -on_success-> out"


def test_error_destinations_are_kept_and_a_quarantine_of_ones_own_ends_the_chain(build: Build) -> None:
    graph = build("""
source: {plugin: csv, options: {on_validation_failure: discard}}
transforms: [{name: t, plugin: passthrough, on_error: quarantine}]
sinks:
  out: {plugin: csv, on_write_failure: spare}
  spare: {plugin: csv, on_write_failure: discard}
  quarantine: {plugin: csv}
gates:
  - {name: g, condition: "row['x'] > 1", routes: {"true": out, "false": quarantine}, on_error: spare}
""")
    assert diverts(graph) == [
        "source -on_validation_failure-> discard",
        "t -on_error-> quarantine",
        "g -on_error-> spare",
        "out -on_write_failure-> spare",
        "spare -on_write_failure-> discard",
    ]
    assert graph.node("quarantine").plugin_name == "csv"
    assert graph.out_edges("quarantine") == ()


def test_edges_are_unique_and_lead_forward(build: Build) -> None:
    graph = build("""
transforms:
  - {name: last, plugin: passthrough, input: z, on_success: out}
  - {name: middle, plugin: passthrough, input: y, on_success: z}
gates:
  - {name: first, condition: "row['x'] > 1", routes: {"true": y, "false": out}}
sinks: {out: {plugin: csv}}
""")
    place = {node.node_id: node.sequence for node in graph.nodes}
    assert all(place[edge.from_node] < place[edge.to_node] for edge in graph.edges)
    assert len(set(graph.edges)) == len(graph.edges)
    assert [node.node_id for node in graph.nodes] == [
        "source",
        "first",
        "middle",
        "last",
        "out",
        "quarantine",
    ]
