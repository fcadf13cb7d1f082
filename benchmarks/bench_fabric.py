"""The coordinator with 16 claimants on PostgreSQL, and what a call of a WebAssembly module costs.

    python benchmarks/bench_fabric.py [--quick] [--work DIR]

Prints tables, and writes them to docs/performance.md unless --quick is given. Server and claimants share the
machine's cores and its disk, so that a `SELECT 1` and a commit of nothing, by the same claimants at the same
time, are measured beside.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine

import postgres
from elspeth.core.canonical import dump, load
from elspeth.fabric.chassis import Chassis
from elspeth.fabric.coordinator import Coordinator, NewTask, TaskState
from elspeth.plugins.transforms.wasm import Wasm
from report import machine, verdict

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- bench-fabric:begin -->\n", "<!-- bench-fabric:end -->\n"
CLAIMANTS, PROCESSES = 16, 4
MUST_MS, AIM_MS = 25.0, 10.0
CLAIM, BARE, BARE_COMMIT = "complete one and claim the next", "`SELECT 1`", "a commit of nothing"
ECHO = """(module
  (memory (export "memory") 2)
  (func (export "buffer") (param i32) (result i32) (i32.const 1024))
  (func (export "process") (param $length i32) (result i64)
    (i64.or (i64.shl (i64.const 1024) (i64.const 32)) (i64.extend_i32_u (local.get $length)))))"""
COMMIT = "SELECT pg_logical_emit_message(true, 'bench', '')"


def claimants(url: str, process: int) -> None:
    """A quarter of the claimants: four threads of one process, until nothing is left; their times as JSON."""
    coordinator = Coordinator.from_url(url)
    engine = create_engine(url, isolation_level="AUTOCOMMIT", pool_size=CLAIMANTS)
    times: dict[str, list[float]] = {CLAIM: [], BARE_COMMIT: [], BARE: []}
    done: list[str] = []
    lock = threading.Lock()

    def work(worker: str) -> None:
        own: dict[str, list[float]] = {name: [] for name in times}
        tasks: list[str] = []
        bare = engine.connect()
        found = coordinator.claim(worker)
        while found:
            tasks.append(found[0].task_id)
            start = time.perf_counter()
            found = coordinator.complete_and_claim(found[0])
            own[CLAIM].append(time.perf_counter() - start)
            if len(tasks) % 10 == 0:
                for name, statement in ((BARE, "SELECT 1"), (BARE_COMMIT, COMMIT)):
                    start = time.perf_counter()
                    bare.exec_driver_sql(statement)
                    own[name].append(time.perf_counter() - start)
        bare.close()
        with lock:
            done.extend(tasks)
            for name, values in own.items():
                times[name] += values

    sys.stdin.readline()
    threads = [
        threading.Thread(target=work, args=(f"{process}-{number}",))
        for number in range(CLAIMANTS // PROCESSES)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    coordinator.close()
    engine.dispose()
    sys.stdout.write(json.dumps({"times": times, "done": done}))


def race(url: str, count: int) -> tuple[dict[str, list[float]], list[str], float]:
    """All claimants at once on so many tasks; what they measured, what they did, and how long it took."""
    coordinator = Coordinator.from_url(url)
    coordinator.add(NewTask(f"t{number}", {"number": number}) for number in range(count))
    command = [sys.executable, str(Path(__file__)), "--claimants", url]
    children = [
        subprocess.Popen([*command, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for number in range(PROCESSES)
    ]
    time.sleep(3.0)  # until all have loaded their libraries
    start = time.perf_counter()
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    told = [json.loads(child.communicate()[0]) for child in children]
    wall = time.perf_counter() - start
    times = {name: [value for one in told for value in one["times"][name]] for name in told[0]["times"]}
    done = [task for one in told for task in one["done"]]
    counts = coordinator.counts()
    if counts[TaskState.DONE] != count:
        raise SystemExit(f"{counts} after the race")
    coordinator.close()
    return times, done, wall


def coordinator_lines(count: int) -> list[str]:
    """What is measured of the coordinator, as lines of Markdown."""
    with postgres.server() as url:
        times, done, wall = race(url, count)
    twice = len(done) - len(set(done))
    p95, bare, commit = (at(times[name], 0.95) * 1e3 for name in (CLAIM, BARE, BARE_COMMIT))
    lines = [
        f"{count:,} tasks, {CLAIMANTS} claimants in {PROCESSES} processes, PostgreSQL on the same machine:"
        f" {count / wall:,.0f} tasks per second, claimed twice: {twice}.",
        "",
        "| | p50 | p95 | p99 |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, values in times.items():
        cells = " | ".join(f"{at(values, share) * 1e3:.1f} ms" for share in (0.5, 0.95, 0.99))
        lines.append(f"| {name} | {cells} |")
    lines += [
        "",
        f"p95 of a claim {p95:.1f} ms (must: ≤ {MUST_MS:g} ms, {verdict(p95, MUST_MS, AIM_MS)}),"
        f" {p95 / bare:.1f} × that of a `SELECT 1` and {p95 / commit:.1f} × that of a commit of nothing"
        " at the same time.",
    ]
    return lines


def wasm_lines(calls: int) -> list[str]:
    """What a row through a module costs that hands it back as it is: the transform, and the chassis alone."""
    row = {"id": 7, "name": "Ada Lovelace", "amount": 12.5, "country": "GB", "checked": True}
    with tempfile.TemporaryDirectory() as folder:
        module = Path(folder) / "echo.wat"
        module.write_text(ECHO, encoding="utf-8")
        transform = Wasm({"module": str(module)})
        chassis = Chassis(ECHO.encode())
        data = dump(row)
        ctx: Any = None
        found = {
            "transform `wasm`": _each(lambda: transform.process(row, ctx), calls),
            "`Chassis.call`": _each(lambda: chassis.call(data), calls),
            "JSON there and back": _each(lambda: load(dump(row)), calls),
        }
        transform.close()
        chassis.close()
    lines = ["| a small row through WebAssembly | p50 | p95 |", "| --- | ---: | ---: |"]
    for name, times in found.items():
        lines.append(f"| {name} | {at(times, 0.5) * 1e6:.1f} µs | {at(times, 0.95) * 1e6:.1f} µs |")
    middle = at(found["transform `wasm`"], 0.5) * 1e6
    return [*lines, "", f"Per row {middle:.1f} µs (must: ≤ 50 µs, {verdict(middle, 50.0, 30.0)})."]


def _each(do: Callable[[], object], calls: int) -> list[float]:
    for _ in range(calls // 10):
        do()
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        do()
        times.append(time.perf_counter() - start)
    return times


def at(values: Sequence[float], share: float) -> float:
    """A quantile, by nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def publish(lines: Sequence[str]) -> None:
    """Put the tables between their marks."""
    page = PAGE.read_text(encoding="utf-8")
    head, _, rest = page.partition(BEGIN)
    tail = rest.partition(END)[2]
    PAGE.write_text(head + BEGIN + "\n".join(lines) + "\n" + END + tail, encoding="utf-8")


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer tasks, and nothing is written")
    parser.add_argument("--claimants", nargs=2, metavar=("URL", "N"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.claimants:
        claimants(chosen.claimants[0], int(chosen.claimants[1]))
        return
    lines = [machine(), "", *coordinator_lines(1_000 if chosen.quick else 10_000), ""]
    lines += wasm_lines(2_000 if chosen.quick else 50_000)
    sys.stdout.write("\n".join(lines) + "\n")
    if not chosen.quick:
        publish(lines)


if __name__ == "__main__":
    main()
