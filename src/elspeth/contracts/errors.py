"""Everything that ELSPETH raises on purpose.

ElspethError                        exit code
├── ConfigurationError              2   one or many Problems in a pipeline file
├── UsageError                      2   a request that cannot be carried out as asked
│   ├── NotFoundError               2   an unknown run, row, token or plugin
│   └── LandscapeVersionError       2   a database of another program or version
├── ExpressionError                 2   an expression that is not in the language (compile time)
├── CanonicalError                  3   a value that has no canonical form
├── SourceError                     3   the input cannot be read on
├── SinkError                       3   the output cannot be written
├── LandscapeError                  3   the audit trail cannot be written or is inconsistent
├── PluginError                     3   a plugin broke its contract
├── RetryableError                  3   something outside failed that may work the next time
└── RunInterruptedError             130 somebody stopped the run; it is consistent and resumable
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a text file. ``line`` and ``column`` count from 1; 0 means "the file as a whole"."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a configuration.

    ``what`` says what is wrong and why, ``fix`` what to do about it (may be empty), ``excerpt`` is
    the offending line of the file, ``key`` the dotted path of the setting (``gates.0.condition``).
    """

    what: str
    fix: str = ""
    location: Location | None = None
    excerpt: str = ""
    key: str = ""

    def __str__(self) -> str:
        lines = [f"{self.location}: {self.what}" if self.location else self.what]
        if self.excerpt and self.location:
            number = str(self.location.line)
            lines.append(f"  {number} | {self.excerpt}")
            if self.location.column:
                lines.append("  " + " " * len(number) + " | " + " " * (self.location.column - 1) + "^")
        if self.fix:
            lines.append(f"  fix: {self.fix}")
        return "\n".join(lines)


class ElspethError(Exception):
    """The base of all of ELSPETH's own errors.

    ``what`` is the message without the remedy, ``fix`` the remedy (may be empty).
    """

    exit_code: ClassVar[int] = 3

    def __init__(self, what: str, *, fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.what}\n  fix: {self.fix}" if self.fix else self.what


class ConfigurationError(ElspethError):
    """A pipeline was refused. ``problems`` holds everything that is wrong with it, in file order."""

    exit_code = 2
    subject: ClassVar[str] = "pipeline"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        head = "1 problem" if count == 1 else f"{count} problems"
        super().__init__(f"{head} in the {self.subject}\n" + "\n".join(map(str, self.problems)))


class UsageError(ElspethError):
    """A request cannot be carried out as asked."""

    exit_code = 2


class NotFoundError(UsageError):
    """There is no such run, row, token, node or plugin."""


class LandscapeVersionError(UsageError):
    """The database belongs to another program, or to another version of this one."""


class ExpressionError(ElspethError):
    """An expression is not in the language. ``offset`` is the 0-based column in its text."""

    exit_code = 2

    def __init__(self, what: str, *, fix: str = "", expression: str = "", offset: int = 0) -> None:
        super().__init__(what, fix=fix)
        self.expression = expression
        self.offset = offset


class CanonicalError(ElspethError):
    """A value has no canonical form (NaN, infinity, a lone surrogate, an unknown type).

    ``path`` names the value inside its row, e.g. ``amount`` or ``items[3].price``.
    """

    def __init__(self, what: str, *, path: str = "", fix: str = "") -> None:
        super().__init__(f"field {path!r}: {what}" if path else what, fix=fix)
        self.path = path


class SourceError(ElspethError):
    """The input cannot be read on; what was read before is on record."""


class SinkError(ElspethError):
    """The output cannot be written; what was committed before is safe."""


class LandscapeError(ElspethError):
    """The audit trail cannot be written, or contradicts itself."""


class PluginError(ElspethError):
    """A plugin broke its contract (raised, or returned something that it must not)."""


class RetryableError(ElspethError):
    """Something outside failed that may work the next time; raised by a transform, its row is tried again."""


class RunInterruptedError(ElspethError):
    """Somebody stopped the run. Everything that was committed is consistent."""

    exit_code = 130

    def __init__(self, run_id: str) -> None:
        super().__init__(f"run {run_id} was interrupted")
        self.run_id = run_id
