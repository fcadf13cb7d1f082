"""`depends_on`: pipelines run before one, are checked with it, and are on its record."""

from pathlib import Path

import pytest

from elspeth import run, validate
from elspeth.api.runs import list_runs, show_run
from elspeth.contracts.errors import ConfigurationError, SinkError

FIRST = """
source: {plugin: csv, options: {path: in.csv}}
transforms:
  - {name: t, plugin: value_transform, options: {operations: [{target: b, expression: "row['a'] * 2"}]}}
sinks: {output: {plugin: csv, options: {path: mid/first.csv}}}
"""
SECOND = """
source: {plugin: csv, options: {path: mid/first.csv}}
sinks: {output: {plugin: json, options: {path: mid/second.jsonl}}}
depends_on: [first.yaml]
"""
LAST = """
sources:
  a: {plugin: csv, on_success: both, options: {path: mid/first.csv}}
  b: {plugin: json, on_success: both, options: {path: mid/second.jsonl}}
queues: {both: {}}
gates: [{name: g, input: both, condition: "row['b'] > 20", routes: {"true": output, "false": discard}}]
sinks: {output: {plugin: csv, options: {path: out.csv}}}
depends_on: [first.yaml, ./second.yaml]
"""


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.csv").write_text("id,a\n1,5\n2,50\n")
    for name, text in (("first", FIRST), ("second", SECOND), ("last", LAST)):
        Path(f"{name}.yaml").write_text(text)


def refused(name: str) -> list[str]:
    before = sorted(Path().rglob("*"))
    with pytest.raises(ConfigurationError) as caught:
        run(name)
    assert sorted(Path().rglob("*")) == before
    return [f"{problem.location}: {problem.what}" for problem in caught.value.problems]


def test_each_runs_once_before_what_needs_it_and_is_on_record() -> None:
    assert validate("last.yaml").depends_on == ("first.yaml", "./second.yaml")
    assert not Path("mid").exists()
    result = run("last.yaml")
    assert Path("out.csv").read_text() == "id,a,b\n2,50,100\n2,50,100\n"
    newest = list_runs()
    assert [Path(one.pipeline).name for one in newest] == ["last.yaml", "second.yaml", "first.yaml"]
    ids = {Path(one.pipeline).name: one.run_id for one in newest}
    assert result.depends_on == {"first.yaml": ids["first.yaml"], "./second.yaml": ids["second.yaml"]}
    assert result.to_dict()["depends_on"] == show_run(result.run_id).to_dict()["depends_on"]
    assert show_run(ids["second.yaml"]).depends_on == {"first.yaml": ids["first.yaml"]}
    assert show_run(ids["first.yaml"]).depends_on == {}


def test_what_was_made_before_is_looked_at_when_it_is_made() -> None:
    Path("mid").mkdir()
    Path("mid/first.csv").write_text("old,columns\n1,2\n")
    assert run("last.yaml").rows.read == 4


def test_mistakes_of_all_files_are_told_at_once() -> None:
    Path("first.yaml").write_text(FIRST.replace("row['a']", "row['A']"))
    Path("last.yaml").write_text(LAST.replace("20", "'x'").replace("> 'x'", ">"))
    told = refused("last.yaml")
    assert any(line.startswith("first.yaml:4:") and "needs field 'A'" in line for line in told)
    assert any(line.startswith("last.yaml:6:") for line in told)
    assert len(told) == 2


def test_a_file_that_is_not_there_and_a_circle_are_refused() -> None:
    Path("second.yaml").write_text(SECOND.replace("first.yaml", "frist.yaml"))
    assert refused("last.yaml") == ["second.yaml:4:14: there is no pipeline file frist.yaml"]
    Path("second.yaml").write_text(SECOND.replace("first.yaml", "last.yaml"))
    (told,) = refused("last.yaml")
    assert "in a circle: last.yaml → second.yaml → last.yaml" in told


def test_two_that_write_one_file_are_refused() -> None:
    Path("second.yaml").write_text(
        SECOND.replace("mid/first.csv", "in.csv").replace("mid/second.jsonl", "mid/first.csv")
    )
    (told,) = refused("second.yaml")
    assert "and so does first.yaml, which runs before" in told


def test_one_that_fails_stops_what_depends_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("second.yaml").write_text(SECOND.replace("mid/second.jsonl", "/dev/full/second.jsonl"))
    with pytest.raises(ConfigurationError):
        run("second.yaml")
    Path("second.yaml").write_text(SECOND)

    def fails(*_: object) -> None:
        raise SinkError("no room")

    monkeypatch.setattr("elspeth.plugins.sinks.json_sink.JsonSink.publish", fails)
    with pytest.raises(SinkError, match=r"second.yaml, which runs before: no room"):
        run("last.yaml")
    assert [one.status for one in list_runs()] == ["failed", "completed"]
    assert not Path("out.csv").exists()


def test_rows_that_were_quarantined_stop_nobody() -> None:
    Path("in.csv").write_text("id,a\n1,5\n2\n3,50\n")
    assert run("last.yaml").rows.read == 4
    assert [one.status for one in list_runs()] == ["completed", "completed", "completed_with_failures"]
