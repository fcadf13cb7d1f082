"""Outputs that can't be written, or must not be: nothing is half written, nothing of the user's is lost."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from elspeth import ElspethError, run
from elspeth.contracts.errors import ConfigurationError, PluginError, SinkError
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.schema import artifacts_table, runs_table, token_outcomes_table

Row = dict[str, Any]
ROWS = "id,note\n" + "".join(f"{number},{'x' * 50}\n" for number in range(20_000))
GATE = {"name": "g", "condition": "row['id'] % 2 == 0", "routes": {"true": "even", "false": "odd"}}


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Writes ``p.yaml`` with these sinks (name → path), and an input of 20,000 rows."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.csv").write_text(ROWS, encoding="utf-8")

    def write(gates: list[Row], /, **sinks: Any) -> None:
        pipeline = {
            "source": {"plugin": "csv", "options": {"path": "in.csv"}},
            "gates": gates,
            "sinks": {
                name: {"plugin": "csv", "options": {"path": options} if isinstance(options, str) else options}
                for name, options in sinks.items()
            },
        }
        (tmp_path / "p.yaml").write_text(json.dumps(pipeline), encoding="utf-8")

    return write


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (".", "is a directory; give the name of a file in it"),
        ("in.csv/out.csv", "in.csv is a file, not a directory"),
        ("/dev/full", "is not a regular file"),
        ("in.csv", "the input of source 'source', which reads it"),
        ("./sub/../in.csv", "the input of source 'source', which reads it"),
        ("linked/in.csv", "the input of source 'source', which reads it"),
        ("p.yaml", "and that is this pipeline file"),
        (".elspeth/landscape.db", "and so does the landscape"),
        ("linked/odd.csv", "and so does sink 'odd'"),
    ],
)
def test_a_path_that_must_not_be_written_is_refused(
    tmp_path: Path, write: Callable[..., None], path: str, text: str
) -> None:
    (tmp_path / "linked").symlink_to(tmp_path)
    write([GATE], odd="odd.csv", even=path)
    with pytest.raises(ConfigurationError) as caught:
        run("p.yaml", environ={})
    (problem,) = caught.value.problems
    assert text in problem.what
    assert problem.key == "sinks.even.options.path"
    assert {found.name for found in tmp_path.iterdir()} == {"linked", "in.csv", "p.yaml"}
    assert (tmp_path / "in.csv").read_text("utf-8") == ROWS


def test_a_directory_in_which_nothing_can_be_made(tmp_path: Path, write: Callable[..., None]) -> None:
    write([], output="/proc/out.csv")
    with pytest.raises(ElspethError, match=r"/proc"):
        run("p.yaml", environ={})
    assert not list(tmp_path.glob("*.part"))


def test_an_existing_output_is_replaced_only_when_the_new_one_is_complete(
    tmp_path: Path, write: Callable[..., None]
) -> None:
    (tmp_path / "out.csv").write_text("old", encoding="utf-8")
    write([], output="out.csv")
    asked = iter([False, False, True])
    with pytest.raises(ElspethError, match="was interrupted"):
        run("p.yaml", environ={}, stop=lambda: next(asked, True))
    assert (tmp_path / "out.csv").read_text("utf-8") == "old"
    result = run("p.yaml", environ={})
    assert (tmp_path / "out.csv").read_text("utf-8") == ROWS
    assert result.sinks["output"].sha256 == sha256(ROWS.encode()).hexdigest()


def test_a_sink_that_fails_to_publish_does_not_hide_what_was_published(
    tmp_path: Path, write: Callable[..., None]
) -> None:
    write([GATE], even="even.csv", odd={"path": "odd.csv", "collision_policy": "fail_if_exists"})

    def meanwhile(_progress: Any) -> None:
        (tmp_path / "odd.csv").write_text("somebody else's", encoding="utf-8")

    with pytest.raises(SinkError, match="came into being while the run was going on"):
        run("p.yaml", environ={}, watch=meanwhile)
    assert (tmp_path / "odd.csv").read_text("utf-8") == "somebody else's"
    db = LandscapeDB.from_url("sqlite:///.elspeth/landscape.db", create=False)
    with db.engine.connect() as connection:
        (found,) = connection.execute(select(runs_table)).all()
        (artifact,) = connection.execute(select(artifacts_table)).all()
    db.close()
    assert found.status == "failed"
    assert "came into being" in found.error
    assert artifact.content_hash == sha256((tmp_path / "even.csv").read_bytes()).hexdigest()


def test_a_transform_with_a_bug_stops_the_run_with_nothing_lost(
    tmp_path: Path, write: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    from elspeth.plugins.transforms.passthrough import Passthrough  # noqa: PLC0415  # to break it

    honest = Passthrough.process

    def process(self: Any, row: Row, ctx: Any) -> Any:
        return 1 / 0 if row["id"] == 15_000 else honest(self, row, ctx)

    monkeypatch.setattr(Passthrough, "process", process)
    write([], output="out.csv")
    pipeline = json.loads((tmp_path / "p.yaml").read_text("utf-8"))
    pipeline["transforms"] = [{"name": "t", "plugin": "passthrough"}]
    (tmp_path / "p.yaml").write_text(json.dumps(pipeline), encoding="utf-8")
    with pytest.raises(PluginError, match=r"transform 't' raised ZeroDivisionError: .*-15000\)"):
        run("p.yaml", environ={})
    assert not (tmp_path / "out.csv").exists()
    _check_left_behind(tmp_path, "failed")


LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
from elspeth.engine import processor
processor.GROUP_NS = 60_000_000_000  # on a busy machine many small commits fill the landscape first
from elspeth.cli.main import main
sys.exit(main(["run", "p.yaml", "--json"]))
"""


def _limited(size: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", LIMITED, str(size)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ})


def test_no_room_for_the_output(tmp_path: Path, write: Callable[..., None]) -> None:
    write([], output="out.csv")
    said = _limited(400_000)
    assert said.returncode == 3
    error = json.loads(said.stdout)["error"]
    assert error["type"] == "SinkError"
    assert "cannot be written: File too large" in error["message"]
    assert error["fix"]
    assert not (tmp_path / "out.csv").exists()
    _check_left_behind(tmp_path, "failed")


def test_no_room_for_the_landscape(tmp_path: Path, write: Callable[..., None]) -> None:
    write([], output="out.csv")
    said = _limited(250_000)
    assert said.returncode == 3
    assert json.loads(said.stdout)["error"]["type"] in {"LandscapeError", "SinkError"}
    assert not (tmp_path / "out.csv").exists()
    assert (tmp_path / "in.csv").read_text("utf-8") == ROWS


def _check_left_behind(home: Path, status: str) -> None:
    """What is on record is in the part file, as far as it goes."""
    db = LandscapeDB.from_url(f"sqlite:///{home}/.elspeth/landscape.db", create=False)
    with db.engine.connect() as connection:
        (found,) = connection.execute(select(runs_table)).all()
        ended = connection.execute(select(token_outcomes_table)).all()
    db.close()
    assert found.status == status
    assert {token.sink_name for token in ended} <= {"output"}
    parts = list(home.glob(".out.csv.*.part"))
    lines = parts[0].read_text("utf-8").splitlines() if parts else []
    assert len(lines) >= len(ended) + bool(ended)
