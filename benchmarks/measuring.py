"""Run a program as a child of its own, and see what it took."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Usage:
    """What one child process took: seconds of CPU (user and system), seconds by the clock, peak bytes."""

    cpu: float
    wall: float
    peak: int


def measure(command: Sequence[str], *, cwd: Path) -> Usage:
    """Run to the end. Raises SystemExit with the program's own words if it fails.

    `os.wait4` gives the usage of this one child, and of what that has itself waited for.
    """
    log = cwd / "last-output.txt"
    with log.open("wb") as output:
        start = time.perf_counter()
        child = subprocess.Popen(
            command, cwd=cwd, stdout=output, stderr=subprocess.STDOUT, env=environment(cwd)
        )
        _, status, used = os.wait4(child.pid, 0)
        wall = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        words = log.read_text(encoding="utf-8", errors="replace")[-3000:]
        raise SystemExit(f"{' '.join(command)} ended with {child.returncode}:\n{words}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Usage(cpu=used.ru_utime + used.ru_stime, wall=wall, peak=used.ru_maxrss * unit)


def environment(cwd: Path) -> dict[str, str]:
    """As where the package is installed: modules are compiled once, and no setting is overridden.

    The compiled modules are kept beside ``cwd``.
    """
    settings = {name: value for name, value in os.environ.items() if not name.startswith("ELSPETH_")}
    settings.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**settings, "PYTHONPYCACHEPREFIX": str(cwd.parent / "bytecode")}


def best(runs: int, once: Callable[[], Usage]) -> Usage:
    """The least of several runs in each respect: the machine only ever adds to the truth."""
    return least([once() for _ in range(runs)])


def least(usages: Sequence[Usage]) -> Usage:
    """The least of each respect."""
    return Usage(
        cpu=min(usage.cpu for usage in usages),
        wall=min(usage.wall for usage in usages),
        peak=min(usage.peak for usage in usages),
    )


def elspeth() -> list[str]:
    """The command of the environment that runs the benchmark."""
    script = Path(sys.executable).parent / "elspeth"
    return [str(script)] if script.exists() else [sys.executable, "-m", "elspeth"]
