"""The text and null sinks."""

import pytest
from pydantic import ValidationError

from elspeth.contracts.plugins import Artifact, Sink
from elspeth.plugins.sinks.null_sink import NullSink
from elspeth.plugins.sinks.text_sink import TextSink


def test_one_field_one_line(tmp_path, fill):
    sink = TextSink({"path": str(tmp_path / "a.txt"), "field": "word"})
    assert isinstance(sink, Sink)
    artifact = fill(sink, [{"word": "é", "x": 1}, {"word": None}], [{"word": 5}])
    assert (tmp_path / "a.txt").read_text() == "é\n\n5\n"
    assert artifact.rows == 3


def test_rows_that_are_not_one_line_fail_alone(tmp_path, ctx):
    sink = TextSink({"path": str(tmp_path / "a.txt"), "encoding": "ascii"})
    sink.on_start(ctx)
    failures = sink.write([{"line": "a\nb"}, {"lime": "x"}, {"line": "é"}, {"line": "ok"}], ctx)
    assert [(failure.index, failure.reason) for failure in failures] == [
        (0, "field 'line' has line breaks, so it is not one line; use a json or csv sink"),
        (1, "the row has no field 'line' (did you mean 'lime'?)"),
        (2, "field 'line' has the character '\\xe9', which is not in ascii"),
    ]
    sink.publish()
    assert (tmp_path / "a.txt").read_text() == "ok\n"


def test_an_unknown_encoding_is_refused():
    with pytest.raises(ValidationError, match="unknown encoding"):
        TextSink({"path": "a.txt", "encoding": "nope"})


def test_it_comes_back_after_every_row(tmp_path, restores_everywhere):
    path = tmp_path / "a.txt"
    rows = [{"line": f"line {i}"} for i in range(8)]
    restores_everywhere(lambda: TextSink({"path": str(path)}), path, rows)
    restores_everywhere(lambda: TextSink({"path": str(path), "mode": "append"}), path, rows, b"old\n")


def test_null_counts(fill, ctx):
    assert isinstance(NullSink({}), Sink)
    assert fill(NullSink({}), [{"a": 1}], [{"a": 2}, {}]) == Artifact("null:", None, None, 3)
    sink = NullSink({})
    sink.restore({"rows": 2})
    sink.write([{}], ctx)
    assert sink.publish().rows == 3
    assert sink.targets() == []
