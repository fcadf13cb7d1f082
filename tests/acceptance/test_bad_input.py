"""Every kind of bad input: a clear error or a quarantined row with its reason; good rows still arrive."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from elspeth import ElspethError, run, validate
from elspeth.contracts.errors import ConfigurationError, SourceError

Row = dict[str, Any]
Go = Callable[..., "Outcome"]


class Outcome:
    """What is there after a run, in words that tests compare."""

    def __init__(self, home: Path, result: Any = None, error: ElspethError | None = None) -> None:
        self.home, self.result, self.error = home, result, error

    @property
    def quarantined(self) -> list[tuple[Any, str]]:
        """(row, reason) of each quarantined row."""
        files = sorted(self.home.glob(".elspeth/quarantine-*.jsonl"))
        lines = [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]
        return [(line["row"], line["error"]["error"]) for line in lines]

    @property
    def output(self) -> str | None:
        """The published output, None if there is none."""
        (name,) = {"out.csv", "out.jsonl"} & {path.name for path in self.home.iterdir()} or {""}
        return (self.home / name).read_bytes().decode() if name else None

    @property
    def left_behind(self) -> set[str]:
        """All that the run made, apart from the landscape."""
        names = {str(path.relative_to(self.home)) for path in self.home.rglob("*") if path.is_file()}
        return {name for name in names if not name.startswith((".elspeth/landscape.db", "in.", "p.yaml"))}

    def refused(self, *texts: str) -> None:
        """Refused before anything was written, with these texts in the message."""
        assert isinstance(self.error, ConfigurationError), self.result
        for text in texts:
            assert text in str(self.error)
        assert {path.name for path in self.home.iterdir()} <= {"in.csv", "in.jsonl", "in.json", "p.yaml"}


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Go:
    """Runs rows from a file into one sink; ``options`` are the source's, ``more`` the pipeline's."""
    monkeypatch.chdir(tmp_path)

    def go(data: str | bytes, options: Row | None = None, /, suffix: str = "csv", **more: Any) -> Outcome:
        source = tmp_path / f"in.{suffix}"
        source.write_bytes(data if isinstance(data, bytes) else data.encode())
        plugin = "csv" if suffix == "csv" else "json"
        out = {"path": f"out.{'csv' if suffix == 'csv' else 'jsonl'}"}
        pipeline = {
            "source": {"plugin": plugin, "options": {"path": source.name, **(options or {})}},
            "sinks": {"output": {"plugin": plugin, "options": out}},
            **more,
        }
        (tmp_path / "p.yaml").write_text(json.dumps(pipeline), encoding="utf-8")
        try:
            return Outcome(tmp_path, run("p.yaml", environ={}))
        except ElspethError as error:
            return Outcome(tmp_path, error=error)

    return go


@pytest.mark.parametrize(("data", "suffix"), [("", "csv"), ("a,b\n", "csv"), ("", "jsonl"), ("[]", "json")])
def test_nothing_to_read(go: Go, data: str, suffix: str) -> None:
    found = go(data, suffix=suffix)
    assert found.result.status == "empty"
    assert found.result.rows.read == 0
    assert found.output in ("", "a,b\n")
    assert found.quarantined == []


@pytest.mark.parametrize(
    ("data", "output", "reasons"),
    [
        pytest.param(
            "a,b\n1,2\n3\n4,5,6\n7,8\n",
            "a,b\n1,2\n7,8\n",
            ["line 3 has 1 cell, but there are 2 columns", "line 4 has 3 cells, but there are 2 columns"],
            id="ragged",
        ),
        pytest.param(
            b"a,b\n1,x\n2,\xe9\n3,z\n", "a,b\n1,x\n3,z\n", ["line 3: byte 0xe9", "utf-8"], id="encoding"
        ),
        pytest.param(
            "a,b\n1,x\n2,\0y\n3,z\n", "a,b\n1,x\n3,z\n", ["line 3: field 'b' has a NUL character"], id="nul"
        ),
        pytest.param('a,b\n1,"x\n2,y\n', "a,b\n2,y\n", ["line 2: a quote is opened"], id="open quote"),
        pytest.param("\ufeffa,b\n1,é\n", "a,b\n1,é\n", [], id="byte order mark"),
        pytest.param("a,b\n1,x\n\n2,y\n", "a,b\n1,x\n2,y\n", [], id="blank line"),
        pytest.param("a,b\r\n1,x\r\n", "a,b\n1,x\n", [], id="windows"),
    ],
)
def test_csv_lines_that_cannot_be_used(go: Go, data: str, output: str, reasons: list[str]) -> None:
    found = go(data)
    assert found.output == output
    told = " / ".join(reason for _, reason in found.quarantined)
    assert all(reason in told for reason in reasons)
    assert bool(found.quarantined) is bool(reasons)
    assert found.result.status == ("completed_with_failures" if reasons else "completed")
    assert found.result.rows.quarantined == len(found.quarantined)


@pytest.mark.parametrize(
    ("data", "texts"),
    [
        ("a,A\n1,2\n", ["the headings 'a' and 'A' both become the field 'a'", "p.yaml:1:"]),
        ("a,,c\n1,2,3\n", ["column 2 has no usable heading"]),
        ("User ID,user-id\n1,2\n", ["'User ID' and 'user-id' both become the field 'user_id'"]),
        ("a,b\n1,2\n".encode("utf-16"), ["starts with a UTF-16 byte order mark", "set encoding: utf-16"]),
    ],
)
def test_headings_that_cannot_be_used(go: Go, data: str, texts: list[str]) -> None:
    go(data).refused(*texts)


def test_a_field_of_100_mb_is_quarantined_and_the_rest_arrives(go: Go) -> None:
    found = go(b"a,b\n1,x\n2," + b"z" * 100_000_000 + b"\n3,y\n")
    assert found.output == "a,b\n1,x\n3,y\n"
    ((row, reason),) = found.quarantined
    assert "64" in reason
    assert len(json.dumps(row)) < 2_000_000


def test_numbers_that_are_none(go: Go) -> None:
    schema = {"schema": {"mode": "fixed", "fields": ["a: float"]}}
    found = go("a\n1.5\nnan\ninf\n-Infinity\n1e999\n2\n", schema)
    assert found.output == "a\n1.5\n2.0\n"
    for (_, reason), text in zip(found.quarantined, ["nan", "inf", "-Infinity", "1e999"], strict=True):
        assert f"field 'a' (float): '{text}' is not a finite number" in reason


def test_json_lines_that_cannot_be_used(go: Go) -> None:
    bad = {
        '{"a": NaN}': "NaN, which is not a JSON number",
        '{"a": -Infinity}': "-Infinity, which is not a JSON number",
        '{"a": "\\ud800"}': "surrogate",
        '{"\\ud800": 1}': "surrogate",
        '{"a": ': "line 5",
        "[1]": "line 6",
        "null": "line 7",
        '{"a": 1, "a": 2}': "twice",
        '{"a": ' + "[" * 5000 + "]" * 5000 + "}": "nested too deep",
    }
    found = go("\n".join([*bad, '{"a": 1}', "", '{"a": {"b": [2]}}']), suffix="jsonl")
    assert found.output == '{"a":1}\n{"a":{"b":[2]}}\n'
    assert len(found.quarantined) == len(bad)
    for (_, reason), part in zip(found.quarantined, bad.values(), strict=True):
        assert part in reason


def test_a_json_array_that_breaks_off(go: Go) -> None:
    """What came before is on record, nothing is published, and the run says where."""
    found = go("[" + ",".join(f'{{"a":{number}}}' for number in range(40_000)) + ',{"a":}]', suffix="json")
    assert isinstance(found.error, SourceError)
    assert "at character 4" in str(found.error)
    assert found.output is None
    assert all(name.endswith(".part") for name in found.left_behind)


GATE = {"name": "g", "routes": {"true": "output", "false": "output"}}


def test_a_condition_that_fails_on_some_rows(go: Go) -> None:
    found = go("a\n1\n0\n4\n", gates=[{**GATE, "condition": "4 / row['a'] > 1"}])
    assert found.output == "a\n1\n4\n"
    ((row, reason),) = found.quarantined
    assert row == {"a": 0}
    assert "4 / row['a']" in reason
    assert "is 0" in reason


def test_a_regular_expression_that_would_never_end(go: Go) -> None:
    options = {"fields": ["a"], "blocked_patterns": ["(a+)+$", "(.*a){20}"]}
    filters = [{"name": "f", "plugin": "keyword_filter", "options": options}]
    found = go("a\n" + "a" * 50_000 + "!\nok\n", transforms=filters)
    assert found.result.rows.read == 2


def test_a_pattern_that_cannot_be_matched_in_bounded_time_is_refused(go: Go) -> None:
    options = {"fields": ["a"], "blocked_patterns": [r"(a)\1"]}
    filters = [{"name": "f", "plugin": "keyword_filter", "options": options}]
    go("a\n1\n", transforms=filters).refused("the pattern '(a)\\1' cannot be used", "RE2")


BOMB = "".join(
    f"{name}: &{name} [{','.join(['*' + before] * 9)}]\n" for before, name in pairwise("abcdefghij")
)


@pytest.mark.parametrize(
    ("yaml", "texts"),
    [
        ("a: &a [x,x,x,x,x,x,x,x,x]\n" + BOMB, ["aliases stand for more than 100,000 values"]),
        ("a: " + "[" * 5000, ["more than 100 levels of nesting"]),
        ("sinks: {}\nsinks: {}\n", ["p.yaml:2:1: the key 'sinks' stands twice"]),
        ("source:\n\tplugin: csv\n", ["p.yaml:2:1: a tab is used for indentation"]),
        ("- a\n", ["must be a mapping"]),
        ("", ["the file is empty"]),
        ("a: !!python/object/apply:os.system [ls]\n", ["is not supported"]),
    ],
)  # fmt: skip
def test_yaml_that_means_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, yaml: str, texts: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.yaml").write_text(yaml, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        validate("p.yaml")
    for text in texts:
        assert text in str(caught.value)


def test_labels_that_look_like_booleans_are_what_they_are(go: Go, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("a\n1\n0\n", encoding="utf-8")
    (tmp_path / "p.yaml").write_text(
        "source: {plugin: csv, options: {path: in.csv}}\n"
        "gates:\n"
        "  - name: g\n"
        "    condition: \"'yes' if row['a'] > 0 else 'no'\"\n"
        "    routes: {yes: output, no: output}\n"
        "  - {name: on, condition: \"row['a'] > 0\", routes: {true: output, false: output}, input: x}\n"
        "sinks: {output: {plugin: 'null'}}\n".replace("yes: output", "yes: x"),
        encoding="utf-8",
    )
    assert run("p.yaml").outcomes == {"ROUTED": 2}


def test_cells_that_a_spreadsheet_would_run(go: Go) -> None:
    sinks = {"output": {"plugin": "csv", "options": {"path": "out.csv", "escape_formulas": True}}}
    data = 'a,b\n1,=1+1\n2,@x\n3,+1\n-4,"-2,3"\n5,"\tx"\n6,ok\n'
    assert go(data, sinks=sinks).output == "a,b\n1,'=1+1\n2,'@x\n3,'+1\n-4,\"'-2,3\"\n5,'\tx\n6,ok\n"
    assert go(data).output == 'a,b\n1,=1+1\n2,@x\n3,+1\n-4,"-2,3"\n5,\tx\n6,ok\n'


def test_a_field_cannot_choose_the_path(go: Go, tmp_path: Path) -> None:
    """There are no templates in paths of file sinks: braces are braces."""
    sinks = {"output": {"plugin": "csv", "options": {"path": "{field:a}.csv"}}}
    found = go("a\n../../x\n", sinks=sinks)
    assert found.left_behind == {"{field:a}.csv"}
    assert not (tmp_path.parent.parent / "x.csv").exists()
