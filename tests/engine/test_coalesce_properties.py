"""Whatever becomes of the branches, and whatever the policy: a coalesce does what a simple account says."""

import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Row = dict[str, Any]
NAMES = ("a", "b", "c")
FATES = ("ok", "ok", "ok", "two", "none", "drop", "side", "fail")

PIPELINE = """
source: {plugin: json, options: {path: $in.jsonl}}
queues: {QUEUES}
transforms:
TRANSFORMS
gates:
  - {name: split, condition: "True", routes: {"true": fork, "false": discard}, fork_to: [BRANCHES]}
GATES
coalesce:
  - name: join
    branches: {DOORS}
    on_success: output
    on_error: lost
    SETTINGS
sinks:
  output: {plugin: json, options: {path: $output.jsonl}}
  lost: {plugin: json, options: {path: $lost.jsonl}}
  side: {plugin: json, options: {path: $side.jsonl}}
  failed: {plugin: json, options: {path: $failed.jsonl}}
"""
# Each branch: a gate that looks what shall become of the row, and a transform for each fate.
TRANSFORMS = """
  - name: good_X
    plugin: value_transform
    input: ok_X
    on_success: done_X
    options: {operations: [{target: f_X, expression: "row['id'] * 2"}, {target: v, expression: "row['v_X']"}]}
  - name: many_X
    plugin: json_explode
    input: list_X
    on_success: done_X
    options: {array_field: items_X, output_field: item}
  - name: bad_X
    plugin: value_transform
    input: fail_X
    on_success: done_X
    on_error: failed
    options: {operations: [{target: never, expression: "1 / row['zero']"}]}
"""
GATE = """
  - name: fate_X
    input: X
    condition: "row['fate_X']"
    routes: {ok: ok_X, two: list_X, none: list_X, drop: discard, side: side, fail: fail_X}
"""


@dataclass
class Account:
    """What must come of one coalesce, told row by row and event by event."""

    settings: Row
    branches: tuple[str, ...]
    output: list[Row] = field(default_factory=list)
    lost: list[Row] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    merges: list[tuple[int, list[str], Row]] = field(default_factory=list)

    def take(self, row: Row) -> None:
        self.outcomes["FORKED"] += 1
        self.arrived: dict[str, Row] = {}
        self.state, self.coming = "open", set(self.branches)
        for branch in self.branches:
            fate = row[f"fate_{branch}"]
            rows = {"ok": [self._good(row, branch)], "two": self._items(row, branch)}.get(fate, [])
            self.outcomes[{"two": "EXPANDED", "none": "EXPANDED", "drop": "DISCARDED", "side": "ROUTED",
                           "fail": "FAILED"}.get(fate, "")] += fate != "ok"  # fmt: skip
            self.coming.discard(branch)
            for one in rows:
                if self.state == "open" and branch not in self.arrived:
                    self.arrived[branch] = one
                    self._judge(row["id"])
                elif self.state == "merged":
                    self.outcomes["DISCARDED"] += 1
                else:
                    self._lose(one)
            if not rows:
                self._judge(row["id"])

    def _good(self, row: Row, branch: str) -> Row:
        return {**row, f"f_{branch}": row["id"] * 2, "v": row[f"v_{branch}"]}

    def _items(self, row: Row, branch: str) -> list[Row]:
        items = f"items_{branch}"
        template = {"item" if name == items else name: value for name, value in row.items()}
        return [{**template, "item": item} for item in row[items]]

    def _judge(self, row_id: int) -> None:
        if self.state != "open":
            return
        have, may = len(self.arrived), len(self.arrived) + len(self.coming)
        policy = self.settings["policy"]
        if policy == "best_effort":
            ready, hopeless = have > 0 and not self.coming, may == 0
        else:
            needed = {"require_all": len(self.branches), "first": 1}.get(policy) or self.settings[
                "quorum_count"
            ]
            ready, hopeless = have >= needed, may < needed
        if ready:
            self._merge(row_id)
        elif hopeless:
            self._give_up()

    def _give_up(self) -> None:
        self.state = "failed"
        for row in self.arrived.values():
            self._lose(row)

    def _lose(self, row: Row) -> None:
        self.outcomes["FAILED"] += 1
        self.lost.append(row)

    def _merge(self, row_id: int) -> None:
        rows = {branch: self.arrived[branch] for branch in self.settings["order"] if branch in self.arrived}
        merged: Row = {}
        origins: Row = {}
        if self.settings["merge"] == "nested":
            merged, origins = dict(rows), {branch: branch for branch in rows}
        elif self.settings["merge"] == "select":
            chosen = self.settings["select_branch"]
            if chosen not in rows:
                return self._give_up()
            merged, origins = rows[chosen], dict.fromkeys(rows[chosen], chosen)
        else:
            for branch, row in rows.items():
                for name, value in row.items():
                    rule = self.settings["union_collision_policy"]
                    if name in merged and rule == "fail" and merged[name] != value:
                        return self._give_up()
                    if name not in merged or rule == "last_wins":
                        merged[name], origins[name] = value, branch
        self.state = "merged"
        self.outcomes["COALESCED"] += len(rows)
        self.outcomes["COMPLETED"] += 1
        self.output.append(merged)
        self.merges.append((row_id, list(rows), origins))
        return None


@st.composite
def joins(draw: st.DrawFn) -> Row:
    branches = NAMES[: draw(st.integers(2, 3))]
    wanted: Row = {
        "branches": branches,
        "order": draw(st.permutations(branches)),
        "policy": draw(st.sampled_from(["require_all", "quorum", "best_effort", "first"])),
        "merge": draw(st.sampled_from(["union", "union", "nested", "select"])),
        "union_collision_policy": draw(st.sampled_from(["last_wins", "first_wins", "fail"])),
    }
    if wanted["policy"] == "quorum":
        wanted["quorum_count"] = draw(st.integers(1, len(branches)))
    if wanted["merge"] == "select":
        wanted["select_branch"] = draw(st.sampled_from(branches))
    return wanted


@st.composite
def rows(draw: st.DrawFn) -> list[Row]:
    made = []
    for number in range(draw(st.integers(1, 6))):
        row: Row = {"id": number, "zero": 0, "v": 0}
        for name in NAMES:
            row[f"fate_{name}"] = draw(st.sampled_from(FATES))
            row[f"v_{name}"] = draw(st.integers(0, 1))
            row[f"items_{name}"] = [1, 2] if row[f"fate_{name}"] == "two" else []
        made.append(row)
    return made


def pipeline_of(join: Row) -> str:
    named = [name for name in ("policy", "merge", "union_collision_policy", "quorum_count", "select_branch")
             if name in join]  # fmt: skip
    parts = {
        "QUEUES": ", ".join(f"done_{name}: {{}}" for name in join["branches"]),
        "TRANSFORMS": "".join(TRANSFORMS.replace("X", name) for name in join["branches"]),
        "GATES": "".join(GATE.replace("X", name) for name in join["branches"]),
        "BRANCHES": ", ".join(join["branches"]),
        "DOORS": ", ".join(f"{name}: done_{name}" for name in join["order"]),
        "SETTINGS": "\n    ".join(f"{name}: {join[name]}" for name in named),
    }
    pipeline = PIPELINE
    for word, part in parts.items():
        pipeline = pipeline.replace(word, part, 1)
    return pipeline


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(join=joins(), given_rows=rows())
def test_a_coalesce_does_what_a_simple_account_says(
    join: Row, given_rows: list[Row], make_place: Any
) -> None:
    account = Account(join, join["branches"])
    for row in given_rows:
        account.take(row)
    with tempfile.TemporaryDirectory() as home:
        place = make_place(Path(home), f"sqlite:///{home}/landscape.db")
        result = place.run(pipeline_of(join), given_rows)
        assert result.outcomes == +account.outcomes
        assert place.lines("output") == account.output
        assert sorted(place.lines("lost"), key=repr) == sorted(account.lost, key=repr)
        told = {row_id: (branches, origins) for row_id, branches, origins in account.merges}
        for index in range(len(given_rows)):
            made = [token for token in place.row(index).tokens if token.origin == "join"]
            assert len(made) == (index in told)
            for token in made:
                _check_joined(place, index, token, *told[index])


def _check_joined(place: Any, index: int, token: Any, branches: list[str], origins: Row) -> None:
    assert (list(token.merge.branches), dict(token.merge.origins)) == (branches, origins)
    assert token.merge.coalesce == "join"
    tokens = {one.token_id: one for one in place.row(index).tokens}
    parents = [tokens[parent] for parent in token.parents]
    assert [parent.branch_name for parent in parents] == branches
    assert {parent.outcome for parent in parents} == {"COALESCED"}
    assert all(parent.joined_into == (token.token_id,) for parent in parents)
