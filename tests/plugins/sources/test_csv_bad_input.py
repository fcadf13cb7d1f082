"""The csv source on bad input: a clear error or a quarantined row, and the good rows arrive."""

import gzip
import os
import tracemalloc

import pytest

from elspeth.contracts.errors import SourceError
from elspeth.plugins.sources.csv_source import CsvSource


def test_an_empty_file_and_a_header_alone_are_empty_runs(file, drain):
    assert drain(CsvSource({"path": str(file(""))})) == ([], [])
    assert drain(CsvSource({"path": str(file("\n\n"))})) == ([], [])
    assert drain(CsvSource({"path": str(file("id,name"))})) == ([], [])
    assert CsvSource({"path": str(file(""))}).check() == []


def test_ragged_lines_are_quarantined_with_their_cells(file, drain):
    rows, (short, long) = drain(CsvSource({"path": str(file("a,b\n1,2\n3\n4,5,6,7\n8,9\n"))}))
    assert rows == [{"a": 1, "b": 2}, {"a": 8, "b": 9}]
    assert (short.raw, short.line) == ({"a": "3"}, 3)
    assert short.reason == "line 3 has 1 cell, but there are 2 columns"
    assert (long.raw, long.line) == ({"a": "4", "b": "5", "_extra": ["6", "7"]}, 4)


def test_line_numbers_count_line_breaks_in_cells_and_blank_lines(file, drain):
    rows, (bad,) = drain(CsvSource({"path": str(file('a,b\n"x\ny\r\nz",1\n\n2\n'))}))
    assert len(rows) == 1
    assert bad.line == 6


def test_bad_bytes_quarantine_their_row_alone(file, drain):
    path = file(b"id,name\n1,ok\n2,caf\xe9\n3,gr\xc3\xbc\xc3\x9fe\n")
    rows, (bad,) = drain(CsvSource({"path": str(path)}))
    assert rows == [{"id": 1, "name": "ok"}, {"id": 3, "name": "grüße"}]
    assert bad.raw == {"id": "2", "name": "caf\\xe9"}
    assert (bad.field, bad.line) == ("name", 3)
    assert "line 3: byte 0xe9 at offset 18 is not utf-8" in bad.reason
    assert "cp1252" in bad.reason


def test_a_header_in_another_encoding_is_an_error_with_the_remedy(file):
    source = CsvSource({"path": str(file(b"id,stra\xdfe\n1,x\n"))})
    with pytest.raises(
        SourceError, match=r"the header has byte 0xdf, which is not utf-8\n  fix: set encoding"
    ):
        source.preview_schema()
    (problem,) = source.check()
    assert "the header has byte 0xdf" in problem


def test_utf16_read_as_utf8_is_named(file):
    (problem,) = CsvSource({"path": str(file("id,name\n1,x\n".encode("utf-16")))}).check()
    assert problem.endswith(
        "starts with a UTF-16 byte order mark, but is read as utf-8; set encoding: utf-16"
    )
    (problem,) = CsvSource({"path": str(file("id,name\n1,x\n".encode("utf-16-le")))}).check()
    assert "NUL characters" in problem


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (gzip.compress(b"id,name\n1,x\n"), "is compressed (gzip), not text; unpack it first: gunzip"),
        (b"PK\x03\x04rest", "is a zip archive or a workbook, not text; unpack it, or save the sheet as CSV"),
        (b"SQLite format 3\x00rest", "is an SQLite database, not text; write `plugin: database`"),
    ],
    ids=["gzip", "zip", "sqlite"],  # the first has the time in it
)
def test_what_is_no_text_is_said(file, head, what):
    (problem,) = CsvSource({"path": str(file(head))}).check()
    assert what in problem


def test_an_unknown_encoding_is_named(file):
    (problem,) = CsvSource({"path": str(file("a\n1\n")), "encoding": "utf-9"}).check()
    assert problem == "unknown encoding 'utf-9'; use a name such as utf-8, cp1252, latin-1 or utf-16"


def test_a_byte_order_mark_is_dropped(file, drain):
    rows, _ = drain(CsvSource({"path": str(file(b"\xef\xbb\xbfid,name\n1,x\n"))}))
    assert rows == [{"id": 1, "name": "x"}]


def test_nul_bytes_quarantine_their_row(file, drain):
    rows, (bad,) = drain(CsvSource({"path": str(file(b"id,name\n1,a\x00b\n2,c\n"))}))
    assert rows == [{"id": 2, "name": "c"}]
    assert (bad.field, bad.line) == ("name", 2)
    assert "NUL" in bad.reason


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("User ID,user_id", "the headings 'User ID' and 'user_id' both become the field 'user_id'"),
        ("a,a", "the headings 'a' and 'a' both become the field 'a'"),
        ("a,,b", r"column 2 has no usable heading \(''\)"),
        ("a,%%", r"column 2 has no usable heading \('%%'\)"),
    ],
)
def test_headings_that_can_not_be_fields_are_errors(file, header, message):
    source = CsvSource({"path": str(file(f"{header}\n1,2,3\n"))})
    with pytest.raises(SourceError, match=message):
        source.preview_schema()
    assert source.check()


def test_broken_quoting_takes_only_its_own_line(file, drain):
    path = file('id,name\n1,"open\n2,x\n3,"y"\n4,"z"q\n5,ok\n')
    rows, bad = drain(CsvSource({"path": str(path)}))
    assert [row["id"] for row in rows] == [2, 3, 5]
    assert [(item.line, item.raw) for item in bad] == [(2, {"_raw": '1,"open\n'}), (5, {"_raw": '4,"z"q\n'})]


def test_a_quote_that_never_closes(file, drain):
    rows, (bad,) = drain(CsvSource({"path": str(file('id,name\n1,x\n2,"open\n3,y\n4,z\n'))}))
    assert [row["id"] for row in rows] == [1, 3, 4]
    assert bad.line == 3
    assert "a quote is opened and never closed" in bad.reason


def test_a_quote_that_never_closes_in_a_large_file_is_given_up_in_time(file, drain):
    lines = "".join(f"{i},{'x' * 50}\n" for i in range(20_000))
    path = file('id,name\n0,"open\n' + lines)
    rows, (bad,) = drain(CsvSource({"path": str(path), "max_field_bytes": 300_000}))
    assert len(rows) == 20_000
    assert bad.line == 2


def test_over_long_lines_and_fields_are_quarantined(file, drain):
    path = file(f"id,name\n1,{'x' * 500_000}\n2,short\n3,{'y' * 2_000}\n4,short\n")
    rows, (first, second) = drain(CsvSource({"path": str(path), "max_field_bytes": 1_000}))
    assert [row["id"] for row in rows] == [2, 4]
    assert first.line == 2
    assert "more than max_field_bytes (1,000)" in first.reason
    assert (second.line, second.field) == (4, "name")
    assert len(first.raw["_raw"]) <= 1_000


def test_a_long_field_within_the_limit_is_read(file, drain):
    path = file(f'id,name\n1,"{"x" * 3_000_000}\n{"y" * 100}"\n2,short\n')
    rows, bad = drain(CsvSource({"path": str(path)}))
    assert bad == []
    assert len(rows[0]["name"]) == 3_000_101


def test_a_hundred_megabyte_field_needs_little_memory(tmp_path, drain):
    path = tmp_path / "huge.csv"
    with open(path, "wb") as out:
        out.write(b"id,name\n1,x\n2,")
        for _ in range(100):
            out.write(b"x" * 1_000_000)
        out.write(b"\n3,y\n")
    tracemalloc.start()
    try:
        rows, (bad,) = drain(CsvSource({"path": str(path), "max_field_bytes": 1_000_000}))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [row["id"] for row in rows] == [1, 3]
    assert bad.line == 3
    assert peak < 12_000_000


def test_missing_files_directories_and_the_like(file, tmp_path):
    here = file("a\n1\n", "transactions.csv")
    (problem,) = CsvSource({"path": str(tmp_path / "transaction.csv")}).check()
    assert problem == f"there is no file {tmp_path / 'transaction.csv'}; did you mean {here}?"
    (problem,) = CsvSource({"path": str(tmp_path)}).check()
    assert "is a directory, not a file" in problem
    (problem,) = CsvSource({"path": str(tmp_path / "no" / "x.csv")}).check()
    assert "its directory does not exist" in problem
    os.mkfifo(tmp_path / "pipe")
    (problem,) = CsvSource({"path": str(tmp_path / "pipe")}).check()
    assert "is not a regular file" in problem


def test_on_start_raises_what_check_says(tmp_path, drain):
    with pytest.raises(SourceError, match="there is no file") as caught:
        drain(CsvSource({"path": str(tmp_path / "none.csv")}))
    assert "fix: paths are relative to the working directory" in str(caught.value)


def test_a_declared_column_that_is_not_there_is_an_error(file):
    options = {
        "path": str(file("id,amuont\n1,2\n")),
        "schema": {"mode": "flexible", "fields": ["amount: int"]},
    }
    (problem,) = CsvSource(options).check()
    assert "has no column for the field 'amount'; it has: id, amuont; did you mean 'amuont'?" in problem


def test_columns_beside_a_fixed_schema_are_an_error(file):
    options = {"path": str(file("id,extra\n1,2\n")), "schema": {"mode": "fixed", "fields": ["id: int"]}}
    (problem,) = CsvSource(options).check()
    assert "columns that the fixed schema does not declare: extra" in problem
    assert 'add "extra: any"' in problem
