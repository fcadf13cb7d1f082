"""What experiments cost while a run goes on, and how long it takes to ask how they stand.

    python benchmarks/bench_experiments.py [--quick] [--rows N] [--work DIR]

Prints a table, and writes it to docs/performance.md unless --quick is given. The figure for 10^7 rows is of a
landscape whose columns and totals were made up, by the code that puts them down, without the rows.
"""

import argparse
import os
import shutil
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from elspeth.api.experiments import compare_experiment
from elspeth.api.run import run
from elspeth.core.config import ExperimentConfig
from elspeth.core.landscape.variants.packing import FAILED, LATENCY, UNIT, VARIANT
from elspeth.engine.executors.sightings import Lookout, VariantOutcomes
from elspeth.experiments.kept import Recorded, metrics_key, write_recorded
from elspeth.experiments.merging import Merging
from elspeth.experiments.metrics import compile_metrics
from elspeth.experiments.statistics.distributions import library

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- bench-experiments:begin -->\n", "<!-- bench-experiments:end -->\n"
COMMIT = 8192
ROUNDS = 11
METRICS = [
    {"name": "right", "value": "row['label'] == row['gold']", "type": "proportion", "primary": True},
    {"name": "double", "value": "row['double']"},
    {"name": "slow", "value": "state.duration_ms", "type": "quantile", "q": 0.95},
]


def experiment(metrics: list[dict[str, Any]]) -> dict[str, Any]:
    """Two rules that say the same in other words: what differs is the experiment alone."""
    other = {"operations": [{"target": "double", "expression": "2 * row['size']"}]}
    return {
        "experiment_id": "bench",
        "name": "bench",
        "unit": "row['customer']",
        "variants": [
            {"variant_id": "control", "weight": 50},
            {"variant_id": "variant", "weight": 50, "transform_overrides": other},
        ],
        "metrics": metrics,
    }


class Bench:
    """Runs in one directory."""

    def __init__(self, work: Path, rows: int) -> None:
        self.work = work
        self.rows = rows

    def write_rows(self) -> None:
        random = np.random.Generator(np.random.PCG64(1))
        labels = np.where(random.random((2, self.rows)) < 0.3, "spam", "ham")
        sizes = random.random(self.rows) * 100
        with (self.work / "in.csv").open("w", encoding="utf-8") as file:
            file.write("id,customer,label,gold,size\n")
            for index in range(self.rows):
                label, gold = labels[:, index]
                file.write(f"{index},c{index},{label},{gold},{sizes[index]:.3f}\n")

    def run(self, name: str, varied: dict[str, Any] | None) -> float:
        """µs CPU per row of a run; the landscape is ``name.db``."""
        operations = [{"target": "double", "expression": "row['size'] * 2"}]
        pipeline: dict[str, Any] = {
            "source": {"plugin": "csv", "options": {"path": str(self.work / "in.csv")}},
            "transforms": [
                {"name": "twice", "plugin": "value_transform", "options": {"operations": operations}}
            ],
            "sinks": {"out": {"plugin": "csv", "options": {"path": str(self.work / "out.csv")}}},
        }
        if varied is not None:
            pipeline["experiment"] = varied
        path = self.work / "pipeline.yaml"
        path.write_text(yaml.safe_dump(pipeline), encoding="utf-8")
        began = time.process_time()
        run(path, database=self.url(name), environ={})
        return (time.process_time() - began) / self.rows * 1e6

    def costs(self) -> dict[str, float]:
        """µs CPU per row: of rows without an experiment, and what each part of one adds.

        Medians over rounds in which all kinds of runs take turns: machines are noisy.
        """
        rounds: list[list[float]] = []
        for _ in range(ROUNDS):
            with unwatched():
                assigned = self.run("assigned", experiment([]))
            took = [self.run("plain", None), assigned]
            took += [self.run("watched", experiment([])), self.run("full", experiment(METRICS))]
            rounds.append(took)
        plain = statistics.median(one[0] for one in rounds)
        steps = [statistics.median(one[at] - one[at - 1] for one in rounds) for at in (1, 2, 3)]
        return dict(zip(("plain", "assigned", "watched", "measured"), (plain, *steps), strict=True))

    def url(self, name: str) -> str:
        return f"sqlite:///{self.work}/{name}.db"

    def bytes_per_row(self, name: str) -> float:
        return (self.work / f"{name}.db").stat().st_size / self.rows

    def asked(self, name: str, **options: Any) -> float:
        """Seconds of CPU that the comparison takes; the libraries are loaded already."""
        return best(lambda: compare_experiment("bench", self.url(name), **options))

    def make_large(self, source: str, name: str, rows: int) -> None:
        """A landscape as if ``rows`` had been run, but for the rows."""
        shutil.copy(self.work / f"{source}.db", self.work / f"{name}.db")
        with connected(self.work / f"{name}.db") as connection:
            for table in ("experiment_readings", "experiment_totals"):
                connection.execute(f"DELETE FROM {table}")
            config = ExperimentConfig.model_validate(experiment(METRICS))
            merging = Merging(config, compile_metrics(config)[0])
            random = np.random.Generator(np.random.PCG64(2))
            columns = ["= row['label'] == row['gold']", "= row['double']", "= state.duration_ms"]
            for commit, start in enumerate(range(0, rows, COMMIT)):
                size = min(COMMIT, rows - start)
                piece = {
                    VARIANT: random.integers(0, 2, size).astype("<i2"),
                    UNIT: random.integers(0, 1 << 63, size).astype(">u8"),
                    FAILED: np.zeros(size),
                    LATENCY: random.lognormal(3, 1, size),
                    columns[0]: (random.random(size) < 0.6).astype(float),
                    columns[1]: random.normal(100, 20, size),
                }
                piece[columns[2]] = piece[LATENCY]
                merging.add(piece)
                packed = [
                    (
                        1,
                        "bench",
                        key,
                        commit,
                        {"<i2": b"h", ">u8": b"k"}.get(at.dtype.str, b"d") + at.tobytes(),
                    )
                    for key, at in piece.items()
                ]
                connection.executemany("INSERT INTO experiment_readings VALUES (?, ?, ?, ?, ?)", packed)
            totals = merging.totals([], {})
            assert totals is not None
            text = write_recorded(Recorded([0, 0], 0, 0, {}, metrics_key(config), totals))
            connection.execute("INSERT INTO experiment_totals VALUES (1, 'bench', ?, ?)", (commit, text))

    def table(self, large: int) -> Iterator[str]:
        """All that is measured, as lines of Markdown."""
        self.write_rows()
        for module in ("numpy", "scipy.special"):
            library(module)
        few = Bench(self.work / "few", max(self.rows // 10, 1))
        few.work.mkdir()
        few.write_rows()
        cost = few.costs()
        self.run("plain", None)
        self.run("watched", experiment([]))
        self.run("full", experiment(METRICS))
        yield "| what | measured |"
        yield "| --- | ---: |"
        assign = ExperimentConfig.model_validate(experiment([])).assign_variant
        units = [f"c{index}" for index in range(100_000)]
        took = best(lambda: [assign(unit) for unit in units]) / len(units)
        yield f"| from a unit to its variant | {took * 1e6:.2f} µs |"
        yield f"| a row in {few.rows:,}, without an experiment | {cost['plain']:.1f} µs CPU |"
        yield f"| … assigned, with the assignment on record and in the proof | + {cost['assigned']:.1f} µs |"
        yield f"| … and what its variant gave (failures, latency) added up | + {cost['watched']:.1f} µs |"
        yield f"| … and three metrics measured and added up | + {cost['measured']:.1f} µs |"
        yield f"| landscape, bytes per row: without, assigned, measured | {self._sizes()} |"
        yield f"| `status`, {self.rows:,} rows | {self.asked('full'):.3f} s CPU |"
        yield f"| the same from rows (`--from-rows`) | {self.asked('full', from_rows=True):.1f} s CPU |"
        self.make_large("full", "large", large)
        yield f"| `status`, {large:,} rows | {self.asked('large'):.3f} s CPU |"

    def _sizes(self) -> str:
        return ", ".join(f"{self.bytes_per_row(name):.0f}" for name in ("plain", "watched", "full"))


@contextmanager
def unwatched() -> Iterator[None]:
    """Nobody looks at what comes out of the variants: what is left is the assignment and its record."""
    watch = VariantOutcomes.watch

    def only_failures(self: VariantOutcomes, lookout: Lookout, index: int) -> None:
        following = self.following
        watch(self, lookout, index)
        self.following = following

    VariantOutcomes.watch = only_failures  # type: ignore[method-assign]
    try:
        yield
    finally:
        VariantOutcomes.watch = watch  # type: ignore[method-assign]


def best(once: Callable[[], object]) -> float:
    """The least of three, in seconds of CPU: nothing here waits, and other processes may be at work."""
    found = []
    for _ in range(3):
        began = time.process_time()
        once()
        found.append(time.process_time() - began)
    return min(found)


@contextmanager
def connected(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path)
    try:
        yield connection
        connection.commit()
    finally:
        connection.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--large", type=int, default=10_000_000)
    parser.add_argument("--quick", action="store_true", help="few rows, and write no page")
    parser.add_argument("--work", type=Path, default=ROOT / "benchmarks" / ".work")
    options = parser.parse_args()
    rows, large = (2_000, 20_000) if options.quick else (options.rows, options.large)
    work = options.work / f"experiments-{os.getpid()}"
    work.mkdir(parents=True)
    try:
        lines = list(Bench(work, rows).table(large))
    finally:
        shutil.rmtree(work)
    sys.stdout.write("\n".join(lines) + "\n")
    if not options.quick:
        page = PAGE.read_text(encoding="utf-8")
        before, rest = page.split(BEGIN)
        _, after = rest.split(END)
        PAGE.write_text(before + BEGIN + "\n".join(lines) + "\n" + END + after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
