"""The doctor's judgements, where a whole sick machine can't be had."""

import os
from pathlib import Path
from typing import Any

import pytest

from elspeth.api import doctor
from elspeth.api.doctor import Verdict


@pytest.mark.parametrize(
    ("check", "verdict", "remedy"),
    [
        (doctor.python_check((3, 10, 9)), Verdict.FAIL, "install Python 3.11 or later"),
        (doctor.python_check((3, 12, 1)), Verdict.OK, ""),
        (doctor.sqlite_check((3, 37, 2)), Verdict.FAIL, "install a Python with SQLite 3.38 or later"),
        (doctor.space_check(10_000_000, Path("x")), Verdict.FAIL,
         "free some space, or put the landscape elsewhere"),
        (doctor.space_check(500_000_000, Path("x")), Verdict.WARN,
         "a run of a million rows needs about 0.3 GB for its record"),
        (doctor.space_check(5_000_000_000, Path("x")), Verdict.OK, ""),
    ],
)  # fmt: skip
def test_limits(check: doctor.Check, verdict: Verdict, remedy: str) -> None:
    assert (check.verdict, check.remedy) == (verdict, remedy)


def test_a_missing_extra_is_a_warning_that_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "find_spec", lambda _name: None)
    checks = {check.name: check for check in doctor.examine("sqlite://", {})}
    assert checks["parquet"].verdict == Verdict.WARN
    assert checks["parquet"].remedy == 'pip install "elspeth[parquet]"'


def test_a_landscape_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sqlite_url: str
) -> None:
    doctor.LandscapeDB.from_url(sqlite_url).close()

    def access(_path: Any, mode: int) -> bool:
        return mode != os.W_OK

    monkeypatch.setattr(doctor.os, "access", access)
    assert doctor.landscape_check(sqlite_url).what.endswith("can be read, but not written")
    nowhere = doctor.landscape_check(f"sqlite:///{tmp_path}/new/landscape.db")
    assert (nowhere.verdict, nowhere.remedy) == (Verdict.FAIL, "change its rights")


def test_an_empty_postgresql_database_is_ready(postgres_url: str) -> None:
    assert doctor.landscape_check(postgres_url).what.endswith("is not there yet; the first run makes it")
    doctor.LandscapeDB.from_url(postgres_url).close()
    assert doctor.landscape_check(postgres_url).what.endswith(", no runs yet")
