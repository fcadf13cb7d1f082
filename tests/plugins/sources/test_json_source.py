"""The json source: arrays and lines, exact numbers, bad input, positions."""

import json
import tracemalloc
from decimal import Decimal

import pytest

from elspeth.contracts.errors import SourceError
from elspeth.contracts.plugins import Source
from elspeth.plugins.sources.json_source import JsonSource

ROWS = '{"id": 1, "name": "x"}', '{"id": 2, "name": null, "tags": ["a", {"b": 1.5}]}'
VALUES = [{"id": 1, "name": "x"}, {"id": 2, "name": None, "tags": ["a", {"b": 1.5}]}]


def test_lines_and_arrays_give_the_same_rows(file, drain):
    lines = file("\n".join(ROWS), "in.jsonl")
    array = file("[" + ",\n".join(ROWS) + "]", "in.json")
    assert drain(JsonSource({"path": str(lines)})) == (VALUES, [])
    assert drain(JsonSource({"path": str(array)})) == (VALUES, [])
    assert drain(JsonSource({"path": str(file("\n".join(ROWS), "in.txt")), "format": "jsonl"})) == (
        VALUES,
        [],
    )
    assert isinstance(JsonSource({"path": str(lines)}), Source)


def test_data_key_leads_to_the_array(file, drain):
    path = file(
        '{"meta": {"data": [0]}, "result": {"n": 2, "rows": [' + ",".join(ROWS) + '], "x": 1}}', "in.json"
    )
    assert drain(JsonSource({"path": str(path), "data_key": "result.rows"})) == (VALUES, [])


@pytest.mark.parametrize(
    ("content", "key", "message"),
    [
        ('{"a": [], "b": 1}', "rows", "there is no key 'rows'; there are: a, b"),
        ('{"rows": 5}', "rows", "the value of 'rows' is not an array"),
        ("[1]", "rows", "there is no object to find 'rows' in"),
        ("5", None, "the file is not an array"),
        ('{"id": 1}\n{"id": 2}', None, "if every line is a JSON object of its own, set format: jsonl"),
    ],
)
def test_files_of_another_shape_are_errors(file, content, key, message):
    (problem,) = JsonSource({"path": str(file(content, "in.json")), "data_key": key}).check()
    assert message in problem


def test_one_object_is_one_row(file, drain):
    assert drain(JsonSource({"path": str(file('{"id": 1}', "in.json"))})) == ([{"id": 1}], [])


@pytest.mark.parametrize("name", ["in.json", "in.jsonl"])
def test_empty_files_are_empty_runs(file, drain, name):
    assert drain(JsonSource({"path": str(file("", name))})) == ([], [])
    assert drain(JsonSource({"path": str(file(" \n\n", name))})) == ([], [])
    assert drain(JsonSource({"path": str(file("[]", "in.json"))})) == ([], [])


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ("9007199254740993", 9007199254740993),
        ("123456789012345678901234567890", 123456789012345678901234567890),
        ("0.1", 0.1),
        ("5.0", 5.0),
        ("-0.0", -0.0),
        ("1e3", 1000.0),
        ("0.10000000000000001", 0.1),
        ("9007199254740993.5", Decimal("9007199254740993.5")),
        ("0.1234567890123456789", Decimal("0.1234567890123456789")),
        ("1e400", Decimal("1e400")),
    ],
)
def test_numbers_are_exact(file, drain, literal, value):
    (row,), _ = drain(JsonSource({"path": str(file(f'{{"n": {literal}}}', "in.jsonl"))}))
    assert row["n"] == value
    assert type(row["n"]) is type(value)
    assert str(row["n"]) == str(value)


def test_declared_decimals_keep_their_zeros_and_the_rest_stays_float(file, drain):
    path = file('{"d": 1.10, "f": 2.50, "o": {"x": 3.25}}', "in.jsonl")
    options = {"path": str(path), "schema": {"mode": "flexible", "fields": ["d: decimal"]}}
    (row,), _ = drain(JsonSource(options))
    assert str(row["d"]) == "1.10"
    assert row == {"d": Decimal("1.10"), "f": 2.5, "o": {"x": 3.25}}
    assert type(row["f"]) is float


BAD = [
    ('{"id": NaN}', "has NaN, which is not a JSON number"),
    ('{"id": -Infinity}', "has -Infinity, which is not a JSON number"),
    ('{"id": 1, "id": 2}', "has the key 'id' twice"),
    ('{"id": "\\ud800"}', "has a lone surrogate in field 'id'"),
    ('{"id": [{"x": "\\udc00"}]}', "has a lone surrogate in field 'id'"),
    ('{"\\ud800": 1}', "has a lone surrogate in the name of field '\\ud800'"),
    ('{"id": ' + "[" * 120 + "]" * 120 + "}", "is nested deeper than max_depth (100) in field 'id'"),
    ('{"id": ' + "[" * 100_000 + "]" * 100_000 + "}", "is nested too deep"),
    ("[1, 2]", "is an array, not an object"),
    ("5", "is a number, not an object"),
    ("null", "is null, not an object"),
    ('{"id": ' + "9" * 5000 + "}", "cannot be read"),
    ('{"id": 1e99999999999}', "out of range"),
]


@pytest.mark.parametrize(("text", "reason"), BAD)
def test_bad_rows_are_quarantined_and_the_others_arrive(file, drain, text, reason):
    lines = file(f'{{"id": 1}}\n{text}\n{{"id": 3}}\n', "in.jsonl")
    rows, (bad,) = drain(JsonSource({"path": str(lines)}))
    assert rows == [{"id": 1}, {"id": 3}]
    assert bad.line == 2
    assert bad.reason.startswith("line 2 ")
    assert reason in bad.reason
    assert bad.raw == {"_raw": text}
    array = file(f'[{{"id": 1}},\n{text},{{"id": 3}}]', "in.json")
    rows, (bad,) = drain(JsonSource({"path": str(array)}))
    assert rows == [{"id": 1}, {"id": 3}]
    assert bad.reason.startswith("element 2 ")
    assert reason in bad.reason
    assert bad.raw == {"_raw": text}


def test_surrogate_pairs_are_characters(file, drain):
    assert drain(JsonSource({"path": str(file('{"x": "\\ud83d\\ude00"}', "in.jsonl"))})) == (
        [{"x": "😀"}],
        [],
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"id": 1', "line 2 is not JSON: Expecting ',' delimiter at column 9"),
        ("nonsense", "line 2 is not JSON: Expecting value at column 1"),
        ('{"id": 1} {"id": 2}', "line 2 has more text behind the JSON value, at column 10"),
    ],
)
def test_a_broken_line_is_quarantined(file, drain, text, reason):
    rows, (bad,) = drain(JsonSource({"path": str(file(f'{{"id": 1}}\n{text}\n\n{{"id": 3}}', "in.jsonl"))}))
    assert rows == [{"id": 1}, {"id": 3}]
    assert (bad.reason, bad.line, bad.raw) == (reason, 2, {"_raw": text})


def test_bad_bytes_are_quarantined(file, drain):
    lines = file(b'{"id": 1}\n{"n": "caf\xe9"}\n{"n": "caf\xc3\xa9"}\n', "in.jsonl")
    rows, (bad,) = drain(JsonSource({"path": str(lines)}))
    assert rows == [{"id": 1}, {"n": "café"}]
    assert "line 2: byte 0xe9 at offset 20 is not utf-8" in bad.reason
    assert bad.raw == {"_raw": '{"n": "caf\\xe9"}'}
    array = file(b'[{"id": 1}, {"n": "caf\xe9"}, {"n": "caf\xc3\xa9"}]', "in.json")
    rows, (bad,) = drain(JsonSource({"path": str(array)}))
    assert rows == [{"id": 1}, {"n": "café"}]
    assert bad.raw == {"_raw": '{"n": "caf\\xe9"}'}


def test_a_byte_order_mark_and_other_encodings(file, drain):
    assert drain(JsonSource({"path": str(file(b'\xef\xbb\xbf[{"id": 1}]', "in.json"))}))[0] == [{"id": 1}]
    path = file('{"n": "é"}\n'.encode("utf-16"), "in.jsonl")
    assert drain(JsonSource({"path": str(path), "encoding": "utf-16"}))[0] == [{"n": "é"}]


@pytest.mark.parametrize(
    "text", ['[{"id": 1}, {"id": }]', '[{"id": 1}', '[{"id": 1} {"id": 2}]', '[{"id": 1}]]']
)
def test_a_broken_array_is_an_error_after_what_came_before(file, text):
    source = JsonSource({"path": str(file(text, "in.json"))})
    with pytest.raises(SourceError, match=r"at character \d+, near"):
        list(source.load(None))


def test_values_longer_than_a_block_and_cut_tokens(file, drain):
    rows = [{"id": i, "text": "x" * (100_000 + i), "n": 12345.678, "flag": True} for i in range(12)]
    path = file(json.dumps(rows, indent=1), "in.json")
    assert drain(JsonSource({"path": str(path)})) == (rows, [])
    with pytest.raises(SourceError, match="a value is longer than max_field_bytes"):
        drain(
            JsonSource(
                {"path": str(file(json.dumps([{"x": "y" * 900_000}]), "in.json")), "max_field_bytes": 1000}
            )
        )


def test_over_long_lines_are_quarantined(file, drain):
    path = file('{"id": 1}\n{"x": "' + "y" * 900_000 + '"}\n{"id": 3}\n', "in.jsonl")
    rows, (bad,) = drain(JsonSource({"path": str(path), "max_field_bytes": 1000}))
    assert rows == [{"id": 1}, {"id": 3}]
    assert "line 2 has 900,010 bytes, more than max_field_bytes" in bad.reason


def test_an_array_is_not_loaded_as_a_whole(tmp_path):
    path = tmp_path / "in.json"
    with open(path, "w") as out:
        out.write("[" + ",\n".join(f'{{"id": {i}, "t": "{"x" * 200}"}}' for i in range(50_000)) + "]")
    tracemalloc.start()
    try:
        assert sum(1 for _ in JsonSource({"path": str(path)}).load(None)) == 50_000
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_declared_schemas_coerce_or_quarantine(file, drain):
    schema = {"mode": "fixed", "fields": ["id: int", "paid: bool", "note: str?"]}
    lines = (
        '{"id": "7", "paid": "yes"}\n{"id": 8}\n{"id": 9, "paid": true, "x": 1}\n{"id": true, "paid": true}\n'
    )
    rows, bad = drain(JsonSource({"path": str(file(lines, "in.jsonl")), "schema": schema}))
    assert rows == [{"id": 7, "paid": True}]
    assert [(item.line, item.field) for item in bad] == [(2, "paid"), (3, "x"), (4, "id")]
    assert "field 'paid' is missing, but it is declared `paid: bool`" in bad[0].reason
    assert "not declared, and the schema is fixed" in bad[1].reason


def test_guaranteed_fields_hold(file, drain):
    options = {"path": str(file('{"a": 1}\n{"b": 1}\n', "in.jsonl")), "schema": {"guaranteed_fields": ["a"]}}
    rows, (bad,) = drain(JsonSource(options))
    assert (rows, bad.field) == ([{"a": 1}], "a")


def test_field_mapping(file, drain):
    path = file('{"a": 1, "b": 2}\n{"c": 1, "a": 2}\n', "in.jsonl")
    rows, (bad,) = drain(JsonSource({"path": str(path), "field_mapping": {"a": "c"}}))
    assert rows == [{"c": 1, "b": 2}]
    assert "gives two fields one name" in bad.reason


@pytest.mark.parametrize("name", ["in.json", "in.jsonl"])
def test_it_resumes_behind_every_row(file, resumes_everywhere, name):
    rows = [f'{{"id": {i}, "n": "é"}}' if i % 7 else '{"id": NaN}' for i in range(30)]
    content = "[" + ",".join(rows) + "]" if name == "in.json" else "\n\n".join(rows)
    path = file(content, name)
    assert resumes_everywhere(lambda: JsonSource({"path": str(path)})) == 30
