"""What all file sinks share: collisions, bad paths, a full disk, damaged part files."""

import os

import pytest

from elspeth.contracts.errors import SinkError
from elspeth.contracts.plugins import PluginContext
from elspeth.plugins.sinks.csv_sink import CsvSink
from elspeth.plugins.sinks.json_sink import JsonSink
from elspeth.plugins.sinks.parquet_sink import ParquetSink
from elspeth.plugins.sinks.part_file import PartFile


def test_fail_if_exists_is_found_before_and_at_the_end(tmp_path, ctx):
    path = tmp_path / "a.csv"
    sink = CsvSink({"path": str(path), "collision_policy": "fail_if_exists"})
    assert sink.check() == []
    sink.on_start(ctx)
    sink.write([{"x": 1}], ctx)
    path.write_text("somebody else's")
    with pytest.raises(SinkError, match="came into being while the run was going on") as caught:
        sink.publish()
    assert ".a.csv.run-1.part" in str(caught.value)
    assert path.read_text() == "somebody else's"
    (problem,) = CsvSink({"path": str(path), "collision_policy": "fail_if_exists"}).check()
    assert "exists, and collision_policy is fail_if_exists; move it away" in problem
    late = CsvSink({"path": str(path), "collision_policy": "fail_if_exists"})
    late.on_start(ctx)
    with pytest.raises(SinkError, match="collision_policy is fail_if_exists"):
        late.write([{"x": 1}], ctx)


_FAIL = {"collision_policy": "fail_if_exists"}


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        *((kind, options) for kind in (CsvSink, JsonSink) for options in ({}, {"mode": "append"}, _FAIL)),
        (ParquetSink, {}),
    ],
)
def test_a_crash_right_after_publishing_changes_nothing(tmp_path, ctx, kind, options):
    path = tmp_path / "a.out"
    first = kind({"path": str(path), **options})
    first.on_start(ctx)
    first.write([{"x": 1}], ctx)
    first.flush()
    position = first.position()
    first.write([{"x": 2}], ctx)
    artifact = first.publish()
    whole = path.read_bytes()
    second = kind({"path": str(path), **options})
    second.on_start(ctx)
    second.restore(position)
    second.write([{"x": 2}], ctx)
    assert second.publish() == artifact
    second.close()
    first.close()
    assert path.read_bytes() == whole
    assert list(tmp_path.iterdir()) == [path]


def test_auto_increment_takes_the_next_free_name(tmp_path, fill, ctx):
    path = tmp_path / "a.csv"
    names = [
        fill(CsvSink({"path": str(path), "collision_policy": "auto_increment"}), [{"x": i}]) for i in range(3)
    ]
    assert [artifact.path_or_uri for artifact in names] == [
        str(path),
        str(tmp_path / "a-1.csv"),
        str(tmp_path / "a-2.csv"),
    ]
    late = CsvSink({"path": str(path), "collision_policy": "auto_increment"})
    late.on_start(ctx)
    late.write([{"x": 9}], ctx)
    (tmp_path / "a-3.csv").write_text("taken meanwhile")
    assert late.publish().path_or_uri == str(tmp_path / "a-4.csv")
    assert (tmp_path / "a-3.csv").read_text() == "taken meanwhile"


def test_overwrite_is_the_default(tmp_path, fill):
    (tmp_path / "a.csv").write_text("old")
    (tmp_path / "a.csv").chmod(0o600)
    fill(CsvSink({"path": str(tmp_path / "a.csv")}), [{"x": 1}])
    assert (tmp_path / "a.csv").read_text() == "x\n1\n"
    assert (tmp_path / "a.csv").stat().st_mode & 0o777 == 0o600


def test_paths_that_can_not_be_written_are_named(tmp_path):
    (problem,) = CsvSink({"path": str(tmp_path)}).check()
    assert "is a directory; give the name of a file in it" in problem
    (tmp_path / "file").write_text("")
    (problem,) = CsvSink({"path": str(tmp_path / "file" / "a.csv")}).check()
    assert f"{tmp_path / 'file'} is a file, not a directory" in problem
    os.mkfifo(tmp_path / "pipe")
    (problem,) = CsvSink({"path": str(tmp_path / "pipe")}).check()
    assert "is not a regular file" in problem


def test_a_full_disk_is_an_error_that_says_how_to_go_on(tmp_path):
    part = PartFile(tmp_path / "a.csv", "run-1")
    part.path.symlink_to("/dev/full")
    part.begin()
    with pytest.raises(SinkError, match=r"No space left on device; 0 bytes were written before") as caught:
        part.write(b"x")
    assert "fix: free some space, then go on with `elspeth resume`" in str(caught.value)
    part.close()


def test_a_damaged_part_file_is_not_continued(tmp_path, ctx):
    sink = CsvSink({"path": str(tmp_path / "a.csv")})
    sink.on_start(ctx)
    sink.write([{"x": 1}], ctx)
    sink.flush()
    position = sink.position()
    sink.close()
    part = tmp_path / ".a.csv.run-1.part"
    part.write_text("x")
    again = CsvSink({"path": str(tmp_path / "a.csv")})
    again.on_start(ctx)
    with pytest.raises(SinkError, match="has 1 bytes, but 4 are on record"):
        again.restore(position)
    part.write_text("x\n2\n")
    with pytest.raises(SinkError, match="are not those on record"):
        again.restore(position)
    again.close()
    part.unlink()
    with pytest.raises(SinkError, match="is gone"):
        again.restore(position)


def test_a_stale_part_file_is_started_anew(tmp_path, fill):
    (tmp_path / ".a.csv.run-1.part").write_text("left over from a crash before the first commit")
    fill(CsvSink({"path": str(tmp_path / "a.csv")}), [{"x": 1}])
    assert (tmp_path / "a.csv").read_text() == "x\n1\n"


def test_run_ids_can_not_leave_the_directory(tmp_path):
    sink = CsvSink({"path": str(tmp_path / "a.csv")})
    sink.on_start(PluginContext(run_id="../../evil/x"))
    sink.write([{"x": 1}], PluginContext())
    assert [entry.parent for entry in tmp_path.iterdir()] == [tmp_path]
    sink.close()
