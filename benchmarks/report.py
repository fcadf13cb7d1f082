"""What was measured, as tables for people."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from measuring import Usage


@dataclass(frozen=True, slots=True)
class Case:
    """One run that was measured. ``stored`` are bytes in the database, None where there is none."""

    name: str
    rows: int
    usage: Usage
    stored: int | None = None
    floor: Usage | None = None


def table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    out = [header, ["---" if index == 0 else "---:" for index in range(len(header))], *lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in out)


def case_table(cases: Sequence[Case]) -> str:
    header = [
        "run",
        "rows",
        "CPU s",
        "wall s",
        "µs CPU per row",
        "rows per CPU-s",
        "÷ plain loop",
        "DB bytes per row",
    ]
    return table([*header, "peak MB"], [case_line(case) for case in cases])


def case_line(case: Case) -> list[str]:
    ratio = f"{case.usage.cpu / case.floor.cpu:.2f}" if case.floor else "–"
    return [
        case.name,
        f"{case.rows:,}",
        f"{case.usage.cpu:.2f}",
        f"{case.usage.wall:.2f}",
        f"{case.usage.cpu / case.rows * 1e6:.1f}",
        f"{case.rows / case.usage.cpu:,.0f}",
        ratio,
        f"{case.stored / case.rows:.0f}" if case.stored is not None else "–",
        f"{case.usage.peak / 1e6:.0f}",
    ]


def goal_table(goals: Sequence[tuple[str, float, float, float, str]]) -> str:
    """Lines of (what, measured, must, aim, unit)."""
    lines = [
        [what, f"{value:.2f} {unit}".strip(), f"≤ {must:g}", f"≤ {aim:g}", verdict(value, must, aim)]
        for what, value, must, aim, unit in goals
    ]
    return table(["", "measured", "must", "aim", ""], lines)


def verdict(value: float, must: float, aim: float) -> str:
    if value <= aim:
        return "aim met"
    return "must met" if value <= must else "**missed**"


def machine() -> str:
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line
        ]
        cpu = models[0] if models else cpu
    day = datetime.now(tz=UTC).date().isoformat()
    return (
        f"Measured {day} by `make bench` on {os.cpu_count()} × {cpu}, {platform.system()}, "
        f"Python {platform.python_version()}."
    )


def write_between_marks(path: Path, text: str, name: str = "bench") -> None:
    """Replace what is between the marks with this name in ``path``. Raises ValueError if it has none."""
    first, last = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    page = path.read_text(encoding="utf-8")
    head, begin, rest = page.partition(first)
    _, end, tail = rest.partition(last)
    if not begin or not end:
        raise ValueError(f"{path} has no {first} … {last}")
    path.write_text(f"{head}{first}\n{text}\n{last}{tail}", encoding="utf-8")
