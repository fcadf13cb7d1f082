"""How full the pool is: whole pipelines against a model server with known latency, as a share of the ideal.

    python benchmarks/bench_llm.py [--quick] [--work DIR]

The ideal is a full pool from the first moment to the last: rows × latency / pool. The server
is a process of its own on the same machine, and counts calls in flight itself. Writes docs/performance.md,
unless --quick is given.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import elspeth
from elspeth.testing.llm import Behaviour, LoopbackLLM
from report import machine

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- bench-llm:begin -->", "<!-- bench-llm:end -->"


@dataclass(frozen=True, slots=True)
class Case:
    """One measurement. ``must`` is the share of the ideal that is asked for, None where nothing is."""

    rows: int
    pool: int
    latency_s: float
    lognormal: float = 0.0
    queries: int = 1
    must: float | None = None

    @property
    def ideal_s(self) -> float:
        return max(self.rows * self.queries / self.pool, 1.0) * self.latency_s

    @property
    def name(self) -> str:
        spread = ", lognormal" if self.lognormal else ""
        asked = f" × {self.queries} queries" if self.queries > 1 else ""
        return f"{self.rows:,} rows{asked}, pool {self.pool}, {self.latency_s * 1000:.0f} ms{spread}"


CASES = (
    Case(300, 30, 0.1, must=0.80),
    Case(5_000, 100, 0.1, must=0.85),
    Case(20_000, 500, 1.0, lognormal=0.5, must=0.80),
    Case(30, 120, 0.1, queries=4),
)
QUICK = (Case(60, 20, 0.02), Case(5, 20, 0.02, queries=4))


def serve(latency_s: float, lognormal: float) -> None:
    """Be the server: say the address, wait for the end of stdin, say what was counted."""
    with LoopbackLLM(Behaviour(latency_s=latency_s, lognormal=lognormal)) as server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        sys.stdin.read()
        sys.stdout.write(json.dumps({"calls": server.calls, "peak": server.peak_in_flight}) + "\n")


@contextmanager
def server(case: Case, counted: dict[str, Any]) -> Iterator[str]:
    """A server process; ``counted`` is filled when it ends."""
    command = [sys.executable, __file__, "--serve", str(case.latency_s), str(case.lognormal)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    counted.update(json.loads(process.communicate()[0]))


def run(case: Case, work: Path) -> str:
    """One case, as a line of the table."""
    write_pipeline(case, work)
    counted: dict[str, Any] = {}
    with server(case, counted) as url:
        os.environ["LLM_URL"] = f"{url}/v1"
        cpu = time.process_time()
        result = elspeth.run(work / "pipeline.yaml")
        cpu = time.process_time() - cpu
    if result.status != "completed" or counted["calls"] != case.rows * case.queries:
        sys.exit(f"{case.name}: {result.status}, the server counted {counted['calls']} calls")
    share = case.ideal_s / result.duration_s
    must = "–" if case.must is None else f"{case.must:.2f}"
    return (
        f"| {case.name} | {case.ideal_s:.2f} s | {result.duration_s:.2f} s | {share:.2f} | {must}"
        f" | {counted['peak']} | {cpu / case.rows * 1000:.2f} ms |"
    )


def write_pipeline(case: Case, work: Path) -> None:
    """The rows, and the pipeline over them, in an empty directory."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    rows = "".join(f"{number},the text of row {number}\n" for number in range(case.rows))
    (work / "rows.csv").write_text("id,text\n" + rows, encoding="utf-8")
    queries = {f"q{number}": {"template": f"{number}: {{{{ row.text }}}}"} for number in range(case.queries)}
    options: dict[str, Any] = {
        "model": "m",
        "base_url": "${LLM_URL}",
        "api_key": "no-key",
        "pool_size": case.pool,
    }
    options |= {"queries": queries} if case.queries > 1 else {"prompt_template": "Say {{ row.text }}"}
    pipeline = {
        "source": {"plugin": "csv", "options": {"path": str(work / "rows.csv")}},
        "transforms": [{"name": "ask", "plugin": "llm", "options": options}],
        "sinks": {"output": {"plugin": "csv", "options": {"path": str(work / "out.csv")}}},
        "landscape": {"url": f"sqlite:///{work / 'landscape.db'}"},
    }
    (work / "pipeline.yaml").write_text(json.dumps(pipeline), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--work", type=Path, default=ROOT / "benchmarks" / ".work" / "llm")
    parser.add_argument("--serve", nargs=2, type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(*options.serve)
        return
    lines = [
        "| case | ideal | took | share of the ideal | must | most in flight | CPU per row |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    run(QUICK[0], options.work)  # modules are loaded by now
    lines += [run(case, options.work) for case in (QUICK if options.quick else CASES)]
    shutil.rmtree(options.work, ignore_errors=True)
    table = "\n".join(lines)
    sys.stdout.write(f"{table}\n")
    if not options.quick:
        page = PAGE.read_text(encoding="utf-8")
        head, _, rest = page.partition(BEGIN)
        tail = rest.partition(END)[2]
        PAGE.write_text(f"{head}{BEGIN}\n{machine()}\n\n{table}\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
