"""What checkpoints and proof cost: the same run with and without, one after the other.

    python benchmarks/bench_proof.py [--rows N] [--pairs N] [--work DIR]

Every run is a process of its own; the median of the differences of neighbouring runs counts, so that a
machine that gets slower for a while does no harm. Then the record is verified and a row of it proved.
"""

import argparse
import shutil
import statistics
import sys
import time
from pathlib import Path

from elspeth.api.prove import prove
from elspeth.api.verify import verify
from measuring import measure
from workload import GATE, write_pipeline, write_rows

ROOT = Path(__file__).resolve().parents[1]
WITHOUT = """
import sys
from elspeth.core.landscape.ledger.sealing import Proof
begin = Proof.__init__
def without(self):
    begin(self)
    self.enabled = False
Proof.__init__ = without
from elspeth.cli.main import main
sys.exit(main(["run", "pipeline.yaml"]))
"""
WITH = 'import sys; from elspeth.cli.main import main; sys.exit(main(["run", "pipeline.yaml"]))'


def once(home: Path, rows: Path, program: str) -> tuple[float, int]:
    """CPU seconds of one run, and the bytes of its database."""
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    write_pipeline(home / "pipeline.yaml", rows, GATE, f"sqlite:///{home / 'landscape.db'}")
    usage = measure([sys.executable, "-c", program], cwd=home)
    return usage.cpu, sum(path.stat().st_size for path in home.glob("landscape.db*"))


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--work", type=Path, default=ROOT / "benchmarks" / ".work")
    given = parser.parse_args(arguments)
    work = given.work.resolve() / "elspeth-proof"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    rows, home = work / "rows.csv", work / "run"
    write_rows(rows, given.rows)
    once(home, rows, WITH)
    ratios, sizes = [], []
    for _ in range(given.pairs):
        without, plain = once(home, rows, WITHOUT)
        cpu, size = once(home, rows, WITH)
        ratios.append(cpu / without)
        sizes.append((size - plain) / given.rows)
    url = f"sqlite:///{home / 'landscape.db'}"
    began = time.process_time()
    report = verify(database=url)
    spent = time.process_time() - began
    began = time.perf_counter()
    proven = prove(row=given.rows // 2, database=url)
    proved = time.perf_counter() - began
    head = proven.proof.head
    path = max(len(record.path) for record in proven.proof.records)
    lines = [
        f"rows: {given.rows:,}, leaves: {head.size:,}, all as it was: {report.ok}",
        f"CPU of a run with proof ÷ without: {statistics.median(ratios):.3f} (median of {given.pairs} pairs)",
        f"bytes of the database for each row: {statistics.median(sizes):.1f}",
        f"verification: {report.runs[0].tokens / spent:,.0f} tokens per CPU-second",
        f"proof of a row: {1000 * proved:.0f} ms, {path} hashes from a leaf to the root",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
