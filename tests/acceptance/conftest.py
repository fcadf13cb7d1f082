"""Random pipelines, and a second, much simpler interpreter that says what must come of them."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from elspeth.contracts.plugins import PluginContext, RowFailure
from elspeth.contracts.results import TransformResult
from elspeth.plugins import registry
from elspeth.plugins.hookspecs import hookimpl
from elspeth.plugins.sinks.json_sink import JsonSink
from elspeth.plugins.transforms.base import BaseTransform, TransformOptions

Row = dict[str, Any]


class FlakyOptions(TransformOptions):
    model_config = ConfigDict(extra="forbid", frozen=True)
    modulus: int


class Flaky(BaseTransform):
    """Fails where ``x`` is a multiple; marks the others."""

    name: ClassVar[str] = "flaky"
    options_model: ClassVar[type[BaseModel]] = FlakyOptions

    def process(self, row: Row, ctx: PluginContext) -> TransformResult:
        if row["x"] % self.options.modulus == 0:
            return TransformResult.error({"error": "a multiple", "x": row["x"]})
        return TransformResult.success({**row, "mark": row["x"] * 2})


class Picky(JsonSink):
    """Does not take rows whose ``x`` ends in 4 or 9."""

    name = "picky"

    def write(self, rows: Sequence[Row], ctx: PluginContext) -> Sequence[RowFailure]:
        refused = [RowFailure(index, "no 4, no 9") for index, row in enumerate(rows) if row["x"] % 5 == 4]
        super().write([row for row in rows if row["x"] % 5 != 4], ctx)
        return refused


class Hooks:
    """What an installed package with these two plugins would announce."""

    @hookimpl
    def elspeth_transforms(self) -> list[type]:
        return [Flaky]

    @hookimpl
    def elspeth_sinks(self) -> list[type]:
        return [Picky]


@pytest.fixture(scope="module")  # for longer it would be there for tests that know nothing of it
def third_party() -> Iterator[None]:
    """`flaky` and `picky` are there, as if a package with them were installed."""
    package = SimpleNamespace(load=Hooks, value="third_party", dist=SimpleNamespace(name="third-party"))
    with pytest.MonkeyPatch.context() as patch:
        installed = registry.entry_points
        patch.setattr(registry, "entry_points", lambda group: [*installed(group=group), package])
        yield


CONDITIONS = {
    "row['x'] % 2 == 0": ("true", "false"),
    "row['x'] > 4 and len(row['tag']) < 3": ("true", "false"),
    "'big' if row['x'] > 9 else 'small' if row['x'] > 2 else 'tiny'": ("big", "small", "tiny"),
    "12 / row['x'] > 3": ("true", "false"),
    "row['tag'] + 1 > 2": ("true", "false"),
}
SINKS = ("output", "a", "b", "picky", "err")
TRANSFORMS: list[tuple[str, Row]] = [
    ("passthrough", {}),
    ("value_transform", {"operations": [{"target": "x", "expression": "row['x'] + 3"}]}),
    ("value_transform", {"operations": [{"target": "share", "expression": "60 / row['x']"}]}),
    ("flaky", {"modulus": 3}),
    ("json_explode", {"array_field": "items", "output_field": "items"}),
]


@st.composite
def pipelines(draw: st.DrawFn) -> Row:
    """A pipeline that is right: each node reads an end that an earlier one left open, the rest are sinks."""
    ends: list[tuple[Any, Any]] = []  # (holder, key) of destinations that are not chosen yet
    made: Row = {"sources": {}, "queues": {}, "transforms": [], "gates": []}
    for number in range(draw(st.integers(1, 2))):
        source: Row = {"plugin": "json", "on_validation_failure": draw(st.sampled_from([*ERROR_ENDS]))}
        made["sources"][f"s{number}"] = {name: value for name, value in source.items() if value}
        ends.append((made["sources"][f"s{number}"], "on_success"))
    for number in range(draw(st.integers(0, 6))):
        name = f"c{number}"
        for _ in range(2 if len(ends) > 1 and draw(st.integers(0, 3)) == 0 else 1):
            holder, key = ends.pop(draw(st.integers(0, len(ends) - 1)))
            if name in (holder if isinstance(holder, list) else ()):
                ends.append((holder, key))
                continue
            holder[key] = name
            made["queues"][name] = {}
        add = _gate if draw(st.booleans()) else _transform
        ends += add(draw, made, number)
    for holder, key in ends:
        taken = set(holder) if isinstance(holder, list) else set()
        holder[key] = draw(st.sampled_from([name for name in SINKS if name not in taken]))
    _leave_out_what_is_not_needed(made)
    return made


ERROR_ENDS = (None, "err", "discard", "a")


def _transform(draw: st.DrawFn, made: Row, number: int) -> list[tuple[Any, Any]]:
    plugin, options = draw(st.sampled_from(TRANSFORMS))
    step: Row = {"name": f"t{number}", "plugin": plugin, "input": f"c{number}", "options": options}
    step |= {"on_error": end} if (end := draw(st.sampled_from(ERROR_ENDS))) else {}
    made["transforms"].append(step)
    return [(step, "on_success")]


def _gate(draw: st.DrawFn, made: Row, number: int) -> list[tuple[Any, Any]]:
    condition = draw(st.sampled_from(sorted(CONDITIONS)))
    gate: Row = {"name": f"g{number}", "input": f"c{number}", "condition": condition, "routes": {}}
    gate |= {"on_error": end} if (end := draw(st.sampled_from(ERROR_ENDS))) else {}
    gate["mode"] = draw(st.sampled_from(["move", "move", "copy"]))
    ends: list[tuple[Any, Any]] = []
    for label in CONDITIONS[condition]:
        shape = draw(st.sampled_from(["one", "list", "fork", "discard"]))
        if shape == "discard" and gate["mode"] == "move" and gate["routes"]:  # one way at least goes on
            gate["routes"][label] = "discard"
        elif shape == "list":
            gate["routes"][label] = copies = [None] * draw(st.integers(2, 3))
            ends += [(copies, place) for place in range(len(copies))]
        elif shape == "fork":
            gate["routes"][label] = "fork"
            if "fork_to" not in gate:
                gate["fork_to"] = [None, None]
                ends += [(gate["fork_to"], 0), (gate["fork_to"], 1)]
        else:
            ends.append((gate["routes"], label))
    made["gates"].append(gate)
    return ends


def _leave_out_what_is_not_needed(made: Row) -> None:
    written = Counter(_written(made))
    nodes = (*made["sources"].values(), *made["transforms"], *made["gates"])
    used = set(written) | {node.get("on_error") or node.get("on_validation_failure") for node in nodes}
    copies = [gate for gate in made["gates"] if gate["mode"] == "copy"]
    if any(isinstance(to, str) and to != "fork" for gate in copies for to in gate["routes"].values()):
        used.add("output")
    made["queues"] = {name: {} for name in made["queues"] if written[name] > 1}
    made["sinks"] = {
        name: {"plugin": "picky" if name == "picky" else "json"} for name in SINKS if name in used
    }
    if "picky" in used and "err" in used:
        made["sinks"]["picky"]["on_write_failure"] = "err"


def _written(made: Row) -> Iterator[str]:
    """Every node's destinations; a node counts once for each of them."""
    for step in (*made["sources"].values(), *made["transforms"]):
        yield step["on_success"]
    for gate in made["gates"]:
        for to in [*gate["routes"].values(), *([gate["fork_to"]] if "fork_to" in gate else [])]:
            yield from to if isinstance(to, list) else [to]


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "x": st.one_of(st.integers(0, 30), st.integers(0, 30), st.just("twelve")),
            "tag": st.sampled_from(["", "ab", "long one", 1, 2.5]),
            "items": st.sampled_from([[], [1], ["p", {"q": [2]}, None], "none"]),
        },
        optional={"extra": st.sampled_from([None, True, 2**60, -0.0, "é☃", {"deep": [{"er": 1}]}])},
    ),
    max_size=12,
)


@dataclass
class Told:
    """A token as it must be on record.

    ``steps`` are (node, status, row before, row after), ``decisions`` (gate, label, destinations).
    """

    row: Row
    branch: str | None = None
    steps: list[tuple[str, str, Row, Row | None]] = field(default_factory=list)
    outcome: str = ""
    sink: str | None = None
    decisions: list[tuple[str, str, tuple[str, ...]]] = field(default_factory=list)
    children: list["Told"] = field(default_factory=list)

    def walk(self) -> Iterator["Told"]:
        yield self
        for child in self.children:
            yield from child.walk()


class Reference:
    """Takes rows through a pipeline one at a time, in memory, without any of the engine's code."""

    def __init__(self, pipeline: Row) -> None:
        self.steps = {step["input"]: step for step in (*pipeline["transforms"], *pipeline["gates"])}
        self.pipeline = pipeline
        self.sinks: dict[str, list[Told]] = {name: [] for name in (*pipeline["sinks"], "quarantine")}
        self.rows: list[Told] = []

    def run(self, inputs: dict[str, list[Row]]) -> "Reference":
        for name, rows in inputs.items():
            source = self.pipeline["sources"][name]
            for row in rows:
                token = Told(row)
                self.rows.append(token)
                if isinstance(row["x"], int):
                    token.steps.append((name, "completed", row, row))
                    self._go(token, row, source["on_success"])
                else:
                    self._fail(token, name, row, source.get("on_validation_failure"), "QUARANTINED")
        self._refuse()
        return self

    def _go(self, token: Told, row: Row, to: str, *, chosen: bool = False) -> None:
        if to == "discard":
            token.outcome = "DISCARDED"
        elif to in self.sinks:
            token.sink, token.outcome = to, "ROUTED" if chosen else "COMPLETED"
            token.steps.append((to, "completed", row, None))
            self.sinks[to].append(token)
        elif "condition" in self.steps[to]:
            self._decide(token, row, self.steps[to])
        else:
            self._transform(token, row, self.steps[to])

    def _fail(self, token: Told, node: str, row: Row, to: str | None, outcome: str = "FAILED") -> None:
        token.steps.append((node, "failed", row, None))
        to = to or "quarantine"
        self._go(token, row, to)
        if to != "discard":
            token.outcome = "QUARANTINED" if to == "quarantine" else outcome

    def _transform(self, token: Told, row: Row, step: Row) -> None:
        try:
            out = _worked(step["plugin"], step["options"], row)
        except (ValueError, ZeroDivisionError):
            self._fail(token, step["name"], row, step.get("on_error"))
            return
        if isinstance(out, list):
            token.steps.append((step["name"], "completed", row, None))
            token.outcome = "EXPANDED"
            token.children = [Told(one, token.branch) for one in out]
            for child in token.children:
                self._go(child, child.row, step["on_success"])
            return
        token.steps.append((step["name"], "completed", row, out))
        self._go(token, out, step["on_success"])

    def _decide(self, token: Told, row: Row, gate: Row) -> None:
        try:
            value = eval(gate["condition"], {"row": row, "len": len})
        except (TypeError, ZeroDivisionError):
            self._fail(token, gate["name"], row, gate.get("on_error"))
            return
        label = value if isinstance(value, str) else str(value).lower()
        to = gate["routes"][label]
        copies = gate["fork_to"] if to == "fork" else to if isinstance(to, list) else []
        if gate["mode"] == "copy" and not copies:
            copies = [to, "continue"]
        token.steps.append((gate["name"], "completed", row, row))
        token.decisions.append((gate["name"], label, tuple(copies or [to])))
        if not copies:
            self._go(token, row, to, chosen=True)
            return
        token.outcome = "FORKED"
        token.children = [Told(row, name) for name in copies]
        for child in token.children:
            self._go(child, row, "output" if child.branch == "continue" else str(child.branch))

    def _refuse(self) -> None:
        if "picky" not in self.sinks:
            return
        refused = [token for token in self.sinks["picky"] if token.steps[-1][2]["x"] % 5 == 4]
        self.sinks["picky"] = [token for token in self.sinks["picky"] if token not in refused]
        for token in refused:
            _, _, row, _ = token.steps.pop()
            token.sink = None
            self._fail(token, "picky", row, self.pipeline["sinks"]["picky"].get("on_write_failure"))


def _worked(plugin: str, options: Row, row: Row) -> Row | list[Row]:
    if plugin == "value_transform":
        (step,) = options["operations"]
        return {**row, step["target"]: eval(step["expression"], {"row": row})}
    if plugin == "flaky":
        if row["x"] % options["modulus"] == 0:
            raise ValueError
        return {**row, "mark": row["x"] * 2}
    if plugin == "json_explode":
        if not isinstance(row["items"], list):
            raise ValueError
        return [{**row, "items": item} for item in row["items"]]
    return row


class Bench:
    """A directory with a pipeline, its inputs, its outputs and its landscape."""

    def __init__(self, home: Path, pipeline: Row, inputs: dict[str, list[Row]], url: str = "") -> None:
        self.home = home
        self.url = url or f"sqlite:///{home}/audit.db"
        schema = {"mode": "flexible", "fields": ["x: int", "tag: any", "items: any"]}
        for name, rows in inputs.items():
            file = home / f"{name}.jsonl"
            file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
        pipeline = json.loads(json.dumps(pipeline))
        for name, source in pipeline["sources"].items():
            source["options"] = {"path": str(home / f"{name}.jsonl"), "schema": schema}
        for name, sink in pipeline["sinks"].items():
            sink["options"] = {"path": str(self.output(name))}
        pipeline["landscape"] = {"url": self.url}
        self.pipeline = pipeline
        self.file = home / "pipeline.yaml"
        self.file.write_text(json.dumps(pipeline), encoding="utf-8")

    def output(self, sink: str) -> Path:
        return self.home / f"{sink}.out.jsonl"

    def lines(self, sink: str) -> list[Any]:
        files = [self.output(sink)] if sink != "quarantine" else list(self.home.glob("**/quarantine-*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]


@dataclass(frozen=True)
class Trial:
    """All that a property test of pipelines needs.

    ``pipelines`` are dicts without paths, which are `Bench`'s business; some of the ``rows`` do not
    fit, some make conditions and transforms fail.
    """

    pipelines: st.SearchStrategy[Row]
    rows: st.SearchStrategy[list[Row]]
    reference: type[Reference]
    bench: type[Bench]


@pytest.fixture(scope="module")  # for longer it would be there for tests that know nothing of it
def trial(third_party: None) -> Trial:
    """Random pipelines and rows, an interpreter that is right, and a place to run them."""
    return Trial(pipelines(), ROWS, Reference, Bench)
