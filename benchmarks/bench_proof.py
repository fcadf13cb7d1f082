"""What checkpoints and proof cost, how fast a record is verified, and how fast a run is back after a kill.

    python benchmarks/bench_proof.py [--quick] [--rows N] [--pairs N] [--resume-rows N] [--work DIR]

Writes docs/performance.md, unless --quick is given. Every run is a process of its own. With and without
alternate, and the median of the ratios of neighbours counts, so that a machine that gets slower for a while
does no harm.
"""

import argparse
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from elspeth.api.prove import prove
from elspeth.api.verify import verify
from measuring import Usage, environment, measure
from report import machine, table, write_between_marks
from workload import GATE, write_pipeline, write_rows

ROOT = Path(__file__).resolve().parents[1]
RUN = 'import sys; from elspeth.cli.main import main; sys.exit(main(["run", "pipeline.yaml"]))'
# No leaves, no heads; no checkpoint, no lease; nothing that waits for the disk.
WITHOUT = f"""
import os
os.fsync = lambda handle: None
from elspeth.core.landscape import writer
from elspeth.core.landscape.ledger.sealing import Proof
begin = Proof.__init__
def without(self):
    begin(self)
    self.enabled = False
Proof.__init__ = without
writer._put_checkpoint = lambda *_: None
writer.renew = lambda *_: None
{RUN}
"""
VICTIM = """
import os, signal, sys
from elspeth import run
def watch(progress):
    if progress.rows_read >= int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
run("pipeline.yaml", watch=watch)
"""
# `stop` is asked after each row: with the first answer the run is back at work.
RESUME = """
import sys, time
from elspeth import resume
from elspeth.contracts.errors import RunInterruptedError
def stop():
    sys.stdout.write(f"{time.process_time()}\\n")
    sys.stdout.flush()
    return True
try:
    resume(database=sys.argv[1], stop=stop)
except RunInterruptedError:
    pass
"""


class Runs:
    """One pipeline over and over, in a directory of its own."""

    def __init__(self, work: Path, rows: int) -> None:
        self.home = work / "run"
        self.url = f"sqlite:///{self.home / 'landscape.db'}"
        self._rows = work / f"rows-{rows}.csv"
        write_rows(self._rows, rows)

    def prepare(self) -> None:
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)
        write_pipeline(self.home / "pipeline.yaml", self._rows, GATE, self.url)

    def once(self, program: str) -> tuple[Usage, int]:
        """What one run took, and the bytes of its database."""
        self.prepare()
        usage = measure([sys.executable, "-c", program], cwd=self.home)
        return usage, sum(path.stat().st_size for path in self.home.glob("landscape.db*"))

    def start(self, program: str, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", program, *arguments], cwd=self.home, env=environment(self.home),
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    def rows_committed(self) -> int:
        with closing(sqlite3.connect(self.home / "landscape.db", timeout=60)) as connection:
            return int(connection.execute("SELECT rows_read FROM checkpoints").fetchone()[0])


def cost(runs: Runs, pairs: int) -> tuple[list[list[str]], list[float]]:
    """Lines for the table, and bytes per row."""
    runs.once(RUN)
    cpu, wall, sizes = [], [], []
    for _ in range(pairs):
        plain, small = runs.once(WITHOUT)
        whole, large = runs.once(RUN)
        cpu.append(whole.cpu / plain.cpu)
        wall.append(whole.wall / plain.wall)
        sizes.append(float(large - small))
    return [
        line("checkpoints and proof: CPU with ÷ without", statistics.median(cpu), 1.15, "{:.2f}"),
        ["the same by the clock, with the waits for the disk", f"{statistics.median(wall):.2f}", "–", "–"],
    ], sizes


def line(what: str, value: float, must: float, form: str, *, least: bool = False) -> list[str]:
    met = value >= must if least else value <= must
    bound = f"{'≥' if least else '≤'} {must:,g}"
    return [what, form.format(value), bound, "met" if met else "**missed**"]


def checked(runs: Runs) -> tuple[list[list[str]], str]:
    """Verify what the last run left, and prove a row of it."""
    began = time.process_time()
    report = verify(database=runs.url)
    spent = time.process_time() - began
    if not report.ok:
        raise SystemExit(f"the record does not verify: {report.all_findings()[:3]}")
    tokens = report.runs[0].tokens
    began = time.perf_counter()
    proven = prove(row=tokens // 2, database=runs.url)
    took = time.perf_counter() - began
    hashes = max(len(record.path) for record in proven.proof.records)
    return [
        line("verification, tokens per CPU-second", tokens / spent, 20_000, "{:,.0f}", least=True)
    ], f"The proof of a row takes {1000 * took:.0f} ms and is {hashes} hashes long, besides the records."


def back_at_work(runs: Runs, rows: int) -> list[list[str]]:
    """Kill a run near its end; resume it; see how long it takes until it is at the next row."""
    runs.prepare()
    victim = runs.start(VICTIM, str(rows * 9 // 10 if rows > 100_000 else rows // 2))
    victim.communicate()
    if victim.returncode != -signal.SIGKILL:
        raise SystemExit(f"the run that was to be killed ended with {victim.returncode}")
    committed = runs.rows_committed()
    began = time.perf_counter()
    again = runs.start(RESUME, runs.url)
    assert again.stdout is not None
    said = again.stdout.readline()
    took = time.perf_counter() - began
    again.communicate()
    if not said or runs.rows_committed() <= committed:
        raise SystemExit("the run could not be resumed")
    what = f"resume of a run that was killed at row {committed:,}: back at work after"
    return [
        line(what, took, 3, "{:.2f} s"),
        ["its CPU until then, start-up included", f"{float(said):.2f} s", "–", "–"],
    ]


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small, and nothing is written")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--pairs", type=int)
    parser.add_argument("--resume-rows", type=int)
    parser.add_argument("--work", type=Path, default=ROOT / "benchmarks" / ".work")
    given = parser.parse_args(arguments)
    rows = given.rows or (20_000 if given.quick else 100_000)
    more = given.resume_rows or (50_000 if given.quick else 1_000_000)
    work = given.work.resolve() / "elspeth-proof"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        runs = Runs(work, rows)
        lines, sizes = cost(runs, given.pairs or (1 if given.quick else 5))
        verified, proof = checked(runs)
        lines += verified + back_at_work(Runs(work, more), more)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    note = f"{rows:,} rows; the proof takes {statistics.median(sizes) / rows:.1f} bytes per row. {proof}"
    text = "\n\n".join([machine(), table(["", "measured", "must", ""], lines), note])
    sys.stdout.write(text + "\n")
    if not given.quick:
        write_between_marks(ROOT / "docs" / "performance.md", text, "bench-proof")


if __name__ == "__main__":
    main(sys.argv[1:])
