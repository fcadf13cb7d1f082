"""What a resume goes by is under the proof: who changes it is named, and the run does not go on from it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from elspeth.api.resume import resume
from elspeth.api.run import run
from elspeth.api.verify import verify
from elspeth.contracts.errors import LandscapeError, RunInterruptedError
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.ledger.index import unpack

PIPELINE = """
source: {plugin: csv, options: {path: in.csv}}
transforms:
  - {name: a, plugin: passthrough, input: one, on_success: one_done}
gates:
  - {name: which, condition: "'join' if row['id'] % 2 else 'sum'",
     routes: {join: fork, sum: batched}, fork_to: [one, two]}
aggregations:
  - {name: sums, plugin: batch_stats, input: batched, on_success: output, trigger: {count: 7},
     options: {value_field: id}}
  - {name: held, plugin: batch_replicate, input: two, on_success: two_done, trigger: {count: 9},
     output_mode: passthrough}
coalesce:
  - {name: both, branches: {one: one_done, two: two_done}, on_success: joined}
sinks:
  output: {plugin: json, options: {path: out.jsonl}}
  joined: {plugin: json, options: {path: joined.jsonl}}
checkpoint: {frequency: every_row}
"""
ROWS, STOP = 40, 24
CHANGES = [
    ("checkpoints", "UPDATE checkpoints SET rows_read = rows_read - 1"),
    ("checkpoints", "UPDATE checkpoints SET source_positions = '{}'"),
    ("checkpoints", "UPDATE checkpoints SET sink_positions = '{}'"),
    ("checkpoints", "UPDATE checkpoints SET node_states = '{}'"),
    ("checkpoints", "UPDATE checkpoints SET phase = 'publishing'"),
    ("checkpoints", "DELETE FROM checkpoints"),
    ("waiting_tokens", "UPDATE waiting_tokens SET ordinal = -ordinal"),
    ("waiting_tokens", "UPDATE waiting_tokens SET node_id = 'a' WHERE node_id = 'both'"),
    ("waiting_tokens", "DELETE FROM waiting_tokens WHERE row_no = (SELECT min(row_no) FROM waiting_tokens)"),
    ("waiting_tokens", "DELETE FROM waiting_tokens"),
    ("traces", "UPDATE traces SET payload = '[7777]' WHERE {open}"),
    ("traces", "UPDATE traces SET t0 = t0 - 1 WHERE {open}"),
    ("traces", "DELETE FROM traces WHERE {open}"),
]
BOTH = pytest.mark.parametrize("database", ["sqlite_url", "postgres_url"], indirect=True)
OPEN = "path_no IN (SELECT path_no FROM paths WHERE ending IS NULL)"


@pytest.fixture
def database(request: pytest.FixtureRequest) -> str:
    """SQLite, unless a test says otherwise."""
    return str(request.getfixturevalue(getattr(request, "param", "sqlite_url")))


@pytest.fixture
def interrupted(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """Runs until some rows wait in a join and in batches, and stops; gives the URL."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.csv").write_text("id\n" + "".join(f"{number}\n" for number in range(ROWS)))
    (tmp_path / "p.yaml").write_text(PIPELINE)
    seen = iter(range(10_000))

    def go() -> str:
        with pytest.raises(RunInterruptedError):
            run("p.yaml", database=database, stop=lambda: next(seen) >= STOP)
        return database

    return go


def change(url: str, statement: str) -> int:
    engine = create_engine(url)
    with engine.begin() as connection:
        changed = connection.execute(text(statement.replace("{open}", OPEN))).rowcount
    engine.dispose()
    return changed


def standing(url: str) -> list[object]:
    engine = create_engine(url)
    with engine.connect() as connection:
        found = [
            connection.execute(text(f"SELECT * FROM {table} ORDER BY 1, 2")).fetchall()
            for table in ("runs", "run_events", "run_leases", "tree_heads")
        ]
    engine.dispose()
    return found


@pytest.mark.parametrize(("table", "statement"), CHANGES)
def test_a_changed_state_is_named_and_not_gone_on_from(
    interrupted: Callable[[], str], table: str, statement: str
) -> None:
    url = interrupted()
    assert verify(database=url).ok
    assert change(url, statement) > 0
    found = verify(database=url)
    assert table in {finding.table for finding in found.all_findings()}
    assert not found.ok
    before = standing(url)
    with pytest.raises(
        LandscapeError, match="its state is not the one that its last commit sealed"
    ) as raised:
        resume(database=url)
    assert table in raised.value.what
    assert standing(url) == before


@BOTH
def test_an_old_state_put_back_is_noticed(interrupted: Callable[[], str]) -> None:
    url = interrupted()
    change(url, "CREATE TABLE kept AS SELECT * FROM checkpoints")
    with pytest.raises(RunInterruptedError):
        resume(database=url, stop=lambda: True)
    change(url, "DELETE FROM checkpoints")
    change(url, "INSERT INTO checkpoints SELECT * FROM kept")
    change(url, "DROP TABLE kept")
    assert {finding.table for finding in verify(database=url).all_findings()} == {"checkpoints"}
    with pytest.raises(LandscapeError, match="checkpoints run_no=1: changed"):
        resume(database=url)


@BOTH
def test_untouched_it_goes_on_and_every_token_that_waited_is_a_leaf(interrupted: Callable[[], str]) -> None:
    url = interrupted()
    assert resume(database=url).rows.read == ROWS
    assert verify(database=url).ok
    db = LandscapeDB.from_url(url, create=False)
    with db.engine.connect() as connection:
        packed = connection.execute(text("SELECT leaf_keys FROM tree_heads")).scalars().all()
    db.close()
    said = [values for each in packed for part in unpack(bytes(each)) if part.kind == "open"
            for values in part.contents or ()]  # fmt: skip
    opened = {tuple(values[:2]) for values in said if len(values) == 4}
    assert len(opened) > 10
    assert opened == {tuple(values) for values in said if len(values) == 2}
