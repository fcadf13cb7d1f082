"""The json sink: arrays and lines, exact values, failures, and coming back."""

import hashlib
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from elspeth.contracts.errors import SinkError
from elspeth.contracts.plugins import Sink
from elspeth.plugins.sinks.json_sink import JsonSink


def test_arrays_and_lines(tmp_path, fill):
    batches = [{"id": 1, "name": "é"}, {"id": 2}], [{"id": 3, "x": [1, {"y": None}]}]
    sink = JsonSink({"path": str(tmp_path / "a.json")})
    assert isinstance(sink, Sink)
    artifact = fill(sink, *batches)
    text = '{"id":1,"name":"é"}\n{"id":2}\n{"id":3,"x":[1,{"y":null}]}\n'
    assert (tmp_path / "a.json").read_text() == "[\n" + text.strip().replace("\n", ",\n") + "\n]\n"
    assert artifact.content_hash == hashlib.sha256((tmp_path / "a.json").read_bytes()).hexdigest()
    fill(JsonSink({"path": str(tmp_path / "a.jsonl")}), *batches)
    assert (tmp_path / "a.jsonl").read_text() == text
    fill(JsonSink({"path": str(tmp_path / "a.txt"), "format": "jsonl"}), *batches)
    assert (tmp_path / "a.txt").read_text() == text


def test_no_rows(tmp_path, fill):
    fill(JsonSink({"path": str(tmp_path / "a.json")}))
    assert json.loads((tmp_path / "a.json").read_text()) == []
    fill(JsonSink({"path": str(tmp_path / "a.jsonl")}))
    assert (tmp_path / "a.jsonl").read_text() == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2**64, "18446744073709551616"),
        (-(2**200), str(-(2**200))),
        ([2**70, None], f"[{2**70},null]"),
        (Decimal("1.10"), "1.10"),
        (Decimal("1E+5"), "1E+5"),
        ({"d": Decimal("12345678901234567890.5")}, '{"d":12345678901234567890.5}'),
        (5.0, "5.0"),
        (-0.0, "-0.0"),
        (date(2024, 1, 31), '"2024-01-31"'),
        (datetime(2024, 1, 31, tzinfo=UTC), '"2024-01-31T00:00:00+00:00"'),
        (b"\x00\xff", '"AP8="'),
        (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        ((1, 2), "[1,2]"),
        (None, "null"),
        (True, "true"),
        ("null", '"null"'),
    ],
)
def test_values_are_exact(tmp_path, fill, value, text):
    fill(JsonSink({"path": str(tmp_path / "a.jsonl")}), [{"v": value}], [{"v": value, "n": None}])
    assert (tmp_path / "a.jsonl").read_text() == f'{{"v":{text}}}\n{{"v":{text},"n":null}}\n'


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (float("nan"), "field 'v': nan is not a JSON number"),
        ([1.5, float("inf")], "field 'v[1]': inf is not a JSON number"),
        (Decimal("NaN"), "field 'v': NaN is not a JSON number"),
        ("\ud800", "field 'v': '\\ud800' is a lone surrogate"),
        ({"x": {1: 2}}, "field 'v.x': the key 1 is not text"),
        (object(), "field 'v': a object has no form in JSON"),
    ],
)
def test_rows_that_json_can_not_hold_fail_alone(tmp_path, ctx, value, reason):
    sink = JsonSink({"path": str(tmp_path / "a.json")})
    sink.on_start(ctx)
    (failure,) = sink.write([{"v": value}, {"v": 1}], ctx)
    assert (failure.index, failure.reason) == (0, reason)
    assert sink.write([{"v": value}], ctx)[0].index == 0
    assert sink.publish().rows == 1
    assert json.loads((tmp_path / "a.json").read_text()) == [{"v": 1}]


def test_headers(tmp_path, fill):
    sink = JsonSink({"path": str(tmp_path / "a.jsonl"), "headers": "original"})
    sink.original_headers = {"user_id": "User ID"}
    fill(sink, [{"user_id": 1, "x": 2}])
    assert (tmp_path / "a.jsonl").read_text() == '{"User ID":1,"x":2}\n'
    fill(JsonSink({"path": str(tmp_path / "b.jsonl"), "headers": {"x": "X"}}), [{"x": 2}])
    assert (tmp_path / "b.jsonl").read_text() == '{"X":2}\n'


@pytest.mark.parametrize("old", ['[{"a":1}]', "[]", '[{"a":1}\n]\n', " [ ] "])
def test_append_reopens_the_array(tmp_path, fill, old):
    path = tmp_path / "a.json"
    path.write_text(old)
    artifact = fill(JsonSink({"path": str(path), "mode": "append"}), [{"a": 2}], [{"a": 3}])
    assert json.loads(path.read_text()) == [*json.loads(old), {"a": 2}, {"a": 3}]
    assert artifact.content_hash == hashlib.sha256(path.read_bytes()).hexdigest()


def test_append_to_lines_and_to_something_else(tmp_path, fill, ctx):
    path = tmp_path / "a.jsonl"
    path.write_text('{"a":1}')
    fill(JsonSink({"path": str(path), "mode": "append"}), [{"a": 2}])
    assert path.read_text() == '{"a":1}\n{"a":2}\n'
    sink = JsonSink({"path": str(path), "mode": "append", "format": "json"})
    sink.on_start(ctx)
    with pytest.raises(SinkError, match="it does not end with an array"):
        sink.write([{"a": 3}], ctx)
    sink.close()


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_it_comes_back_after_every_row(tmp_path, restores_everywhere, name):
    rows = [{"id": i, "d": Decimal(i) / 8} for i in range(10)]
    path = tmp_path / name
    restores_everywhere(lambda: JsonSink({"path": str(path)}), path, rows)
    before = b'[\n{"id":1}\n]\n' if name == "a.json" else b'{"id":1}'
    restores_everywhere(lambda: JsonSink({"path": str(path), "mode": "append"}), path, rows, before)
