"""Whatever the graph and whatever the rows: what arrives where, and that it is on record, each token once."""

import tempfile
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from elspeth import explain, run
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.schema import (
    edges_table,
    routing_events_table,
    rows_table,
    token_outcomes_table,
    token_parents_table,
    tokens_table,
)

Row = dict[str, Any]
SETTINGS = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@SETTINGS
@given(data=st.data())
def test_rows_go_where_a_simple_interpreter_sends_them(data: st.DataObject, trial: Any) -> None:
    pipeline = data.draw(trial.pipelines)
    inputs = {name: data.draw(trial.rows) for name in pipeline["sources"]}
    expected = trial.reference(pipeline).run(inputs)
    with tempfile.TemporaryDirectory() as home:
        place = trial.bench(Path(home), pipeline, inputs)
        result = run(place.file)
        tokens = [token for row in expected.rows for token in row.walk()]
        assert result.rows.read == len(expected.rows)
        assert result.outcomes == Counter(token.outcome for token in tokens)
        assert result.rows.quarantined == sum(token.outcome == "QUARANTINED" for token in tokens)
        assert result.rows.failed == sum(token.outcome == "FAILED" for token in tokens)
        troubled = result.rows.quarantined or result.rows.failed
        assert result.status == (
            "empty" if not expected.rows else "completed_with_failures" if troubled else "completed"
        )
        _check_sinks(place, result, expected)
        _check_record(place, result, tokens)
        _check_stories(place, expected)


def _check_sinks(place: Any, result: Any, expected: Any) -> None:
    late = {sink.get("on_write_failure", "quarantine") for sink in place.pipeline["sinks"].values()
            if sink["plugin"] == "picky"}  # fmt: skip
    for name, tokens in expected.sinks.items():
        if name not in result.sinks:
            assert not tokens
            continue
        lines, wanted = place.lines(name), [token.steps[-1][2] for token in tokens]
        if name == "quarantine":
            lines = [line["row"] for line in lines]
        if name in late:  # what a sink refused comes behind what arrived in the same commit
            lines, wanted = sorted(lines, key=repr), sorted(wanted, key=repr)
        assert lines == wanted
        assert result.sinks[name].rows == len(wanted)
        if name != "quarantine":
            content = place.output(name).read_bytes()
            assert result.sinks[name].sha256 == sha256(content).hexdigest()
            assert result.sinks[name].bytes == len(content)


def _check_record(place: Any, result: Any, tokens: list[Any]) -> None:
    db = LandscapeDB.from_url(place.url, create=False)
    try:
        with db.engine.connect() as connection:
            read = {table.name: connection.execute(select(table)).all() for table in (
                rows_table, tokens_table, token_outcomes_table, token_parents_table, routing_events_table,
                edges_table)}  # fmt: skip
    finally:
        db.close()
    ids = [token.token_id for token in read["tokens"]]
    assert len(set(ids)) == len(ids) == len(tokens)
    assert sorted(ids) == sorted(outcome.token_id for outcome in read["token_outcomes"])
    assert len(read["rows"]) == result.rows.read
    outcome = {found.token_id: found.outcome for found in read["token_outcomes"]}
    group = {token.token_id: token.fork_group_id for token in read["tokens"]}
    children: dict[str, set[str | None]] = {}
    for child, parent, _ in read["token_parents"]:
        children.setdefault(parent, set()).add(group[child])
    assert all(len(groups) == 1 and None not in groups for groups in children.values())
    assert {outcome[parent] for parent in children} <= {"FORKED", "EXPANDED"}
    _check_decisions(read, tokens)


def _check_decisions(read: dict[str, Any], tokens: list[Any]) -> None:
    label = {edge.edge_id: (edge.from_node_id, edge.label) for edge in read["edges"]}
    groups: dict[str, list[Any]] = {}
    for event in read["routing_events"]:
        groups.setdefault(event.routing_group_id, []).append(event)
    for events in groups.values():
        assert len({event.state_id for event in events}) == 1
        assert sorted(event.ordinal for event in events) == list(range(len(events)))
        assert len({(event.mode, event.reason_hash) for event in events}) == 1
    decided = Counter((*label[events[0].edge_id], len(events)) for events in groups.values())
    wanted = Counter(
        (gate, name, len(ways)) for token in tokens for gate, name, ways in token.decisions
    )  # fmt: skip
    assert {key: count for key, count in decided.items() if not key[1].startswith("on_")} == wanted
    failed = Counter(node for token in tokens for node, status, _, _ in token.steps if status == "failed")
    diverted = {node: count for (node, name, _), count in decided.items() if name.startswith("on_")}
    assert diverted == failed


def _check_stories(place: Any, expected: Any) -> None:
    for index, told in enumerate(expected.rows):
        (row,) = explain(row=index, database=place.url).rows
        assert row.source_data == told.row
        (root,) = row.roots
        _check_token(root, told)


def _check_token(token: Any, told: Any) -> None:
    assert (token.outcome, token.sink_name, token.branch_name) == (told.outcome, told.sink, told.branch)
    states = [(state.node_id, state.status, state.input_data) for state in token.states]
    assert states == [(node, status, before) for node, status, before, _ in told.steps]
    for state, (_, _, _, after) in zip(token.states, told.steps, strict=True):
        if after is not None:
            assert state.output_data == after
    assert len(token.children) == len(told.children)
    if told.outcome == "FORKED":
        decision = token.decisions[-1]
        assert [branch.token_id for branch in decision.branches] == [
            child.token_id for child in token.children
        ]
        for branch, child in zip(decision.branches, told.children, strict=True):
            ends = [(end.outcome, end.sink_name) for end in branch.ends]
            assert ends == [(leaf.outcome, leaf.sink) for leaf in child.walk() if not leaf.children]
    for child, wanted in zip(token.children, told.children, strict=True):
        assert child.parents == (token.token_id,)
        _check_token(child, wanted)
