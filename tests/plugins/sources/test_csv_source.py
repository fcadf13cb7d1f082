"""The csv source on good input: headers, schemas, inference, positions."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from pydantic import ValidationError

from elspeth.contracts.errors import SourceError
from elspeth.contracts.plugins import PluginContext, Source
from elspeth.contracts.schema import FieldSpec, FieldType, SchemaMode
from elspeth.plugins.enums import Determinism
from elspeth.plugins.sources.csv_source import CsvSource


def test_rows_of_a_plain_file_come_with_inferred_types(file, drain):
    path = file("User ID,Amount,Paid,Code,Note\n1,12.50,true,007,\n2,3,false,+5,hello\n")
    rows, bad = drain(CsvSource({"path": str(path)}))
    assert rows == [
        {"user_id": 1, "amount": 12.5, "paid": True, "code": "007", "note": ""},
        {"user_id": 2, "amount": 3.0, "paid": False, "code": "+5", "note": "hello"},
    ]
    assert bad == []


def test_it_is_a_source_of_the_contract(file):
    source = CsvSource({"path": str(file("a\n1\n"))})
    assert isinstance(source, Source)
    assert source.name == "csv"
    assert source.determinism is Determinism.IO_DEPENDENT


def test_inferred_types_are_shown_before_and_after_reading(file):
    source = CsvSource({"path": str(file("id,name,amount\n1,x,\n2,y,1.5\n"))})
    preview = source.preview_schema()
    assert source.observed_schema() is None
    next(source.load(PluginContext()))
    assert source.observed_schema() == preview
    assert preview.mode is SchemaMode.FIXED
    assert preview.fields == (
        FieldSpec("id", FieldType.INT, required=False),
        FieldSpec("name", FieldType.STR),
        FieldSpec("amount", FieldType.FLOAT, required=False),
    )
    assert preview.promises == {"id", "name", "amount"}


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", "", "3"], [1, None, 3]),
        (["1.5", "", "2"], [1.5, None, 2.0]),
        (["True", "False"], [True, False]),
        (["true", "False"], ["true", "False"]),
        (["true", ""], [True, None]),
        (["", ""], ["", ""]),
        (["007", "1"], ["007", "1"]),
        (["1", " 2"], ["1", " 2"]),
        (["1_000", "2"], ["1_000", "2"]),
        (["١٢", "2"], ["١٢", "2"]),
        (["-0", "1"], [-0.0, 1.0]),
        (["nan", "1"], ["nan", "1"]),
        (["inf", "1.5"], ["inf", "1.5"]),
        (["1e5", "2"], ["1e5", "2"]),
        (["0.1234567890123456", "1"], ["0.1234567890123456", "1"]),
        (["123456789.123456", "1"], [123456789.123456, 1.0]),
        (["00.5", "1"], ["00.5", "1"]),
        (["2024-01-31"], ["2024-01-31"]),
        (
            ["9007199254740993", "123456789012345678901234567890"],
            [9007199254740993, 123456789012345678901234567890],
        ),
    ],
)
def test_a_type_is_inferred_only_if_every_value_survives(file, drain, cells, expected):
    path = file("k,v\n" + "".join(f"x,{cell}\n" for cell in cells))
    rows, bad = drain(CsvSource({"path": str(path)}))
    assert [row["v"] for row in rows] == expected
    assert bad == []


def test_a_later_value_that_does_not_fit_is_quarantined_with_the_line_that_would_accept_it(file, drain):
    path = file("id,amount\n" + "".join(f"{i},{i}\n" for i in range(1200)) + "1200,n/a\n1201,5\n")
    rows, (bad,) = drain(CsvSource({"path": str(path)}))
    assert len(rows) == 1201
    assert bad.raw == {"id": "1200", "amount": "n/a"}
    assert (bad.field, bad.line) == ("amount", 1202)
    assert 'schema: {mode: flexible, fields: ["amount: str"]}' in bad.reason
    rows, bad = drain(
        CsvSource({"path": str(path), "schema": {"mode": "flexible", "fields": ["amount: str"]}})
    )
    assert bad == []
    assert rows[1200] == {"id": 1200, "amount": "n/a"}


def test_declared_types_are_exact(file, drain):
    path = file(
        "i,f,b,d,day,at,naive,s,note\n"
        "9007199254740993,1e3,YES,1.10,2024-02-29,2024-01-31T12:00:00+05:30,2024-01-31T12:00:00,007,\n"
    )
    kinds = (
        "i: int",
        "f: float",
        "b: bool",
        "d: decimal",
        "day: date",
        "at: datetime",
        "naive: datetime",
        "s: str",
    )
    rows, bad = drain(
        CsvSource({"path": str(path), "schema": {"mode": "fixed", "fields": [*kinds, "note: str?"]}})
    )
    assert bad == []
    at = datetime(2024, 1, 31, 12, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert rows == [
        {
            "i": 9007199254740993,
            "f": 1000.0,
            "b": True,
            "d": Decimal("1.10"),
            "day": date(2024, 2, 29),
            "at": at,
            "naive": datetime(2024, 1, 31, 12),  # noqa: DTZ001 - naive stays naive
            "s": "007",
            "note": None,
        }
    ]
    assert str(rows[0]["d"]) == "1.10"
    assert rows[0]["at"].utcoffset() == at.utcoffset()


@pytest.mark.parametrize(
    ("kind", "cell", "reason"),
    [
        ("int", "12.5", "is not a whole number"),
        ("int", "1_000", "is not a whole number"),
        ("int", "", "is empty, but it is declared `v: int`; `v: int?` would accept it"),
        ("int", "9" * 5000, "is too long"),
        ("float", "nan", "is not a finite number"),
        ("float", "-Infinity", "is not a finite number"),
        ("float", "1e999", "is not a finite number"),
        ("float", "x", "is not a number"),
        ("decimal", "NaN", "is not a finite number"),
        ("decimal", "1e99999", "out of range"),
        ("bool", "maybe", "is not true or false"),
        ("date", "31.01.2024", "is not an ISO date"),
        ("datetime", "2024-01-31T12:00:00.123456789", "finer than a microsecond"),
        ("datetime", "noon", "is not an ISO date and time"),
        ("str", "", "is empty"),
    ],
)
def test_what_does_not_fit_its_declared_type_is_quarantined_and_the_others_arrive(
    file, drain, kind, cell, reason
):
    good = {"int": "1", "float": "1.5", "decimal": "1.5", "bool": "no", "date": "2024-01-31"}.get(
        kind, "2024-01-31"
    )
    path = file(f"k,v\na,{good}\nb,{cell}\nc,{good}\n")
    schema = {"mode": "fixed", "fields": ["k: str", f"v: {kind}"]}
    rows, (bad,) = drain(CsvSource({"path": str(path), "schema": schema}))
    assert [row["k"] for row in rows] == ["a", "c"]
    assert reason in bad.reason
    assert (bad.field, bad.line, bad.raw) == ("v", 3, {"k": "b", "v": cell})


def test_original_headers_are_kept(file, drain):
    source = CsvSource({"path": str(file("User ID,1st,class,Größe\n1,2,3,4\n"))})
    (row,), _ = drain(source)
    assert list(row) == ["user_id", "_1st", "class_", "größe"]
    assert source.original_headers == {
        "user_id": "User ID",
        "_1st": "1st",
        "class_": "class",
        "größe": "Größe",
    }


def test_field_mapping_renames_by_field_or_heading(file, drain):
    options = {
        "path": str(file("User ID,Full Name\n1,Ann\n")),
        "field_mapping": {"user_id": "id", "Full Name": "name"},
    }
    source = CsvSource(options)
    assert drain(source)[0] == [{"id": 1, "name": "Ann"}]
    assert source.original_headers == {"id": "User ID", "name": "Full Name"}


def test_a_field_mapping_that_names_no_column_is_refused(file):
    source = CsvSource({"path": str(file("a,b\n1,2\n")), "field_mapping": {"c": "d"}})
    with pytest.raises(SourceError, match=r"field_mapping names 'c', which is not a column; there are: a, b"):
        source.preview_schema()


def test_files_without_a_header_get_their_names_from_columns(file, drain):
    path = file("1;x\n2;y\n")
    rows, _ = drain(CsvSource({"path": str(path), "columns": ["id", "name"], "delimiter": ";"}))
    assert rows == [{"id": 1, "name": "x"}, {"id": 2, "name": "y"}]


def test_columns_can_stand_in_for_a_header(file, drain):
    path = file("a,a\n1,2\n")
    rows, _ = drain(CsvSource({"path": str(path), "columns": ["first", "second"], "has_header": True}))
    assert rows == [{"first": 1, "second": 2}]


def test_skip_rows_skips_lines_before_the_header(file, drain):
    path = file('Report of today\n\nid,name\n1,"x"\n2,3,4\n')
    rows, (bad,) = drain(CsvSource({"path": str(path), "skip_rows": 2}))
    assert rows == [{"id": 1, "name": "x"}]
    assert bad.line == 5


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_kind_of_line_end_is_read(file, drain, end):
    path = file(end.join(["id,name", "1,x", "", '2,"y', 'z"', "3"]) + end)
    rows, (bad,) = drain(CsvSource({"path": str(path)}))
    assert rows == [{"id": 1, "name": "x"}, {"id": 2, "name": f"y{end}z"}]
    assert bad.line == 6


def test_quotes_delimiters_and_missing_last_line_end(file, drain):
    rows, _ = drain(CsvSource({"path": str(file('a|b\n"x|y"|"say ""hi"""\n1|2')), "delimiter": "|"}))
    assert rows == [{"a": "x|y", "b": 'say "hi"'}, {"a": "1", "b": "2"}]
    rows, _ = drain(CsvSource({"path": str(file('a,b\n"x,1\n')), "quotechar": None}))
    assert rows == [{"a": '"x', "b": 1}]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "cp1252", "shift_jis"])
def test_other_encodings(file, drain, encoding):
    word = "日本" if encoding == "shift_jis" else "café"
    path = file(f"name,n\n{word},1\n".encode(encoding))
    rows, bad = drain(CsvSource({"path": str(path), "encoding": encoding}))
    assert (rows, bad) == ([{"name": word, "n": 1}], [])


def test_it_resumes_behind_every_row(file, resumes_everywhere):
    lines = ["id,name,note"]
    for i in range(40):
        lines.append(
            {3: "3,x", 7: "", 11: '11,"a\nb",c', 17: '17,"x"y,z', 23: "23,é,ü"}.get(i, f"{i},n{i},text")
        )
    path = file("\n".join(lines) + "\n")
    assert resumes_everywhere(lambda: CsvSource({"path": str(path)})) == 39


def test_it_resumes_across_blocks(file, resumes_everywhere, drain):
    rows = "".join(f'{i},"line\n{"x" * 30_000}"\n' for i in range(20))
    path = file("id,note\n" + rows)
    good, bad = drain(CsvSource({"path": str(path)}))
    assert ([row["id"] for row in good], bad) == (list(range(20)), [])
    assert resumes_everywhere(lambda: CsvSource({"path": str(path)})) == 20


def test_size_hint_is_near(file):
    source = CsvSource({"path": str(file("id,name\n" + "1,abc\n" * 1000))})
    assert 990 <= source.size_hint() <= 1010


def test_options_are_checked():
    with pytest.raises(ValidationError, match="delimiter"):
        CsvSource({"path": "x.csv", "delimiter": ",,"})
    with pytest.raises(ValidationError, match="Extra inputs"):
        CsvSource({"path": "x.csv", "seperator": ";"})
    with pytest.raises(ValidationError, match="must differ"):
        CsvSource({"path": "x.csv", "delimiter": '"'})


def test_datetimes_with_z_are_utc(file, drain):
    path = file("at\n2024-01-31T12:00:00Z\n")
    rows, _ = drain(CsvSource({"path": str(path), "schema": {"mode": "fixed", "fields": ["at: datetime"]}}))
    assert rows == [{"at": datetime(2024, 1, 31, 12, tzinfo=UTC)}]
