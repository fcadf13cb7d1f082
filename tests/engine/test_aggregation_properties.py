"""However rows are batched: each is in one batch, in order, and the results add up."""

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elspeth.core.landscape import schema

Row = dict[str, Any]
PIPELINE = """
source: {plugin: json, options: {path: $in.jsonl}}
aggregations:
  - {name: first, plugin: batch_stats, trigger: {count: FIRST}, options: {value_field: x, group_by: g}}
  - {name: second, plugin: batch_top_k, trigger: {condition: "row['batch_count'] >= SECOND"},
     options: {field: sum, k: 2, order: asc}, on_error: failed}
sinks:
  output: {plugin: json, options: {path: $output.jsonl}}
  failed: {plugin: json, options: {path: $failed.jsonl}}
  quarantine: {plugin: json, options: {path: $quarantine.jsonl}}
"""
ROWS = st.lists(
    st.fixed_dictionaries({"g": st.integers(0, 2), "x": st.sampled_from([0, 1, 5, -3, 2**60, None, "bad"])}),
    min_size=1,
    max_size=14,
)


def chunks(items: list[Any], size: int) -> list[list[Any]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def sums_of(batch: list[Row]) -> list[Row]:
    """A row per group of a batch, without means."""
    made = []
    for group in dict.fromkeys(row["g"] for row in batch):
        values = [row["x"] for row in batch if row["g"] == group]
        numbers = [value for value in values if value is not None]
        made.append({"g": group, "count": len(numbers), "sum": sum(numbers) if numbers else None})
    return made


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=ROWS, first=st.integers(1, 5), second=st.integers(1, 4))
def test_each_row_is_in_one_batch(rows: list[Row], first: int, second: int, make_place: Any) -> None:
    batches = chunks(rows, first)
    bad = [batch for batch in batches if any(row["x"] == "bad" for row in batch)]
    made = [row for batch in batches if batch not in bad for row in sums_of(batch)]
    best = [
        row
        for batch in chunks(made, second)
        for row in sorted((row for row in batch if row["sum"] is not None), key=lambda row: row["sum"])[:2]
    ]
    with tempfile.TemporaryDirectory() as home:
        place = make_place(Path(home), f"sqlite:///{home}/landscape.db")
        result = place.run(PIPELINE.replace("FIRST", str(first)).replace("SECOND", str(second)), rows)
        got = [{name: row[name] for name in ("g", "count", "sum")} for row in place.lines("output")]
        assert got == best
        assert place.lines("quarantine") == [row for batch in bad for row in batch]
        taken = len(rows) - sum(map(len, bad)) + len(made)
        assert result.outcomes.get("CONSUMED_IN_BATCH", 0) == taken
        members = [member.token_id for member in place.read(schema.batch_members_table)]
        assert len(members) == len(set(members)) == len(rows) + len(made)
        _check_lineage(place, len(rows))


def _check_lineage(place: Any, rows: int) -> None:
    """What a member says of its batch's results, these say of it."""
    tokens = {token.token_id: token for index in range(rows) for token in place.row(index).tokens}
    for token in tokens.values():
        for made in token.joined_into:
            assert token.token_id in tokens[made].parents
        for parent in token.parents:
            assert token.token_id in tokens[parent].joined_into
        for child in token.children:
            assert child.parents[0] == token.token_id
