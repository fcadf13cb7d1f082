"""Forks in forks, joined inside and outside, with branches that get lost: against a recursive account."""

import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from elspeth import explain, run
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.schema import token_outcomes_table, token_parents_table, tokens_table

Row = dict[str, Any]
POLICIES = ("require_all", "best_effort", "first", "quorum")

# A way through the graph is a list of blocks: ("mark", n), ("lose", modulus, rest, destination) and
# ("split", policy, needed, ways).
BLOCK = st.one_of(
    st.tuples(st.just("mark"), st.integers(0, 9)),
    st.tuples(st.just("lose"), st.integers(2, 4), st.integers(0, 3), st.sampled_from(["discard", "side"])),
)


def splits(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    ways = st.lists(st.lists(st.one_of(BLOCK, inner), max_size=2), min_size=2, max_size=3)
    return ways.flatmap(
        lambda made: st.tuples(
            st.just("split"), st.sampled_from(POLICIES), st.integers(1, len(made)), st.just(made)
        )
    )


WAYS = st.lists(splits(splits(splits(BLOCK))), min_size=1, max_size=2)


class Builder:
    """A pipeline file made of blocks."""

    def __init__(self) -> None:
        self.numbers = count()
        self.made: Row = {"transforms": [], "gates": [], "coalesce": []}

    def build(self, blocks: Sequence[Any]) -> Row:
        end = self.way("start", blocks)
        self.made["transforms"].append(
            {"name": "last", "plugin": "passthrough", "input": end, "on_success": "output"}
        )
        sinks = {
            name: {"plugin": "json", "options": {"path": f"{name}.jsonl"}} for name in ("output", "lost")
        }
        if any(gate["routes"].get("true") == "side" for gate in self.made["gates"]):
            sinks["side"] = {"plugin": "json", "options": {"path": "side.jsonl"}}
        if not self.made["coalesce"]:
            del sinks["lost"]
        source = {"plugin": "json", "on_success": "start", "options": {"path": "in.jsonl"}}
        return {"source": source, **{key: value for key, value in self.made.items() if value}, "sinks": sinks}

    def way(self, start: str, blocks: Sequence[Any]) -> str:
        """Adds nodes from this connection on; returns the connection that they end in."""
        for block in blocks:
            start = getattr(self, block[0])(start, f"n{next(self.numbers)}", *block[1:])
        return start

    def mark(self, start: str, name: str, number: int) -> str:
        operation = {"target": f"m{number}", "expression": "row['x'] + 1"}
        self.made["transforms"].append(
            {"name": name, "plugin": "value_transform", "input": start, "on_success": f"{name}_out",
             "options": {"operations": [operation]}}
        )  # fmt: skip
        return f"{name}_out"

    def lose(self, start: str, name: str, modulus: int, rest: int, to: str) -> str:
        condition = f"row['x'] % {modulus} == {rest}"
        routes = {"true": to, "false": f"{name}_out"}
        self.made["gates"].append({"name": name, "input": start, "condition": condition, "routes": routes})
        return f"{name}_out"

    def split(self, start: str, name: str, policy: str, needed: int, ways: Sequence[Any]) -> str:
        exits = [f"{name}_{index}" for index in range(len(ways))]
        routes = {"true": "fork", "false": "discard"}
        self.made["gates"].append(
            {"name": name, "input": start, "condition": "True", "routes": routes, "fork_to": exits}
        )
        branches = {exit: self.way(exit, blocks) for exit, blocks in zip(exits, ways, strict=True)}
        join: Row = {"name": f"{name}_join", "branches": branches, "policy": policy,
                     "on_success": f"{name}_out", "on_error": "lost"}  # fmt: skip
        self.made["coalesce"].append(join | ({"quorum_count": needed} if policy == "quorum" else {}))
        return f"{name}_out"


class Account:
    """What becomes of rows, told by recursion."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.lost: list[Row] = []

    def way(self, row: Row | None, blocks: Sequence[Any]) -> Row | None:
        """The row at the end of the blocks; None if it did not get there."""
        for block in blocks:
            row = None if row is None else getattr(self, block[0])(row, *block[1:])
        return row

    def mark(self, row: Row, number: int) -> Row:
        return {**row, f"m{number}": row["x"] + 1}

    def lose(self, row: Row, modulus: int, rest: int, to: str) -> Row | None:
        if row["x"] % modulus != rest:
            return row
        self.outcomes["DISCARDED" if to == "discard" else "ROUTED"] += 1
        return None

    def split(self, row: Row, policy: str, needed: int, ways: Sequence[Any]) -> Row | None:
        self.outcomes["FORKED"] += 1
        arrived: list[Row] = []
        joined: Row | None = None
        given_up = False
        needed = {"require_all": len(ways), "first": 1, "quorum": needed}.get(policy, 0)
        for coming, blocks in zip(reversed(range(len(ways))), ways, strict=True):
            one = self.way(row, blocks)
            if one is not None and (joined is not None or given_up):
                self.outcomes["DISCARDED" if joined is not None else "FAILED"] += 1
                self.lost += [] if joined is not None else [one]
                continue
            arrived += [] if one is None else [one]
            enough = len(arrived) >= needed if needed else bool(arrived) and not coming
            if joined is None and not given_up and enough:
                self.outcomes["COALESCED"] += len(arrived)
                joined = {name: value for part in arrived for name, value in part.items()}
            elif joined is None and not given_up and len(arrived) + coming < max(needed, 1):
                given_up = True
                self.outcomes["FAILED"] += len(arrived)
                self.lost += arrived
        return joined


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(blocks=WAYS, xs=st.lists(st.integers(0, 11), min_size=1, max_size=5))
def test_forks_in_forks_are_joined_as_a_recursive_account_says(blocks: list[Any], xs: list[int]) -> None:
    account = Account()
    ends = [account.way({"x": x}, blocks) for x in xs]
    output = [row for row in ends if row is not None]
    account.outcomes["COMPLETED"] += len(output)
    with tempfile.TemporaryDirectory() as home:
        place = Path(home)
        pipeline = Builder().build(blocks)
        for part in (pipeline["source"], *pipeline["sinks"].values()):
            part["options"]["path"] = str(place / part["options"]["path"])
        (place / "in.jsonl").write_text("".join(f'{{"x": {x}}}\n' for x in xs), encoding="utf-8")
        (place / "p.yaml").write_text(yaml.safe_dump(pipeline, sort_keys=False), encoding="utf-8")
        url = f"sqlite:///{place / 'landscape.db'}"
        result = run(place / "p.yaml", database=url)
        assert result.outcomes == +account.outcomes
        assert lines(place / "output.jsonl") == output
        if "lost" in pipeline["sinks"]:
            assert sorted(lines(place / "lost.jsonl"), key=repr) == sorted(account.lost, key=repr)
        check_record(url, len(xs))


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def check_record(url: str, rows: int) -> None:
    """One end for each token; what was joined has its parents, in the order of their branches."""
    db = LandscapeDB.from_url(url, create=False)
    try:
        with db.engine.connect() as connection:
            tokens = {token.token_id: token for token in connection.execute(select(tokens_table))}
            ends = Counter(end.token_id for end in connection.execute(select(token_outcomes_table)))
            parents = connection.execute(select(token_parents_table).order_by(token_parents_table.c.ordinal))
            joined: dict[str, list[str]] = {}
            for parent in parents:
                if tokens[parent.token_id].join_group_id is not None:
                    joined.setdefault(parent.token_id, []).append(parent.parent_token_id)
    finally:
        db.close()
    assert ends == Counter(tokens.keys())
    told = {
        token.token_id: token
        for row in range(rows)
        for token in explain(row=row, database=url).rows[0].tokens
    }
    assert told.keys() == tokens.keys()
    for token_id, before in joined.items():
        merge = told[token_id].merge
        assert tuple(before) == told[token_id].parents
        assert len(merge.branches) == len(before)
        assert set(merge.origins) == set(told[token_id].start_data)
        for parent in before:
            assert (told[parent].outcome, told[parent].joined_into) == ("COALESCED", (token_id,))
