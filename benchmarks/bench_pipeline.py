"""What the audit trail costs: `elspeth run` against a plain loop that does the same work.

    python benchmarks/bench_pipeline.py [--quick] [--rows N ...] [--no-postgres]

Writes docs/performance.md, unless --quick or --rows is given. Every run is a process of its own.
"""

import argparse
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from measuring import Usage, best, elspeth, measure
from report import Case, case_table, goal_table, machine, write_between_marks
from workload import FORK, GATE, write_pipeline, write_rows

ROOT = Path(__file__).resolve().parents[1]
WORK = Path(__file__).resolve().parent / ".work"
AUDITED = WORK / "audited"
MAIN_SIZE = 100_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured: sizes, and how often each run is repeated (the best counts)."""

    sizes: tuple[int, ...]
    runs: int
    with_postgres: bool
    publish: bool

    @property
    def main_size(self) -> int:
        return MAIN_SIZE if MAIN_SIZE in self.sizes else max(self.sizes)

    def runs_of(self, rows: int) -> int:
        return 1 if rows > MAIN_SIZE else self.runs


@dataclass(frozen=True, slots=True)
class Target:
    """A database for the audit trail. ``size`` gives its bytes."""

    url: str
    size: Callable[[], int]


SQLITE = Target(
    f"sqlite:///{AUDITED / 'landscape.db'}",
    lambda: sum(path.stat().st_size for path in AUDITED.glob("landscape.db*")),
)


def say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def input_of(rows: int) -> Path:
    path = WORK / f"rows-{rows}.csv"
    if not path.exists():
        write_rows(path, rows)
    return path


def plain_loop(rows: int, runs: int) -> Usage:
    program = str(Path(__file__).with_name("plain_loop.py"))
    outputs = [str(WORK / "plain-large.csv"), str(WORK / "plain-small.csv")]
    command = [sys.executable, program, str(input_of(rows)), *outputs]
    return best(runs, lambda: measure(command, cwd=WORK))


def audited(rows: int, runs: int, gate: str, target: Target = SQLITE) -> tuple[Usage, int]:
    """The best usage, and the bytes that the database grew by per run."""
    sizes: list[int] = []

    def once() -> Usage:
        shutil.rmtree(AUDITED, ignore_errors=True)
        AUDITED.mkdir(parents=True)
        write_pipeline(AUDITED / "pipeline.yaml", input_of(rows), gate, target.url)
        before = target.size()
        usage = measure([*elspeth(), "run", "pipeline.yaml"], cwd=AUDITED)
        sizes.append(target.size() - before)
        return usage

    usage = best(runs, once)
    return usage, min(sizes)


def check_same_rows() -> None:
    """A fast run that loses rows is no result: both programs must have written the same number of lines."""
    for name in ("large", "small"):
        expected = count_lines(WORK / f"plain-{name}.csv")
        found = count_lines(AUDITED / f"{name}.csv")
        if expected != found:
            raise SystemExit(f"{name}.csv has {found} lines, the plain loop wrote {expected}")


def count_lines(path: Path) -> int:
    with path.open("rb") as lines:
        return sum(1 for _ in lines)


def measure_sizes(plan: Plan) -> list[Case]:
    cases = []
    for rows in plan.sizes:
        say(f"{rows:,} rows: plain loop")
        floor = plain_loop(rows, plan.runs_of(rows))
        cases.append(Case("plain loop", rows, floor))
        say(f"{rows:,} rows: elspeth run, SQLite")
        usage, stored = audited(rows, plan.runs_of(rows), GATE)
        check_same_rows()
        cases.append(Case("elspeth, SQLite", rows, usage, stored, floor))
    return cases


def measure_variants(plan: Plan) -> list[Case]:
    rows = plan.main_size
    say(f"{rows:,} rows: fork to two paths")
    usage, stored = audited(rows, plan.runs, FORK)
    cases = [Case("elspeth, fork to two paths", rows, usage, stored)]
    return [*cases, measure_postgres(rows, plan.runs)] if plan.with_postgres else cases


def measure_postgres(rows: int, runs: int) -> Case:
    # Imported late: a child's peak memory counts from that of the process that started it.
    import postgres  # noqa: PLC0415

    say(f"{rows:,} rows: PostgreSQL")
    floor = plain_loop(rows, runs)
    with postgres.server() as url:
        target = Target(url, lambda: postgres.size_of(url))
        audited(1_000, 1, GATE, target)  # makes the schema, so that only rows count below
        usage, stored = audited(rows, runs, GATE, target)
    return Case("elspeth, PostgreSQL", rows, usage, stored, floor)


def measure_start() -> tuple[Usage, Usage]:
    say("start-up")
    home = WORK / "start"
    home.mkdir(parents=True, exist_ok=True)
    write_pipeline(home / "pipeline.yaml", input_of(10_000), GATE, f"sqlite:///{home / 'landscape.db'}")
    help_usage = best(5, lambda: measure([*elspeth(), "--help"], cwd=home))
    return help_usage, best(5, lambda: measure([*elspeth(), "validate", "pipeline.yaml"], cwd=home))


def goals(plan: Plan, cases: list[Case], start: Usage) -> list[tuple[str, float, float, float, str]]:
    runs = {case.rows: case for case in cases if case.name == "elspeth, SQLite"}
    main, largest = runs[plan.main_size], runs[max(plan.sizes)]
    ratio = main.usage.cpu / main.floor.cpu if main.floor else 0.0
    return [
        (f"CPU of the audited run ÷ plain loop, {main.rows:,} rows", ratio, 8, 4, ""),
        ("database bytes per row", (main.stored or 0) / main.rows, 450, 300, ""),
        (f"peak memory at {largest.rows:,} rows", largest.usage.peak / 1e6, 250, 150, "MB"),
        ("`elspeth --help`, wall", start.wall, 0.4, 0.25, "s"),
    ]


def parse(arguments: list[str]) -> Plan:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="10,000 and 100,000 rows, once each")
    parser.add_argument("--rows", type=int, nargs="+", help="other sizes")
    parser.add_argument("--no-postgres", action="store_true", help="leave PostgreSQL out")
    given = parser.parse_args(arguments)
    sizes = given.rows or ([10_000, MAIN_SIZE] if given.quick else [10_000, MAIN_SIZE, 1_000_000])
    return Plan(
        sizes=tuple(sorted(sizes)),
        runs=1 if given.quick else 3,
        with_postgres=not given.no_postgres,
        publish=not given.quick and not given.rows,
    )


def main(arguments: list[str]) -> None:
    plan = parse(arguments)
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    say("warming up")
    plain_loop(1_000, 1)
    audited(1_000, 1, GATE)
    cases = measure_sizes(plan) + measure_variants(plan)
    help_usage, validate_usage = measure_start()
    text = "\n\n".join(
        [
            machine(),
            goal_table(goals(plan, cases, help_usage)),
            case_table(cases),
            f"Start-up, best of 5 by the clock: `elspeth --help` {help_usage.wall:.2f} s, "
            f"`elspeth validate` {validate_usage.wall:.2f} s.",
        ]
    )
    sys.stdout.write(text + "\n")
    if plan.publish:
        write_between_marks(ROOT / "docs" / "performance.md", text)
        say("written to docs/performance.md")
    shutil.rmtree(WORK, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
