"""What the head of an input shows of its columns is held against what the nodes need, before a row moves."""

from pathlib import Path

import pytest

from elspeth import run, validate
from elspeth.contracts.errors import ConfigurationError

PIPELINE = """
source: {plugin: %s, options: {path: %s%s}}
gates:
  - name: large
    condition: "%s"
    routes: {"true": review, "false": approved}
sinks:
  review: {plugin: json, options: {path: review.json}}
  approved: {plugin: json, options: {path: approved.json}}
"""


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def refused(condition: str, schema: str = "", plugin: str = "csv", path: str = "in.csv") -> str:
    """The one thing that is wrong with a pipeline that has this condition; nothing was written."""
    Path("p.yaml").write_text(PIPELINE % (plugin, path, schema, condition))
    before = sorted(Path().rglob("*"))
    with pytest.raises(ConfigurationError) as caught:
        run("p.yaml")
    assert sorted(Path().rglob("*")) == before
    (problem,) = caught.value.problems
    assert problem.location is not None
    assert problem.location.line == 5
    return f"{problem.what}; {problem.fix}"


def test_a_field_that_is_no_column_is_refused() -> None:
    Path("in.csv").write_text("id,amount\n1,50\n2,1500\n")
    for schema in ("", ", schema: {mode: flexible, fields: ['id: int']}"):
        message = refused("row['amout'] > 1000", schema)
        assert "needs field 'amout'" in message
        assert "did you mean 'amount'?" in message


def test_text_is_not_ordered_against_a_number() -> None:
    Path("in.csv").write_text("id,amount\n1,50\n2,a lot\n")
    message = refused("row['amount'] > 1000")
    assert "text can't be ordered against a number" in message
    assert "'source' gives 'amount: str'" in message
    assert "give the field another type in the schema" in message


SINK = """
source: {plugin: %s, options: {path: %s}}
sinks: {output: {plugin: %s, options: {path: out.x, %s}}}
"""


@pytest.mark.parametrize("plugin", ["csv", "json", "parquet", "text"])
def test_a_fixed_sink_is_not_given_other_fields(plugin: str) -> None:
    Path("in.csv").write_text("id,amount\n1,50\n")
    options = "schema: {mode: fixed, fields: ['id: int']}"
    options += ", field: id" if plugin == "text" else ""
    Path("p.yaml").write_text(SINK % ("csv", "in.csv", plugin, options))
    with pytest.raises(
        ConfigurationError, match="sink 'output' takes no field 'amount', and 'source' always"
    ):
        validate("p.yaml")


def test_a_fixed_json_sink_refuses_rows_with_other_fields() -> None:
    Path("in.jsonl").write_text('{"id": 1}\n{"id": 2, "amount": 5000}\n')
    Path("p.yaml").write_text(
        SINK % ("json", "in.jsonl", "json", "schema: {mode: fixed, fields: ['id: int?']}")
    )
    result = run("p.yaml")
    assert (result.sinks["output"].rows, result.sinks["quarantine"].rows) == (1, 1)
    assert "field 'amount' is not in the sink's fixed schema" in Path(
        result.sinks["quarantine"].path or ""
    ).read_text("utf-8")


def test_a_text_sink_needs_its_field() -> None:
    Path("in.csv").write_text("id,amount\n1,50\n")
    Path("p.yaml").write_text(SINK % ("csv", "in.csv", "text", "field: note"))
    with pytest.raises(ConfigurationError, match="sink 'output' needs field 'note'"):
        validate("p.yaml")


def test_null_is_the_plugin_of_that_name_also_without_quotes() -> None:
    Path("p.yaml").write_text("source: {plugin: null}\nsinks: {output: {plugin: null}}\n")
    assert run("p.yaml").status == "empty"
    Path("p.yaml").write_text("source: {plugin: null}\nsinks: {output: {plugin: }}\n")
    with pytest.raises(ConfigurationError, match=r"sinks\.output\.plugin must be text, and this is nothing"):
        validate("p.yaml")


def test_a_type_that_is_declared_makes_it_good() -> None:
    Path("in.csv").write_text("id,amount\n1,50\n2,a lot\n3,1500\n")
    schema = ", schema: {mode: flexible, fields: ['amount: int']}"
    Path("p.yaml").write_text(PIPELINE % ("csv", "in.csv", schema, "row['amount'] > 1000"))
    result = run("p.yaml")
    assert (result.rows.read, result.rows.quarantined) == (3, 1)
    assert {name: sink.rows for name, sink in result.sinks.items()} == {
        "review": 1,
        "approved": 1,
        "quarantine": 1,
    }


@pytest.mark.parametrize("text", ["id,amount\n", "id,amount\n1,\n2,7\n"])
def test_columns_without_values_are_nobodys_mistake(text: str) -> None:
    Path("in.csv").write_text(text)
    Path("p.yaml").write_text(PIPELINE % ("csv", "in.csv", "", "row['amount'] > 1000"))
    validate("p.yaml")


def test_what_json_will_hold_is_not_known_from_its_first_rows() -> None:
    Path("in.jsonl").write_text('{"id": 1}\n{"id": 2, "amount": 5000}\n')
    Path("p.yaml").write_text(PIPELINE % ("json", "in.jsonl", "", "row['amount'] > 1000"))
    assert run("p.yaml").sinks["review"].rows == 1


def test_a_result_reads_as_its_json_does() -> None:
    Path("in.csv").write_text("id,amount\n1,50\n")
    Path("p.yaml").write_text(PIPELINE % ("csv", "in.csv", "", "row['amount'] > 1000"))
    result = run("p.yaml")
    assert result["rows"]["read"] == result.rows.read == result.to_dict()["rows"]["read"] == 1
    assert result.sinks["approved"]["rows"] == 1
    with pytest.raises(KeyError, match="raws"):
        result["raws"]
    shown = result._repr_html_()
    assert "<b>completed</b>, 1 row in" in shown
    assert "<td>approved</td>" in shown
    assert "row[&#x27;amount&#x27;] &gt; 1000" in validate("p.yaml")._repr_html_()


def test_a_csv_sink_without_rows_has_the_columns_that_are_known() -> None:
    Path("in.csv").write_text("id,User Name\n1,a\n")
    Path("p.yaml").write_text(
        """
source: {plugin: csv, options: {path: in.csv}}
transforms: [{name: mapped, plugin: field_mapper, options: {mapping: {id: number}}}]
gates: [{name: many, condition: "row['number'] > 5", routes: {"true": yes_sir, "false": no_sir}}]
sinks:
  yes_sir: {plugin: csv, options: {path: yes.csv, headers: original}}
  no_sir: {plugin: csv, options: {path: no.csv}}
"""
    )
    run("p.yaml")
    assert Path("yes.csv").read_text() == "number,User Name\n"
    assert Path("no.csv").read_text() == "number,user_name\n1,a\n"
    Path("in.csv").write_text("id,User Name\n")
    assert run("p.yaml").status == "empty"
    assert Path("no.csv").read_text() == "number,user_name\n"
