"""What an experiment put down, in files: as values that anybody can read."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from elspeth.api.experiments import compare_experiment
from elspeth.api.export import check_export, export
from elspeth.api.verify import verify
from elspeth.contracts.errors import LandscapeError
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.variants.packing import (
    pack_integers,
    pack_keys,
    pack_numbers,
    pack_small,
    values_in,
)
from elspeth.core.landscape.variants.rows import ExperimentReader
from elspeth.experiments.columns import unpack

READ: dict[str, Callable[[Path], list[dict[str, Any]]]] = {
    "jsonl": lambda path: [json.loads(line) for line in path.read_text().splitlines()],
    "json": lambda path: list(json.loads(path.read_text())),
    "csv": lambda path: list(csv.DictReader(io.StringIO(path.read_text(), newline=""))),
    "parquet": lambda path: list(pq.read_table(path).to_pylist()),
}


@pytest.fixture
def measured(lab: Any) -> Any:
    lab.experiment["mode"] = "paired"
    lab.experiment["metrics"] += [
        {"name": "part", "value": "100 / row['size']"},
        {"name": "same", "value": "state.attempt"},
    ]
    lab.pipeline["checkpoint"] = {"checkpoint_interval": 30}
    lab.rows(100, customers=20).run()
    return lab


@pytest.mark.parametrize("form", READ)
def test_readings_are_their_values_and_totals_are_there(measured: Any, tmp_path: Path, form: str) -> None:
    made = export("latest", str(tmp_path / "out"), format=form, database=measured.database)
    readings = READ[form](tmp_path / "out" / f"experiment_readings.{form}")
    totals = READ[form](tmp_path / "out" / f"experiment_totals.{form}")
    assert made.records["experiment_readings"] == len(readings) > 20
    db = LandscapeDB.from_url(measured.database, create=False)
    reader = ExperimentReader(db)
    (run,) = reader.runs()
    for name in reader.reading_names(run):
        mine = [one for one in readings if one["reading"] == name]
        pieces = reader.column(run, name, 1 << 30)
        assert [int(one["commit_no"]) for one in mine] == list(pieces)
        for one, piece in zip(mine, pieces.values(), strict=True):
            data = one["data"] if isinstance(one["data"], list) else json.loads(one["data"])
            if name == "unit":
                assert [int(value, 16) for value in data] == unpack(piece).tolist()
            else:
                expected = [None if value != value else value for value in unpack(piece).tolist()]
                assert data == expected
    db.close()
    assert {one["run_id"] for one in (*readings, *totals)} == {run.run_id}
    assert json.loads(totals[-1]["totals_json"])["assigned"] == [100, 0]
    assert check_export(str(tmp_path / "out")).problems == ()
    assert verify(run.run_id, database=measured.database).ok


def test_the_sums_of_a_comparison_follow_from_an_export(measured: Any, tmp_path: Path) -> None:
    """Somebody with nothing but the files comes to the same share."""
    export("latest", str(tmp_path / "out"), database=measured.database)
    columns: dict[str, list[Any]] = {}
    for one in READ["jsonl"](tmp_path / "out" / "experiment_readings.jsonl"):
        columns.setdefault(one["reading"], []).extend(one["data"])
    right = columns["= row['label'] == row['gold']"]
    found = compare_experiment("exp-1", measured.database).to_dict()["metrics"][0]
    for place, name in enumerate(("control", "variant")):
        mine = [value for value, of in zip(right, columns["variant"], strict=True) if of == place]
        assert sum(mine) / len(mine) == found[name]


@pytest.mark.parametrize(
    ("packed", "values"),
    [
        (pack_numbers([1.0, float("nan"), 0.0]), [1, None, 0]),
        (pack_numbers([2.5, 2.5]), [2.5, 2.5]),
        (pack_numbers([float("nan")] * 2), [None, None]),
        (pack_numbers([2.5, float("nan")]), [2.5, None]),
        (pack_numbers([]), []),
        (pack_small([0, 3, 1]), [0, 3, 1]),
        (pack_integers([1 << 40]), [1 << 40]),
        (pack_keys([b"12345678"]), ["3132333435363738"]),
    ],
)
def test_each_way_of_packing(packed: bytes, values: list[Any]) -> None:
    assert values_in(packed) == values


@pytest.mark.parametrize("data", [b"", b"x", b"d123", b"c1"])
def test_what_is_no_column_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(LandscapeError, match="can't be read"):
        values_in(data)
