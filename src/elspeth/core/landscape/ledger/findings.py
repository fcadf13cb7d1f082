"""What a verification found, as values."""

from collections.abc import Sequence
from dataclasses import dataclass, field

MOST = 1000
"""So many findings are kept of one run; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was written.

    ``what`` is changed, added, removed, reordered, unsigned or damaged.
    ``key`` names the record within its table, e.g. ``row_no=5 token_no=0``; ``why`` says how it shows.
    """

    table: str
    key: str
    what: str
    why: str
    run_id: str = ""


@dataclass(slots=True)
class RunReport:
    """One run's verification. ``notes`` say what is no finding, but was not proved either."""

    run_id: str
    status: str = ""
    heads: int = 0
    leaves: int = 0
    tokens: int = 0
    signed: int = 0
    root: str = ""
    findings: list[Finding] = field(default_factory=list)
    more: int = 0
    notes: list[str] = field(default_factory=list)

    def found(self, table: str, key: str, what: str, why: str) -> None:
        if len(self.findings) < MOST:
            self.findings.append(Finding(table, key, what, why, self.run_id))
        else:
            self.more += 1

    @property
    def ok(self) -> bool:
        return not self.findings


@dataclass(frozen=True, slots=True)
class Report:
    """A verification. ``findings`` are those that belong to no run."""

    runs: Sequence[RunReport]
    findings: Sequence[Finding]
    notes: Sequence[str] = ()

    @property
    def ok(self) -> bool:
        return not self.findings and all(run.ok for run in self.runs)

    def all_findings(self) -> list[Finding]:
        """Those of the database, then those of each run."""
        return [*self.findings, *(finding for run in self.runs for finding in run.findings)]


def key_text(names: Sequence[str], key: Sequence[object]) -> str:
    """A record's key for people: ``row_no=5 token_no=0``."""
    return " ".join(f"{name}={value}" for name, value in zip(names, key, strict=False))
