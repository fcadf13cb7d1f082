"""`elspeth experiment` on a terminal."""

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from elspeth.api.experiment_power import plan_power
from elspeth.cli.main import main
from elspeth.contracts.errors import UsageError

LAB = runpy.run_path(str(Path(__file__).parents[1] / "experiments" / "conftest.py"))["Lab"]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    made = LAB(tmp_path)
    made.experiment["mode"] = "paired"
    made.rows(60).run()
    monkeypatch.setenv("ELSPETH_LANDSCAPE__URL", made.database)
    return made


def output(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert main(["experiment", *words]) == code
    found = capsys.readouterr()
    return found.out if code == 0 else found.err


def test_list(lab: Any, capsys: pytest.CaptureFixture[str]) -> None:
    text = output(capsys, "list")
    assert "exp-1" in text
    assert "control 60" in text
    (one,) = json.loads(output(capsys, "list", "--json"))["experiments"]
    assert one["variants"] == ["control", "treatment"]
    assert one["mode"] == "paired"


def test_list_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = LAB(tmp_path)
    empty.experiment["enabled"] = False
    empty.rows(2).run()
    assert output(capsys, "list", "--database", empty.database) == ""


def test_compare(lab: Any, capsys: pytest.CaptureFixture[str]) -> None:
    text = output(capsys, "compare", "exp-1")
    assert "verdict on treatment: better" in text
    assert "├" in text
    assert "●" in text
    assert "24 wins, 36 ties, 0 losses" in text
    document = json.loads(output(capsys, "compare", "exp-1", "--json"))
    assert document["verdicts"] == {"treatment": "better"}
    assert "| **correct** | treatment |" in output(capsys, "compare", "exp-1", "--md")


def test_compare_writes_a_page(lab: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    output(capsys, "compare", "exp-1", "--html", str(tmp_path / "new" / "page.html"))
    assert (tmp_path / "new" / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize("command", [["compare", "exp-1", "--html"], ["pairs", "exp-1", "--out"]])
def test_a_file_that_can_not_be_written_is_no_bug(
    lab: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path, command: list[str]
) -> None:
    said = output(capsys, *command, str(tmp_path), code=2)
    assert f"{tmp_path} can't be written: it is a directory" in said
    said = output(capsys, *command, str(tmp_path / "in.csv" / "x"), code=2)
    assert "x can't be written: " in said


def test_what_fails_leaves_no_file(lab: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    lab.experiment["mode"] = "split"
    lab.run()
    before = set(tmp_path.iterdir())
    assert "splits rows" in output(capsys, "pairs", "exp-1", "--out", str(tmp_path / "pairs.jsonl"), code=2)
    assert set(tmp_path.iterdir()) == before


def test_one_form_at_a_time(lab: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--md can't be combined" in output(capsys, "compare", "exp-1", "--md", "--json", code=2)


def test_status(lab: Any, capsys: pytest.CaptureFixture[str]) -> None:
    text = output(capsys, "status", "exp-1", "--runs", "all")
    assert "assigned rows: control 60; exposure 100 %" in text
    assert "can be found by now" in " ".join(text.split())
    assert json.loads(output(capsys, "status", "exp-1", "--json"))["experiment_id"] == "exp-1"


def test_flips(lab: Any, capsys: pytest.CaptureFixture[str]) -> None:
    text = output(capsys, "flips", "exp-1", "--limit", "2")
    assert text.count("elspeth explain ") == 2
    document = json.loads(output(capsys, "flips", "exp-1", "--json"))
    assert len(document["flips"]) == 20
    assert document["more"] is True


def test_power(capsys: pytest.CaptureFixture[str]) -> None:
    assert "12,074 units in both" in output(capsys, "power", "--base", "0.8", "--effect", "0.02")
    assert "34 pairs find" in output(capsys, "power", "--sd", "1", "--effect", "0.5", "--paired")
    found = json.loads(output(capsys, "power", "--sd", "1", "--units", "128", "--json"))
    assert found["effect"] == pytest.approx(0.5, abs=0.01)
    assert "or more" in output(capsys, "power", "--sd", "1", "--units", "34", "--paired")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--sd", "1"], "give either the effect or the units"),
        (["--effect", "1"], "give either --base"),
        (["--effect", "0.1", "--base", "0.1", "--paired"], "pairs need the sd"),
        (["--effect", "0.9", "--base", "0.5"], "not both shares"),
    ],
)
def test_power_without_a_plan(words: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert why in output(capsys, "power", *words, code=2)


def test_an_unknown_experiment(lab: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert "on record are: exp-1" in output(capsys, "compare", "exp-9", code=2)


def test_the_list_loads_nothing_for_statistics(lab: Any) -> None:

    script = (
        "import sys; from elspeth.cli.main import main; main(['experiment', 'list']);"
        "sys.exit(any(name in sys.modules for name in ('scipy', 'numpy', 'statsmodels')))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False, capture_output=True).returncode == 0


def test_power_of_unequal_weights() -> None:
    assert plan_power(effect=0.5, sd=1, share=10).units > 2 * plan_power(effect=0.5, sd=1).units
    with pytest.raises(UsageError, match="between 0 and 100"):
        plan_power(effect=0.1, sd=1, share=100)
