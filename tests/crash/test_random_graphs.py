"""Random graphs, random rows and random deaths: what comes out is what a simple account says, every time.

A graph is a chain of stages: computing, slow (many rows in flight), failing, tried again, filters, copies,
forks with joins of every policy, batches. It is run quietly and held against the account; then it is killed,
at a named point or at any instant, resumed, killed again, and must leave the same files, byte for byte.
"""

import json
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from elspeth.api.verify import verify

Row = dict[str, Any]
Stage = dict[str, Any]
ROWS = 90
SIMPLE = ("calc", "slow", "risky", "flaky", "filter", "hold")
STAGES = (*SIMPLE, "copy", "sums", "fork", "fork", "fork")
SINKS = ("main", "lines", "refused", "side", "bad", "lost", "stats")
POINTS = (
    "run.ready", "transform", "commit.begin", "sinks.written", "sinks.flushed", "commit.end", "rows.read",
    "publish.begin", "sink.published", "publish.end",
)  # fmt: skip


@st.composite
def simple(draw: Any, kinds: tuple[str, ...] = SIMPLE) -> Stage:
    stage = {"kind": draw(st.sampled_from(kinds)), "k": draw(st.integers(3, 9)), "r": draw(st.integers(0, 2))}
    if stage["kind"] == "filter":
        stage["to"] = draw(st.sampled_from(["side", "discard"]))
    return stage


@st.composite
def graphs(draw: Any) -> list[Stage]:
    """Stages in their order; each gets a number by which its nodes are called."""
    found = []
    for kind in draw(st.lists(st.sampled_from(STAGES), min_size=2, max_size=6)):
        if kind in SIMPLE:
            stage = draw(simple((kind,)))
        elif kind == "fork":
            policy = draw(st.sampled_from(["require_all", "best_effort", "first", "quorum"]))
            # Which branch is the first is a matter of chance where rows wait for something.
            kinds = (
                SIMPLE if policy in ("require_all", "best_effort") else ("calc", "risky", "flaky", "filter")
            )
            branches = draw(st.lists(st.lists(simple(kinds), max_size=2), min_size=2, max_size=3))
            stage = {"kind": kind, "branches": branches, "policy": policy,
                     "pick": draw(st.sampled_from([None, 0, 1]))}  # fmt: skip
        else:
            stage = {"kind": kind, "k": draw(st.integers(3, 9))}
        found.append(stage)
    return found


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    for each in value if isinstance(value, list) else ():
        yield from strings(each)
    if isinstance(value, str):
        yield value


@dataclass
class Builder:
    """The pipeline file of a graph."""

    document: Row = field(default_factory=dict)
    count: int = 0

    def build(self, stages: list[Stage]) -> str:
        sink = {name: {"plugin": "json", "options": {"path": f"out/{name}.jsonl"}} for name in SINKS}
        sink["lines"] = {"plugin": "text", "options": {"path": "out/lines.txt", "field": "note"},
                         "on_write_failure": "refused"}  # fmt: skip
        source = {"plugin": "json", "options": {"path": "in.jsonl"}, "on_success": "c0"}
        self.document = {
            "source": source, "transforms": [], "gates": [], "aggregations": [], "coalesce": [],
            "retry": {"max_attempts": 3, "initial_delay_seconds": 0, "max_delay_seconds": 0},
        }  # fmt: skip
        at = "c0"
        for stage in stages:
            at = self._add(stage, at)
        self._gate(at, "True", {"true": ["main", "lines"]})
        self.document["sinks"] = {}
        used = {*strings(self.document), "refused"}
        self.document["sinks"] = {name: made for name, made in sink.items() if name in used}
        return yaml.safe_dump({name: value for name, value in self.document.items() if value})

    def _name(self) -> str:
        self.count += 1
        return f"n{self.count}"

    def _gate(self, at: str, condition: str, routes: Row, fork_to: list[str] | None = None) -> None:
        gate = {"name": self._name(), "input": at, "condition": condition, "routes": routes}
        self.document["gates"].append(gate | ({"fork_to": fork_to} if fork_to else {}))

    def _transform(self, at: str, plugin: str, options: Row) -> str:
        name = self._name()
        made = {"name": name, "plugin": plugin, "input": at, "on_success": f"{name}o", "options": options}
        self.document["transforms"].append(made | {"on_error": "bad"})
        return f"{name}o"

    def _add(self, stage: Stage, at: str) -> str:
        kind, k = stage["kind"], stage.get("k")
        if kind == "calc":
            operation = {"target": f"f{k}", "expression": f"row['id'] * {k} + {stage['r']}"}
            return self._transform(at, "value_transform", {"operations": [operation]})
        if kind == "risky":
            operation = {"target": "risk", "expression": f"10 / (row['id'] % {k})"}
            return self._transform(at, "value_transform", {"operations": [operation]})
        if kind in ("slow", "flaky"):
            return self._transform(at, kind, {} if kind == "slow" else {"modulus": k})
        name = self._name()
        out = f"{name}o"
        if kind == "filter":
            routes = {"out": stage["to"], "on": out}
            self._gate(at, f"'out' if row['id'] % {k} == {stage['r']} else 'on'", routes)
        elif kind == "copy":
            self._gate(at, "True", {"true": ["side", out]})
        elif kind == "sums":
            self._gate(at, "True", {"true": [f"{name}b", out]})
            self._batch(name, f"{name}b", "stats", "batch_stats", {"value_field": "id"}, k)
        elif kind == "hold":
            options = {"default_copies": 1, "include_copy_index": False}
            self._batch(name, at, out, "batch_replicate", options, k)
            self.document["aggregations"][-1]["output_mode"] = "passthrough"
        else:
            self._fork(stage, name, at, out)
        return out

    def _batch(self, name: str, at: str, out: str, plugin: str, options: Row, k: Any) -> None:
        made = {"name": name, "plugin": plugin, "input": at, "on_success": out, "options": options}
        self.document["aggregations"].append(made | {"trigger": {"count": k}, "on_error": "bad"})

    def _fork(self, stage: Stage, name: str, at: str, out: str) -> None:
        branches = [f"{name}b{place}" for place in range(len(stage["branches"]))]
        self._gate(at, "True", {"true": "fork", "false": "discard"}, branches)
        doors = {}
        for branch, inner in zip(branches, stage["branches"], strict=True):
            end = branch
            for each in inner:
                end = self._add(each, end)
            doors[branch] = end
        made = {
            "name": name,
            "branches": doors,
            "policy": stage["policy"],
            "on_success": out,
            "on_error": "lost",
        }
        if stage["policy"] == "quorum":
            made["quorum_count"] = 2
        if self._picks(stage):
            made |= {"merge": "select", "select_branch": branches[stage["pick"]]}
        self.document["coalesce"].append(made)

    @staticmethod
    def _picks(stage: Stage) -> bool:
        return stage["pick"] is not None and stage["policy"] == "require_all"


class Account:
    """What must come of a graph, told row by row: rows by sink, tokens by outcome."""

    def __init__(self, stages: list[Stage], rows: list[Row]) -> None:
        self.sinks: dict[str, list[Row]] = {name: [] for name in SINKS}
        self.outcomes: Counter[str] = Counter()
        self.batched: Counter[tuple[int, int]] = Counter()  # rows and their sum, by the size of a batch
        self._sums: dict[int, list[int]] = {}
        for row in rows:
            self._go(stages, row)
        for place, ids in self._sums.items():
            self._sum_up(ids, stages[place]["k"])

    def _go(self, stages: list[Stage], row: Row) -> None:
        now: Row | None = row
        for place, stage in enumerate(stages):
            if now is None:
                return
            now = self._step(stage, now, place)
        if now is None:
            return
        self.outcomes["FORKED"] += 1
        self._end("main", now, "COMPLETED")
        if "\n" in now["note"]:
            self._end("refused", now, "FAILED")
        else:
            self._end("lines", now, "COMPLETED")

    def _end(self, sink: str, row: Row, outcome: str) -> None:
        if sink != "discard":
            self.sinks[sink].append(row)
        self.outcomes[outcome] += 1

    def _step(self, stage: Stage, row: Row, place: int = 0) -> Row | None:
        kind, k, number = stage["kind"], stage.get("k", 1), row["id"]
        if kind == "calc":
            return {**row, f"f{k}": number * k + stage["r"]}
        if kind == "risky" and number % k:
            return {**row, "risk": 10 / (number % k)}
        if kind == "risky" or (kind == "flaky" and number % k == 1):
            self._end("bad", row, "FAILED")
            return None
        if kind == "filter" and number % k == stage["r"]:
            self._end(stage["to"], row, "ROUTED" if stage["to"] == "side" else "DISCARDED")
            return None
        if kind == "copy":
            self.outcomes["FORKED"] += 1
            self._end("side", row, "COMPLETED")
        if kind == "sums":
            self.outcomes["FORKED"] += 1
            self._sums.setdefault(place, []).append(number)
        return self._join(stage, row) if kind == "fork" else row

    def _join(self, stage: Stage, row: Row) -> Row | None:
        self.outcomes["FORKED"] += 1
        arrived: list[Row | None] = []
        for inner in stage["branches"]:
            now: Row | None = row
            for each in inner:
                now = None if now is None else self._step(each, now)
            arrived.append(now)
        there = [one for one in arrived if one is not None]
        needed = {"require_all": len(arrived), "best_effort": 1, "first": 1, "quorum": 2}[stage["policy"]]
        if len(there) < needed:
            for one in there:
                self._end("lost", one, "FAILED")
            return None
        taken = there[:needed] if stage["policy"] in ("first", "quorum") else there
        self.outcomes["COALESCED"] += len(taken)
        self.outcomes["DISCARDED"] += len(there) - len(taken)
        if Builder._picks(stage):
            return arrived[stage["pick"]]
        return {name: value for one in taken for name, value in one.items()}

    def _sum_up(self, ids: list[int], size: int) -> None:
        self.outcomes["CONSUMED_IN_BATCH"] += len(ids)
        self.outcomes["COMPLETED"] += -(-len(ids) // size)
        self.batched[len(ids), sum(ids)] += 1


def plain(row: Row) -> Row:
    """A row as it was, also out of the envelope that tells what went wrong with it."""
    return row.get("row", row) if "error" in row else row


def written(name: str) -> list[Row]:
    path = Path(f"out/{name}.jsonl")
    return [plain(json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


def key(row: Row) -> str:
    return json.dumps(row, sort_keys=True)


def agrees(scene: Any, account: Account) -> None:
    """The quiet run did what the account says."""
    for name in ("main", "refused", "side", "bad", "lost"):
        assert sorted(map(key, written(name))) == sorted(map(key, account.sinks[name])), name
    lines = Path("out/lines.txt").read_text().splitlines() if Path("out/lines.txt").exists() else []
    assert sorted(lines) == sorted(row["note"] for row in account.sinks["lines"])
    stats = written("stats")
    assert sum(row["count"] for row in stats) == sum(rows for rows, _ in account.batched.elements())
    assert sum(row["sum"] for row in stats) == sum(total for _, total in account.batched.elements())
    assert scene.outcome(ROWS).outcomes == +account.outcomes


def by_chance(stages: list[Stage]) -> bool:
    """Whether the order of rows is a matter of time, in quiet runs too: some fly, some wait in batches."""
    inner = [each for stage in stages for branch in stage.get("branches", ()) for each in branch]
    kinds = {stage["kind"] for stage in (*stages, *inner)}
    return "slow" in kinds and bool(kinds & {"hold", "sums"})


def unnumbered(outcome: Any) -> dict[int, list[str]]:
    """Rows' stories without the numbers of their tokens, which are given in the order of events."""
    return {row: sorted(repr(token[1:]) for token in tokens) for row, tokens in outcome.stories.items()}


def disturbed(scene: Any, chance: random.Random, kills: int) -> int:
    """Kill, resume, kill …, and let it end at last; how often it died."""
    died, resume = 0, False
    for _ in range(kills):
        if chance.random() < 0.5:
            order: Row = {"point": chance.choice(POINTS), "count": chance.randrange(1, 9)}
        else:
            order = {"alarm_ms": chance.randrange(1, 400)}
        before, (code, _) = died, scene.victim(resume=resume, group=20, **order)
        died += code < 0
        assert code <= 0, scene.said()
        if code == 0:
            return died
        resume = resume or (Path(".elspeth/landscape.db").exists() and has_run(scene))
        assert died == before + 1
    assert scene.victim(resume=resume, group=20)[0] == 0, scene.said()
    return died


def has_run(scene: Any) -> bool:
    """Whether the dead one had come as far as to put its run on record."""
    return bool(scene.statuses())


def check(scene: Any, stages: list[Stage], seed: int, kills: int) -> None:
    chance = random.Random(seed)
    rows = [
        {"id": number, "note": f"n{number}" + "\n" * (chance.random() < 0.1)} for number in range(1, ROWS + 1)
    ]
    scene.start_over()
    Path("in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Path("p.yaml").write_text(Builder().build(stages))
    assert scene.victim(group=20)[0] == 0, scene.said()
    agrees(scene, Account(stages, rows))
    quiet = scene.outcome(ROWS)
    scene.start_over()
    disturbed(scene, chance, kills)
    agrees(scene, Account(stages, rows))
    found = scene.outcome(ROWS)
    if not by_chance(stages):
        assert [name for name, content in quiet.files.items() if found.files.get(name) != content] == []
        assert (found.files, unnumbered(found)) == (quiet.files, unnumbered(quiet))
    assert scene.statuses().count("running") == 0
    assert verify(database=scene.url).ok


@pytest.fixture
def scene(make_scene: Callable[[str], Any], tmp_path: Path) -> Iterator[Any]:
    yield make_scene("")
    shutil.rmtree(tmp_path / ".elspeth", ignore_errors=True)


QUICK = settings(
    max_examples=6, deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
LONG = settings(
    QUICK, max_examples=60, derandomize=False, phases=(Phase.explicit, Phase.generate, Phase.shrink)
)


@QUICK
@given(stages=graphs(), seed=st.integers(0, 1 << 30))
def test_any_graph_killed_anywhere(scene: Any, stages: list[Stage], seed: int) -> None:
    check(scene, stages, seed, kills=3)


@pytest.mark.soak
@pytest.mark.parametrize("part", range(5))
@LONG
@given(stages=graphs(), seed=st.integers(0, 1 << 30))
def test_any_graph_killed_anywhere_often(scene: Any, part: int, stages: list[Stage], seed: int) -> None:
    check(scene, stages, seed + part, kills=8)
