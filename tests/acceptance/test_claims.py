"""The example of the README, whole: both databases tell the same, and the stories of its rows are true."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from elspeth import explain, run
from elspeth.core.landscape import schema
from elspeth.core.landscape.database import LandscapeDB

EXAMPLES = Path(__file__).parents[2] / "examples"
VIEWS = (
    schema.rows_table, schema.tokens_table, schema.token_parents_table, schema.token_outcomes_table,
    schema.node_states_table, schema.routing_events_table, schema.validation_errors_table,
    schema.transform_errors_table, schema.edges_table, schema.nodes_table,
)  # fmt: skip
TIMES = {"created_at", "recorded_at", "started_at", "completed_at", "duration_ms"}
PLACE = {"config_json", "config_hash"}


@pytest.fixture
def claims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the example with its first 3,000 rows, in an empty working directory."""
    home = tmp_path / "examples" / "claims"
    shutil.copytree(EXAMPLES / "claims", home, ignore=shutil.ignore_patterns("out", "data"))
    (home / "data").mkdir()
    with (EXAMPLES / "claims" / "data" / "randhie.csv").open(encoding="utf-8") as stream:
        (home / "data" / "randhie.csv").write_text(
            "".join(next(stream) for _ in range(3001)), encoding="utf-8"
        )
    monkeypatch.chdir(tmp_path)
    return home / "pipeline.yaml"


def test_both_databases_tell_the_same(claims: Path, postgres_url: str) -> None:
    told = []
    for url in ("sqlite:///audit.db", postgres_url):
        result = run(claims, database=url, environ={})
        told.append([_content(url, table, result.run_id) for table in VIEWS] + [_summary(result)])
    for sqlite, postgres in zip(*told, strict=True):
        assert sqlite == postgres
        assert len(sqlite) > 0 or sqlite == []


def test_the_story_is_that_of_the_files(claims: Path) -> None:
    result = run(claims, environ={})
    database = "sqlite:///.elspeth/landscape.db"
    for name, sink in result.sinks.items():
        if sink.path is not None:
            assert sha256(Path(sink.path).read_bytes()).hexdigest() == sink.sha256
            assert Path(sink.path).stat().st_size == sink.bytes
        if sink.rows:
            found = explain(sink=name, limit=3, database=database)
            told = found.to_dict()
            assert json.loads(json.dumps(told)) == told
            tokens = [token for row in told["rows"] for token in _flat(row["tokens"])]
            artifacts = [token["artifact"] for token in tokens if token["sink"] == name]
            assert artifacts
            assert all(artifact["sha256"] == sink.sha256 for artifact in artifacts)
    (forked,) = explain(where="row['totadm'] > 0", limit=1, database=database).to_dict()["rows"]
    (token,) = forked["tokens"]
    decision = token["steps"][-1]["decision"]
    assert [way["to"] for way in decision["destinations"]] == ["hospital_audit", "over_limit"]
    assert [child["branch"] for child in token["children"]] == ["hospital_audit", "costs"]
    assert _rebuilt(forked) >= 3


def _rebuilt(row: Any) -> int:
    """Apply the changes of each step to the row as it was read; returns how many fields changed."""
    (token,) = row["tokens"]
    data, changed = dict(row["source"]["data"]), 0
    for step in token["steps"]:
        change = step["changes"]
        for name in (change or {}).get("removed") or {}:
            del data[name]
            changed += 1
        for name, value in ((change or {}).get("added") or {}).items():
            assert name not in data
            data[name] = value
            changed += 1
        for name, pair in ((change or {}).get("changed") or {}).items():
            assert data[name] == pair["from"]
            data[name] = pair["to"]
            changed += 1
    with Path("examples/claims/out/hospital_audit.jsonl").open(encoding="utf-8") as stream:
        assert any(json.loads(line) == data for line in stream)
    return changed


def test_the_command_line_tells_what_the_api_tells(claims: Path) -> None:
    said = _cli("run", str(claims), "--json")
    assert said.returncode == 0
    summary = json.loads(said.stdout)
    assert {"run_id", "status", "rows", "outcomes", "sinks", "duration_s"} <= summary.keys()
    assert summary["rows"]["read"] == 3000
    shown = _cli("explain", "latest", "--row", "17", "--json")
    assert shown.returncode == 0
    assert json.loads(shown.stdout) == explain(row=17, database="sqlite:///.elspeth/landscape.db").to_dict()
    assert _cli("explain", "latest", "--row", "99999").returncode == 2


def _cli(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "elspeth", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _flat(tokens: Any) -> Any:
    for token in tokens:
        yield token
        yield from _flat(token["children"])


def _summary(result: Any) -> Any:
    sinks = {name: (sink.rows, sink.sha256) for name, sink in result.sinks.items()}
    return [result.status, result.rows, Counter(result.outcomes), sinks]


def _content(url: str, table: Any, run_id: str) -> list[Any]:
    columns = [column for column in table.columns if column.name not in TIMES | PLACE]
    db = LandscapeDB.from_url(url, create=False)
    with db.engine.connect() as connection:
        found = connection.execute(select(*columns)).all()
    db.close()
    texts = [[v.replace(run_id, "RUN") if isinstance(v, str) else v for v in row] for row in found]
    return sorted(texts, key=repr)
