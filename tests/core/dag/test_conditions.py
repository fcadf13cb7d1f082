"""Conditions of gates and triggers against routes and fields."""

from collections.abc import Callable

import pytest

from elspeth.contracts.errors import Problem
from elspeth.core.dag import Graph

Build = Callable[..., Graph]
Refuse = Callable[..., list[Problem]]


def gate(condition: str, routes: str) -> str:
    return (
        "source: {plugin: csv}\n"
        f'gates:\n  - name: g\n    condition: "{condition}"\n    routes: {{{routes}}}\n'
        "sinks: {out: {plugin: csv}}\n"
    )


CASES = {
    "yes and no": (
        gate("row['x'] > 1", "yes: out, no: discard"),
        [
            (5, "the condition of gate 'g' can't give the label 'yes'", "did you mean 'true'?"),
            (5, "the condition of gate 'g' can't give the label 'no'", "did you mean 'false'?"),
        ],
    ),
    "capital letters": (
        gate("row['x'] > 1", '"True": out, "false": discard'),
        [(5, "the condition of gate 'g' can't give the label 'True'", "did you mean 'true'?")],
    ),
    "a label left out": (
        gate("row['x'] > 1", '"true": out'),
        [
            (
                5,
                "the condition of gate 'g' can give 'false', and no route says where such rows go",
                'add `"false": continue`, a connection, a sink, or `discard`',
            )
        ],
    ),
    "a label that can't be": (
        gate("'high' if row['x'] > 1 else 'low'", "high: out, low: out, other: discard"),
        [(5, "the condition of gate 'g' can't give the label 'other'", "it gives 'high' or 'low'")],
    ),
    "a label that is misspelt": (
        gate("'high' if row['x'] > 1 else 'low'", "hihg: out, low: out"),
        [(5, "the condition of gate 'g' can't give the label 'hihg'", "did you mean 'high'?")],
    ),
    "no label at all": (
        gate("row['x'] / 2", "a: out"),
        [
            (
                4,
                "the condition of gate 'g' can't choose a route: row['x'] / 2 is a fractional number, "
                "which is never a route label",
                "write a comparison, or give text in quotes",
            )
        ],
    ),
    "not an expression": (
        gate("row['x'] = 1", "a: out"),
        [(4, "'=' assigns, and nothing can be assigned", "write '==' to compare")],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_refused(name: str, refuse: Refuse) -> None:
    text, expected = CASES[name]
    assert [(p.location.line if p.location else 0, p.what, p.fix) for p in refuse(text)] == expected


@pytest.mark.parametrize(
    ("condition", "routes"),
    [
        ("True", '"true": out, "false": discard'),
        ("True", '"true": out'),
        ("row['kind']", "a: out, anything: discard"),
        ("row['x'] and row['y']", "a: out"),
        ("1 if row['x'] else 2", "1: out, 2: discard"),
        ("row['x'] > 1", "true: out, false: discard"),
    ],
)
def test_accepted(condition: str, routes: str, build: Build) -> None:
    build(gate(condition, routes))


@pytest.mark.parametrize(
    ("lines", "line", "column"),
    [
        ("condition: row['x'] > amt", 4, 27),
        ("condition: \"row['x'] > amt\"", 4, 28),
        ("condition: |\n      row['x'] >\n      amt", 6, 7),
        ("condition: >\n      row['x'] >\n      amt", 4, 16),
        ("condition: \"row['\\x41'] > amt\"", 4, 16),
    ],
)
def test_the_column_is_that_of_the_mistake(lines: str, line: int, column: int, refuse: Refuse) -> None:
    text = (
        f"source: {{plugin: csv}}\ngates:\n  - name: g\n    {lines}\n"
        '    routes: {"true": out, "false": discard}\nsinks: {out: {plugin: csv}}\n'
    )
    (problem,) = refuse(text)
    assert problem.what == "unknown name 'amt'"
    assert problem.location is not None
    assert (problem.location.line, problem.location.column) == (line, column)


def test_triggers_know_the_batch_only(refuse: Refuse, build: Build) -> None:
    text = (
        "source: {plugin: csv}\naggregations:\n"
        '  - {name: a, plugin: p, trigger: {condition: "CONDITION"}}\nsinks: {out: {plugin: csv}}\n'
    )
    build(text.replace("CONDITION", "row['batch_count'] >= 5 or row['batch_age_seconds'] > 1.5"))
    (problem,) = refuse(text.replace("CONDITION", "row['batchcount'] >= 5"))
    assert problem.what == "a trigger knows the batch, not its rows: there is no field 'batchcount'"
    assert problem.fix == "did you mean 'batch_count'?"
    (problem,) = refuse(text.replace("CONDITION", "row['batch_count'] >= x"))
    assert problem.what == "unknown name 'x'"
