"""The text and null sources."""

from elspeth.contracts.plugins import PluginContext, Source
from elspeth.contracts.schema import FieldType
from elspeth.plugins.sources.null_source import NullSource
from elspeth.plugins.sources.text_source import TextSource


def test_every_line_is_a_row(file, drain):
    path = file("first, \r\n\nlast", "in.txt")
    assert drain(TextSource({"path": str(path)})) == (
        [{"line": "first, "}, {"line": ""}, {"line": "last"}],
        [],
    )


def test_names_and_numbers(file, drain):
    source = TextSource({"path": str(file("a\nb\n")), "field": "text", "line_number": "no"})
    assert drain(source)[0] == [{"text": "a", "no": 1}, {"text": "b", "no": 2}]
    assert source.observed_schema().promises == {"text", "no"}


def test_lines_of_numbers_are_numbers_unless_declared_otherwise(file, drain):
    path = file("1\n2\n\n")
    source = TextSource({"path": str(path)})
    assert drain(source)[0] == [{"line": 1}, {"line": 2}, {"line": None}]
    assert source.preview_schema().fields[0].type is FieldType.INT
    declared = TextSource({"path": str(path), "schema": {"mode": "flexible", "fields": ["line: str?"]}})
    assert drain(declared)[0] == [{"line": "1"}, {"line": "2"}, {"line": None}]


def test_bad_lines_are_quarantined(file, drain):
    path = file(b"good\ncaf\xe9\nnu\x00l\n" + b"x" * 400_000 + b"\nend\n")
    rows, bad = drain(TextSource({"path": str(path), "max_field_bytes": 1000}))
    assert rows == [{"line": "good"}, {"line": "end"}]
    assert [item.line for item in bad] == [2, 3, 4]
    assert "byte 0xe9 at offset 8" in bad[0].reason
    assert bad[0].raw == {"line": "caf\\xe9"}
    assert "NUL" in bad[1].reason
    assert "more than max_field_bytes" in bad[2].reason


def test_empty_file(file, drain):
    assert drain(TextSource({"path": str(file(""))})) == ([], [])


def test_it_resumes_behind_every_row(file, resumes_everywhere):
    path = file("".join(f"line {i} é\n" for i in range(30)))
    assert resumes_everywhere(lambda: TextSource({"path": str(path), "line_number": "n"})) == 30
    large = file("".join(f"{i}{'x' * 20_000}\n" for i in range(20)))
    assert resumes_everywhere(lambda: TextSource({"path": str(large), "line_number": "n"})) == 20


def test_null_has_no_rows(resumes_everywhere):
    source = NullSource({})
    assert isinstance(source, Source)
    assert list(source.load(PluginContext())) == []
    assert source.size_hint() == 0
    assert resumes_everywhere(lambda: NullSource({})) == 0
