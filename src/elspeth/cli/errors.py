"""What went wrong, for readers: place, excerpt, cause, remedy; and as JSON for programs."""

import os
import sys
import traceback
from typing import Any

from elspeth.cli.output import emit_json, note
from elspeth.cli.text import printable
from elspeth.contracts.errors import ConfigurationError, ElspethError, Problem, RunInterruptedError

USAGE = 2
INTERNAL = 3
INTERRUPTED = 130

DEBUG_VARIABLE = "ELSPETH_DEBUG"
_BUG = f"this is a bug in ELSPETH: please report it, with the traceback ({DEBUG_VARIABLE}=1 shows it)"


def report(error: BaseException, *, as_json: bool) -> int:
    """Tell of an error on stderr, and on stdout too where JSON was asked for; returns the exit code."""
    if isinstance(error, ElspethError):
        text, code = _told(error), error.exit_code
    else:
        text, code = f"error: {printable(_name(error))}\n  {_BUG}", INTERNAL
    note(text)
    if os.environ.get(DEBUG_VARIABLE, "") not in ("", "0"):
        note("".join(traceback.format_exception(error)), end="")
    if as_json:
        emit_json({"error": as_document(error, code)})
    return code


def report_usage(message: str, hint: str, *, as_json: bool) -> int:
    """Tell of a command line that can't be understood; returns the exit code."""
    note(f"error: {printable(message)}\n  fix: {hint}")
    if as_json:
        emit_json({"error": {"type": "UsageError", "message": message, "fix": hint, "exit_code": USAGE}})
    return USAGE


def as_document(error: BaseException, code: int) -> dict[str, Any]:
    """An error as JSON-able data: at least ``type``, ``message``, ``fix`` and ``exit_code``."""
    if not isinstance(error, ElspethError):
        return {"type": "InternalError", "message": _name(error), "fix": _BUG, "exit_code": code}
    found: dict[str, Any] = {
        "type": type(error).__name__,
        "message": error.what.partition("\n")[0] if isinstance(error, ConfigurationError) else error.what,
        "fix": error.fix,
        "exit_code": code,
    }
    if isinstance(error, ConfigurationError):
        found["problems"] = [_problem(problem) for problem in error.problems]
    if isinstance(error, RunInterruptedError):
        found["run_id"] = error.run_id
    return found


def _problem(problem: Problem) -> dict[str, Any]:
    location = problem.location
    return {
        "what": problem.what,
        "fix": problem.fix,
        "key": problem.key,
        "file": location.file if location else None,
        "line": location.line or None if location else None,
        "column": location.column or None if location else None,
        "excerpt": problem.excerpt,
    }


def _told(error: ElspethError) -> str:
    if isinstance(error, RunInterruptedError):
        return (
            f"interrupted: run {error.run_id} was stopped; what it committed is consistent and on record\n"
            "  No output file was published; those of earlier runs are as they were."
        )
    if isinstance(error, ConfigurationError):
        return _coloured_problems(error) if _colour() else _lines(str(error))
    return _lines(f"error: {error}")


def _lines(text: str) -> str:
    return "\n".join(printable(line) for line in text.split("\n"))


def _colour() -> bool:
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _coloured_problems(error: ConfigurationError) -> str:
    shown = [f"\x1b[1;31m{error.what.partition(chr(10))[0]}\x1b[0m"]
    for problem in error.problems:
        for index, line in enumerate(_lines(str(problem)).split("\n")):
            if index == 0:
                line = f"\x1b[1m{line}\x1b[0m"
            elif line.startswith("  fix: "):
                line = f"  \x1b[32m{line[2:]}\x1b[0m"
            elif line.rstrip().endswith("^"):
                line = f"{line.rstrip()[:-1]}\x1b[1;31m^\x1b[0m"
            shown.append(line)
    return "\n".join(shown)


def _name(error: BaseException) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
