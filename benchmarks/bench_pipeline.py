"""What the audit trail costs: `elspeth run` against a plain loop that does the same work.

    python benchmarks/bench_pipeline.py [--quick] [--rows N ...] [--no-postgres] [--work DIR]

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
MAIN_SIZE = 100_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured: sizes, and how often each run is repeated (the best counts)."""

    work: Path
    sizes: tuple[int, ...]
    runs: int
    with_postgres: bool
    publish: bool

    @property
    def main_size(self) -> int:
        return MAIN_SIZE if MAIN_SIZE in self.sizes else max(self.sizes)

    @property
    def plain(self) -> Path:
        return self.work / "plain"

    @property
    def audited(self) -> Path:
        return self.work / "audited"

    @property
    def sqlite(self) -> "Target":
        files = self.audited
        return Target(
            f"sqlite:///{files / 'landscape.db'}",
            lambda: sum(path.stat().st_size for path in files.glob("landscape.db*")),
        )

    def input_of(self, rows: int) -> Path:
        path = self.work / f"rows-{rows}.csv"
        if not path.exists():
            write_rows(path, rows)
        return path

    def runs_of(self, rows: int) -> int:
        return 1 if rows > MAIN_SIZE else self.runs


@dataclass(frozen=True, slots=True)
class Target:
    """A database for the audit trail. ``size`` gives its bytes."""

    url: str
    size: Callable[[], int]


def say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def plain_loop(plan: Plan, rows: int) -> Usage:
    program = str(Path(__file__).with_name("plain_loop.py"))
    plan.plain.mkdir(exist_ok=True)
    command = [sys.executable, program, str(plan.input_of(rows)), "large.csv", "small.csv"]
    return best(plan.runs_of(rows), lambda: measure(command, cwd=plan.plain))


def audited(plan: Plan, rows: int, gate: str, target: Target) -> tuple[Usage, int]:
    """The best usage, and the bytes that the database grew by per run."""
    sizes: list[int] = []
    home = plan.audited

    def once() -> Usage:
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        write_pipeline(home / "pipeline.yaml", plan.input_of(rows), gate, target.url)
        before = target.size()
        usage = measure([*elspeth(), "run", "pipeline.yaml"], cwd=home)
        sizes.append(target.size() - before)
        return usage

    usage = best(plan.runs_of(rows), once)
    return usage, min(sizes)


def check_same_rows(plan: Plan) -> None:
    """A fast run that loses rows is no result: both programs must have written the same number of lines."""
    for name in ("large", "small"):
        expected = count_lines(plan.plain / f"{name}.csv")
        found = count_lines(plan.audited / f"{name}.csv")
        if expected != found:
            raise SystemExit(f"{name}.csv has {found} lines, the plain loop wrote {expected}")


def count_lines(path: Path) -> int:
    with path.open("rb") as lines:
        return sum(1 for _ in lines)


def measure_sizes(plan: Plan) -> list[Case]:
    cases = []
    for rows in plan.sizes:
        say(f"{rows:,} rows: plain loop")
        floor = plain_loop(plan, rows)
        cases.append(Case("plain loop", rows, floor))
        say(f"{rows:,} rows: elspeth run, SQLite")
        usage, stored = audited(plan, rows, GATE, plan.sqlite)
        check_same_rows(plan)
        cases.append(Case("elspeth, SQLite", rows, usage, stored, floor))
    return cases


def measure_variants(plan: Plan) -> list[Case]:
    rows = plan.main_size
    say(f"{rows:,} rows: fork to two paths")
    usage, stored = audited(plan, rows, FORK, plan.sqlite)
    cases = [Case("elspeth, fork to two paths", rows, usage, stored)]
    return [*cases, measure_postgres(plan)] if plan.with_postgres else cases


def measure_postgres(plan: Plan) -> Case:
    # Imported late: a child's peak memory counts from that of the process that started it.
    import postgres  # noqa: PLC0415

    rows = plan.main_size
    say(f"{rows:,} rows: PostgreSQL")
    floor = plain_loop(plan, rows)
    with postgres.server() as url:
        target = Target(url, lambda: postgres.size_of(url))
        audited(plan, 1_000, GATE, target)  # makes the schema, so that only rows count below
        usage, stored = audited(plan, rows, GATE, target)
    return Case("elspeth, PostgreSQL", rows, usage, stored, floor)


def measure_start(plan: Plan) -> tuple[Usage, Usage]:
    say("start-up")
    home = plan.work / "start"
    home.mkdir(parents=True, exist_ok=True)
    write_pipeline(
        home / "pipeline.yaml", plan.input_of(min(plan.sizes)), GATE, f"sqlite:///{home / 'landscape.db'}"
    )
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
    parser.add_argument(
        "--work",
        type=Path,
        default=ROOT / "benchmarks" / ".work",
        help="where to make the directory to work in",
    )
    given = parser.parse_args(arguments)
    sizes = given.rows or ([10_000, MAIN_SIZE] if given.quick else [10_000, MAIN_SIZE, 1_000_000])
    return Plan(
        work=given.work.resolve() / "elspeth-bench",
        sizes=tuple(sorted(sizes)),
        runs=1 if given.quick else 3,
        with_postgres=not given.no_postgres,
        publish=not given.quick and not given.rows,
    )


def main(arguments: list[str]) -> None:
    plan = parse(arguments)
    shutil.rmtree(plan.work, ignore_errors=True)
    plan.work.mkdir(parents=True)
    say("warming up")
    plain_loop(plan, 1_000)
    audited(plan, 1_000, GATE, plan.sqlite)
    cases = measure_sizes(plan) + measure_variants(plan)
    help_usage, validate_usage = measure_start(plan)
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
    shutil.rmtree(plan.work, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
