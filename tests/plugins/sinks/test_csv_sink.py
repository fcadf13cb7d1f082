"""The csv sink: what cells look like, columns, headers, failures, and coming back."""

import csv
import hashlib
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from pydantic import ValidationError

from elspeth.contracts.errors import SinkError
from elspeth.contracts.plugins import RowFailure, Sink
from elspeth.plugins.sinks.csv_sink import CsvSink


def test_rows_become_lines_and_the_artifact_is_of_the_whole(tmp_path, fill):
    path = tmp_path / "deep" / "out.csv"
    sink = CsvSink({"path": str(path)})
    assert isinstance(sink, Sink)
    artifact = fill(sink, [{"id": 1, "name": "x"}, {"id": 2, "name": "y"}], [{"id": 3, "name": "z"}])
    data = path.read_bytes()
    assert data == b"id,name\n1,x\n2,y\n3,z\n"
    assert artifact.path_or_uri == str(path)
    assert (artifact.content_hash, artifact.size_bytes, artifact.rows) == (
        hashlib.sha256(data).hexdigest(),
        20,
        3,
    )
    assert list(path.parent.iterdir()) == [path]
    assert sink.targets() == [str(path)]


def test_nothing_is_visible_before_the_end(tmp_path, ctx):
    path = tmp_path / "out.csv"
    path.write_text("old")
    sink = CsvSink({"path": str(path)})
    sink.on_start(ctx)
    sink.write([{"id": 1}], ctx)
    sink.flush()
    sink.close()
    assert path.read_text() == "old"
    assert (tmp_path / ".out.csv.run-1.part").read_text() == "id\n1\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "true"),
        (2**70, str(2**70)),
        (0.1, "0.1"),
        (1e22, "1e+22"),
        (Decimal("1.10"), "1.10"),
        (date(2024, 1, 31), "2024-01-31"),
        (datetime(2024, 1, 31, 12, tzinfo=UTC), "2024-01-31T12:00:00+00:00"),
        (b"\x00\xff", "AP8="),
        (UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        ({"a": [1, Decimal("1.5")]}, '"{""a"":[1,""1.5""]}"'),
        ("a,b", '"a,b"'),
        ('say "x"', '"say ""x"""'),
        ("two\nlines", '"two\nlines"'),
        ("carriage\rreturn", '"carriage\rreturn"'),
        ("=1+1", "=1+1"),
        (" padded ", " padded "),
    ],
)
def test_cells(tmp_path, fill, value, text):
    fill(CsvSink({"path": str(tmp_path / "a.csv")}), [{"k": 1, "v": value}])
    assert (tmp_path / "a.csv").read_bytes().decode() == f"k,v\n1,{text}\n"
    # Beside values of other types the cell is the same.
    fill(
        CsvSink({"path": str(tmp_path / "b.csv")}),
        [{"k": 1, "v": value}, {"k": 2, "v": "x"}, {"k": 3, "v": 1.5}],
    )
    assert (tmp_path / "b.csv").read_bytes().decode() == f"k,v\n1,{text}\n2,x\n3,1.5\n"


def test_a_single_empty_cell_is_still_a_row(tmp_path, fill):
    fill(CsvSink({"path": str(tmp_path / "a.csv")}), [{"v": ""}, {"v": None}, {"v": "x"}])
    assert (tmp_path / "a.csv").read_text() == 'v\n""\n""\nx\n'


def test_formulas_are_escaped_on_request(tmp_path, fill):
    words = ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "plain", -5, Decimal("-1.5"), None]
    fill(
        CsvSink({"path": str(tmp_path / "a.csv"), "escape_formulas": True}), [{"=v": word} for word in words]
    )
    with open(tmp_path / "a.csv", newline="") as out:
        cells = [row[0] for row in csv.reader(out)]
    assert cells == ["'=v", "'=1+1", "'+1", "'-1", "'@x", "'\tx", "'\rx", "plain", "-5", "-1.5", ""]


def test_columns_come_from_the_first_row_and_missing_fields_are_empty(tmp_path, fill):
    fill(CsvSink({"path": str(tmp_path / "a.csv")}), [{"a": 1, "b": None}, {"b": 2, "a": 3}], [{"b": 4}])
    assert (tmp_path / "a.csv").read_text() == "a,b\n1,\n3,2\n,4\n"


@pytest.mark.parametrize("cuts", [[2], [1, 1]])
def test_columns_do_not_depend_on_how_rows_are_cut_into_calls(tmp_path, ctx, cuts):
    rows = iter([{"a": 1}, {"a": 2, "b": 3}])
    sink = CsvSink({"path": str(tmp_path / "a.csv")})
    sink.on_start(ctx)
    failures = [failure for cut in cuts for failure in sink.write([next(rows) for _ in range(cut)], ctx)]
    assert [failure.reason.split(":")[0] for failure in failures] == ["field 'b' has no column in a.csv"]
    sink.publish()
    assert (tmp_path / "a.csv").read_text() == "a\n1\n"


def test_an_unknown_field_fails_its_row_alone(tmp_path, ctx):
    sink = CsvSink({"path": str(tmp_path / "a.csv")})
    sink.on_start(ctx)
    sink.write([{"amount": 1}], ctx)
    (failure,) = sink.write([{"amount": 2}, {"amount": 3, "amuont": 4}, {"amount": 5}], ctx)
    assert failure.index == 1
    assert failure.reason == (
        "field 'amuont' has no column in a.csv (did you mean 'amount'?): it has amount; "
        "declare all of them in the sink's schema.fields"
    )
    assert sink.publish().rows == 3
    assert (tmp_path / "a.csv").read_text() == "amount\n1\n2\n5\n"


def test_declared_columns_come_first_and_fixed_ones_alone(tmp_path, fill, ctx):
    schema = {"mode": "flexible", "fields": ["id: int", "note: str?"]}
    fill(CsvSink({"path": str(tmp_path / "a.csv"), "schema": schema}), [{"x": 1, "id": 2}])
    assert (tmp_path / "a.csv").read_text() == "id,note,x\n2,,1\n"
    sink = CsvSink({"path": str(tmp_path / "b.csv"), "schema": {**schema, "mode": "fixed"}})
    sink.on_start(ctx)
    assert [failure.index for failure in sink.write([{"x": 1, "id": 2}, {"id": 3}], ctx)] == [0]
    sink.close()


def test_a_run_without_rows_leaves_a_header_or_an_empty_file(tmp_path, fill):
    artifact = fill(CsvSink({"path": str(tmp_path / "a.csv")}))
    assert (artifact.rows, artifact.size_bytes) == (0, 0)
    fill(
        CsvSink(
            {"path": str(tmp_path / "b.csv"), "schema": {"mode": "fixed", "fields": ["id: int", "x: str"]}}
        )
    )
    assert (tmp_path / "b.csv").read_text() == "id,x\n"


@pytest.mark.parametrize(
    ("headers", "line"),
    [
        ("normalized", "user_id,amount"),
        ("original", "User ID,amount"),
        ({"amount": "Amount in €"}, "user_id,Amount in €"),
    ],
)
def test_headers(tmp_path, fill, headers, line):
    sink = CsvSink({"path": str(tmp_path / "a.csv"), "headers": headers})
    sink.original_headers = {"user_id": "User ID"}
    fill(sink, [{"user_id": 1, "amount": 2}])
    assert (tmp_path / "a.csv").read_text() == f"{line}\n1,2\n"


def test_what_the_encoding_can_not_hold_fails_its_row_alone(tmp_path, ctx):
    sink = CsvSink({"path": str(tmp_path / "a.csv"), "encoding": "cp1252"})
    sink.on_start(ctx)
    failures = sink.write([{"x": "é"}, {"x": "日"}, {"x": "ü"}], ctx)
    assert failures == [RowFailure(1, "field 'x' has the character '\\u65e5', which is not in cp1252")]
    sink.publish()
    assert (tmp_path / "a.csv").read_bytes() == "x\né\nü\n".encode("cp1252")
    sink = CsvSink({"path": str(tmp_path / "b.csv")})
    sink.on_start(ctx)
    (failure,) = sink.write([{"x": "\ud800"}, {"x": "ok"}], ctx)
    assert failure.index == 0
    (failure,) = sink.write([{"x": object()}, {"x": "ok"}], ctx)
    assert failure.reason == "field 'x': a object cannot be written as text"
    sink.close()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_the_byte_order_mark_comes_once(tmp_path, fill, encoding):
    fill(CsvSink({"path": str(tmp_path / "a.csv"), "encoding": encoding}), [{"x": "é"}], [{"x": "ü"}])
    data = (tmp_path / "a.csv").read_bytes()
    assert data.decode(encoding) == "x\né\nü\n"


def test_append_goes_on_behind_the_old_rows(tmp_path, fill, ctx):
    path = tmp_path / "a.csv"
    path.write_text("b,a\n1,2")
    artifact = fill(CsvSink({"path": str(path), "mode": "append"}), [{"a": 3, "b": 4}])
    assert path.read_text() == "b,a\n1,2\n4,3\n"
    assert artifact.content_hash == hashlib.sha256(path.read_bytes()).hexdigest()
    assert artifact.rows == 1
    sink = CsvSink({"path": str(path), "collision_policy": "append_or_create"})
    sink.on_start(ctx)
    assert [failure.index for failure in sink.write([{"a": 5, "c": 6}], ctx)] == [0]
    sink.close()
    fill(CsvSink({"path": str(tmp_path / "new.csv"), "mode": "append"}), [{"a": 3}])
    assert (tmp_path / "new.csv").read_text() == "a\n3\n"


def test_append_knows_original_headers(tmp_path, fill):
    path = tmp_path / "a.csv"
    path.write_text("User ID,amount\n1,2\n")
    sink = CsvSink({"path": str(path), "mode": "append", "headers": "original"})
    sink.original_headers = {"user_id": "User ID"}
    fill(sink, [{"amount": 4, "user_id": 3}])
    assert path.read_text() == "User ID,amount\n1,2\n3,4\n"


def test_it_comes_back_after_every_row(tmp_path, restores_everywhere):
    rows = [{"id": i, "note": "x\n" * i, "f": i / 3} for i in range(12)]
    path = tmp_path / "out" / "a.csv"
    path.parent.mkdir()
    restores_everywhere(lambda: CsvSink({"path": str(path)}), path, rows)
    restores_everywhere(
        lambda: CsvSink({"path": str(path), "mode": "append"}), path, rows, b"id,note,f\n7,,1.5"
    )


def test_options_are_checked(tmp_path):
    with pytest.raises(ValidationError, match="mode append contradicts collision_policy fail_if_exists"):
        CsvSink({"path": "x.csv", "mode": "append", "collision_policy": "fail_if_exists"})
    with pytest.raises(ValidationError, match="unknown encoding 'utf-9'"):
        CsvSink({"path": "x.csv", "encoding": "utf-9"})
    with pytest.raises(ValidationError, match="must differ"):
        CsvSink({"path": "x.csv", "delimiter": '"'})


def test_a_header_outside_the_encoding_is_an_error(tmp_path, ctx):
    sink = CsvSink({"path": str(tmp_path / "a.csv"), "encoding": "ascii"})
    sink.on_start(ctx)
    with pytest.raises(SinkError, match="use encoding: utf-8"):
        sink.write([{"größe": 1}], ctx)
    sink.close()
