"""What is wrong with a graph, said so that one can repair it."""

from collections.abc import Callable

import pytest

from elspeth.contracts.errors import Problem

Refuse = Callable[..., list[Problem]]

OUT = "\nsinks: {out: {plugin: csv}}\n"
TWO = "\nsinks: {good: {plugin: csv}, bad: {plugin: csv}}\n"
GATE = "gates:\n  - name: g\n    condition: \"row['x'] > 1\"\n"

# text, then for each problem (line, what, fix); a source is added as line 1
CASES = {
    "unknown destination": (
        GATE + '    routes: {"true": reviw, "false": discard}\nsinks:\n  review: {plugin: csv}\n',
        [
            (
                5,
                "gate 'g' writes to 'reviw', but no sink has that name and no node reads it",
                "did you mean 'review'?",
            ),
        ],
    ),
    "destination is a node that reads something else": (
        "transforms:\n  - {name: t, plugin: p, on_success: u}\n  - {name: u, plugin: p}" + OUT,
        [
            (
                3,
                "transform 't' writes to 'u', which is a transform that does not read it",
                "add `input: u` to transform 'u'",
            ),
            (
                4,
                "transform 'u' is never reached: nothing feeds it",
                "add `input:` with the name of the connection that it reads",
            ),
        ],
    ),
    "nothing writes the input": (
        "transforms:\n  - {name: t, plugin: p}\n  - {name: u, plugin: p, input: cleaned}" + OUT,
        [
            (
                4,
                "transform 'u' reads 'cleaned', but nothing writes it",
                "write `on_success: cleaned` at the node that feeds it, or take the `input` out",
            )
        ],
    ),
    "input and on_success are spelt differently": (
        "transforms:\n  - {name: t, plugin: p, on_success: cleaned}\n  - {name: u, plugin: p, input: clened}"
        + OUT,
        [
            (
                3,
                "transform 't' writes to 'cleaned', but no sink has that name and no node reads it",
                "did you mean 'clened'?",
            ),
            (4, "transform 'u' reads 'clened', but nothing writes it", "did you mean 'cleaned'?"),
        ],
    ),
    "input names a source": (
        "transforms:\n  - {name: u, plugin: p, input: source}" + OUT,
        [
            (
                3,
                "transform 'u' reads 'source', but nothing writes it",
                "add `on_success: source` to source 'source'",
            )
        ],
    ),
    "input names a sink": (
        "transforms:\n  - {name: t, plugin: p}\n  - {name: u, plugin: p, input: out}" + OUT,
        [
            (
                4,
                "'out' is a sink, and transform 'u' would read it: rows for 'out' could go to either",
                "give the connection another name",
            )
        ],
    ),
    "two readers": (
        "transforms:\n  - {name: t, plugin: p, on_success: c}\n"
        "  - {name: u, plugin: p, input: c, on_success: out}\n"
        "  - {name: v, plugin: p, input: c}" + OUT,
        [
            (
                5,
                "connection 'c' is read by 'u' and 'v', and a row can only go to one of them",
                "use a gate with `fork_to` to give each its own copy, or another connection",
            )
        ],
    ),
    "several producers without a queue": (
        "transforms:\n  - {name: t, plugin: p, input: c, on_success: out}\n"
        + 'gates:\n  - {name: g, condition: "row[\'x\'] > 1", routes: {"true": c, "false": continue}}\n'
        + '  - {name: h, condition: "row[\'x\'] > 1", routes: {"true": c, "false": out}}'
        + OUT,
        [
            (
                3,
                "connection 'c' is written by 'g' and 'h', and transform 't' reads it",
                "if their rows shall come together there, say so: `queues: {c: {}}`",
            )
        ],
    ),
    "several nodes could be followed": (
        "transforms:\n  - {name: t, plugin: p}\n  - {name: u, plugin: p, input: path}\n"
        'gates:\n  - name: g\n    condition: "row[\'x\'] > 1"\n    routes: {"true": path, "false": out}'
        + OUT,
        [
            (
                6,
                "gate 'g' has no `input`, and it could follow 't' or 'u'",
                "write `on_success` at each of them; to let their rows come together, add a queue, "
                "e.g. `queues: {to_g: {}}`, and `input: to_g` here",
            )
        ],
    ),
    "several sinks and no on_success": (
        "transforms: [{name: t, plugin: p, on_error: bad}]" + TWO,
        [
            (
                2,
                "transform 't' has no on_success, and there are several sinks: "
                "its rows could go to 'good' or 'bad'",
                "add `on_success: good`, or call one of the sinks 'output'",
            ),
            (3, "no row can ever arrive at sink 'good'", "route rows to it, or take it out"),
        ],
    ),
    "continue with several sinks behind": (
        GATE + '    routes: {"true": continue, "false": [good, bad]}' + TWO,
        [
            (
                5,
                "gate 'g' has no node behind it for `continue`, and there are several sinks: "
                "its rows could go to 'good' or 'bad'",
                "write `good` instead of `continue`, or call one of the sinks 'output'",
            )
        ],
    ),
    "a copy with nowhere to go on": (
        GATE + '    mode: copy\n    routes: {"true": good, "false": bad}' + TWO,
        [
            (
                5,
                "gate 'g' has no node behind it for the row that goes on, and there are several sinks: "
                "its rows could go to 'good' or 'bad'",
                "write `mode: move`, or call one of the sinks 'output'",
            )
        ],
    ),
    "a copy that is discarded": (
        GATE + '    mode: copy\n    routes: {"true": discard, "false": continue}' + OUT,
        [
            (
                6,
                "route 'true' would discard a copy of each row, which does nothing",
                "write `continue`, or `mode: move` to discard the row itself",
            )
        ],
    ),
    "copies to one place": (
        GATE + '    routes: {"true": [out, continue], "false": out}' + OUT,
        [(5, "route 'true' leads to 'out' twice", "name each destination once")],
    ),
    "a fork to one path": (
        GATE + '    routes: {"true": fork, "false": out}\n    fork_to: [out]' + OUT,
        [
            (
                6,
                "gate 'g' forks to a single path, which is no fork",
                "write 'out' in the route instead of `fork`, or add a path",
            )
        ],
    ),
    "a label for what goes on": (
        "gates:\n  - {name: g, condition: \"row['x']\", mode: copy, routes: {continue: out, b: out}}" + OUT,
        [
            (
                3,
                "with `mode: copy` the label 'continue' stands for the row that goes on",
                "give the route another label",
            )
        ],
    ),
    "a gate that nothing feeds": (
        GATE
        + '    routes: {"true": out, "false": out}\n'
        + '  - {name: h, condition: "row[\'x\'] > 1", routes: {"true": out, "false": out}}'
        + OUT,
        [
            (
                6,
                "gate 'h' is never reached: nothing feeds it",
                "add `input:` with the name of the connection that it reads, "
                "or route a label of gate 'g' to `continue`",
            )
        ],
    ),
    "a circle": (
        "transforms:\n  - {name: t, plugin: p, input: a, on_success: b}\n"
        + 'gates:\n  - {name: g, input: b, condition: "row[\'x\'] > 1", routes: {"true": a, "false": out}}'
        + OUT,
        [
            (
                3,
                "rows would go round in a circle: t → g → t",
                "let 'g' write to a sink or to a node further on",
            )
        ],
    ),
    "a circle of failed writes": (
        "sinks:\n  output: {plugin: csv, on_write_failure: bad}\n"
        "  bad: {plugin: csv, on_write_failure: output}\n",
        [
            (
                3,
                "failed writes would go round in a circle: output → bad → output",
                "write `on_write_failure: discard` at one of them, "
                "or leave it out for the automatic quarantine",
            )
        ],
    ),
    "unknown error sink": (
        "transforms: [{name: t, plugin: p, on_error: erors}]\n"
        "sinks: {output: {plugin: csv}, errors: {plugin: csv}}\n",
        [
            (
                2,
                "on_error of transform 't' names 'erors', and there is no sink of that name",
                "did you mean 'errors'?",
            ),
        ],
    ),
    "an error sink that is none": (
        "transforms:\n  - {name: t, plugin: p, on_error: u}\n  - {name: u, plugin: p}" + OUT,
        [
            (
                3,
                "on_error of transform 't' names 'u', which is not a sink",
                "there are 'out', 'quarantine' and 'discard'",
            )
        ],
    ),
    "names used twice": (
        "transforms:\n  - {name: t, plugin: p}\n  - {name: t, plugin: p}\n"
        + 'gates:\n  - {name: out, condition: "row[\'x\'] > 1", routes: {"true": out, "false": out}}'
        + OUT,
        [
            (
                4,
                "the name 't' is used by two transforms",
                "every node needs a name of its own, because the audit trail tells nodes apart by it",
            ),
            (
                7,
                "the name 'out' is used twice: by a gate and by a sink",
                "every node needs a name of its own, because the audit trail tells nodes apart by it",
            ),
        ],
    ),
    "queues without producers or readers": (
        "queues:\n  a: {}\ntransforms:\n  - {name: t, plugin: p}" + OUT,
        [
            (3, "nothing reads queue 'a'", "add `input: a` to the node that it feeds"),
            (3, "nothing writes to queue 'a'", "add `on_success: a` to its producers"),
        ],
    ),
    "a branch that nothing writes": (
        'gates:\n  - {name: g, condition: "True", routes: {"true": fork}, fork_to: [a, b]}\n'
        "coalesce:\n  - {name: join, branches: [a, b, c]}" + OUT,
        [
            (
                5,
                "coalesce 'join' reads 'c', but nothing writes it",
                "write `on_success: c` at the node that feeds it, or take the branch out",
            )
        ],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_refused(name: str, refuse: Refuse) -> None:
    text, expected = CASES[name]
    problems = refuse("source: {plugin: csv}\n" + text)
    assert [(p.location.line if p.location else 0, p.what, p.fix) for p in problems] == expected


def test_a_sink_that_gets_the_export_is_used(refuse: Refuse, build: Callable[..., object]) -> None:
    build(
        "landscape: {export: {enabled: true, sink: copy}}\n"
        "sinks: {output: {plugin: csv}, copy: {plugin: json}}"
    )


def test_all_problems_come_at_once_with_position_and_excerpt(refuse: Refuse) -> None:
    problems = refuse("""
source: {plugin: csv, on_success: row}
transforms:
  - {name: t, plugin: p, input: rows, on_error: oops}
gates:
  - {name: g, condition: "row['x' > 1", routes: {"true": nowhere}}
sinks: {out: {plugin: csv}}
""")
    assert [str(p.location).rsplit("/", 1)[-1] for p in problems] == [
        "pipeline.yaml:2:35",
        "pipeline.yaml:4:33",
        "pipeline.yaml:4:49",
        "pipeline.yaml:6:30",
        "pipeline.yaml:6:58",
        "pipeline.yaml:7:9",
    ]
    assert str(problems[2]).splitlines()[1:] == [
        "  4 |   - {name: t, plugin: p, input: rows, on_error: oops}",
        "    |                                                 ^",
        "  fix: there are 'out', 'quarantine' and 'discard'",
    ]
