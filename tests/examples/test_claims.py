"""The demo of the README: real rows, counted a second time by other means."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from elspeth import run, validate

ROOT = Path(__file__).resolve().parents[2]
MONEY = ("outpdol", "drugdol", "suppdol", "mentdol", "inpdol")


@pytest.fixture
def claims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The pipeline in a copy of the repository's root."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("out"))
    monkeypatch.chdir(tmp_path)
    return Path("examples/claims/pipeline.yaml")


def test_the_pipeline_is_valid(claims: Path) -> None:
    validate(claims)


def test_every_row_ends_where_the_rules_say(claims: Path) -> None:
    result = run(claims)
    with open("examples/claims/data/randhie.csv", newline="", encoding="utf-8") as lines:
        people = list(csv.DictReader(lines))
    complete = [person for person in people if person["educdec"]]
    expensive = [person for person in complete if round(sum(float(person[key]) for key in MONEY), 2) > 1000]
    admitted = [person for person in complete if int(person["totadm"]) > 0]

    out = Path("examples/claims/out")
    assert keys(out / "review.csv") == [(person["zper"], person["year"]) for person in expensive]
    assert len(keys(out / "paid.csv")) == len(complete) - len(expensive)
    audit = [json.loads(line) for line in (out / "hospital_audit.jsonl").read_text().splitlines()]
    assert [str(row["person"]) for row in audit] == [person["zper"] for person in admitted]
    assert len((out / "incomplete.jsonl").read_text().splitlines()) == len(people) - len(complete) == 4
    assert result.outcomes == {
        "COMPLETED": len(admitted),
        "FORKED": len(admitted),
        "QUARANTINED": 4,
        "ROUTED": len(complete),
    }


def keys(path: Path) -> list[tuple[str, str]]:
    with path.open(newline="", encoding="utf-8") as lines:
        return [(row["person"], row["year"]) for row in csv.DictReader(lines)]
