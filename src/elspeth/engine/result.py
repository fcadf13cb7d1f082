"""How a run ended, counted."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from html import escape
from typing import Any

from elspeth.contracts.enums import RunStatus, TerminalState
from elspeth.core.html import html_table


class _ByName:
    """Fields are also found under the names that they have in JSON: ``result["rows"]["read"]``."""

    __slots__ = ()

    def __getitem__(self, name: str) -> Any:
        if name not in self.__match_args__:  # type: ignore[attr-defined]
            raise KeyError(name)
        return getattr(self, name)


@dataclass(frozen=True, slots=True)
class SinkResult(_ByName):
    """What one sink holds at the end of a run: SHA-256 in hex and size of the whole output.

    ``path``, ``sha256`` and ``bytes`` are None where there is no such thing: for a run that did not
    publish, and for the automatic quarantine if nothing came to it.
    """

    rows: int
    path: str | None = None
    sha256: str | None = None
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class RowCounts(_ByName):
    """Source rows read, and tokens that ended quarantined or failed."""

    read: int
    quarantined: int
    failed: int


@dataclass(frozen=True, slots=True)
class RunResult(_ByName):
    """How a run ended. ``outcomes`` counts tokens by terminal state: all of them, each once.

    ``calls`` maps each node that called out to its ``get_batch_metrics()``, ``depends_on`` each pipeline
    that ran before to its run.
    """

    run_id: str
    status: RunStatus
    rows: RowCounts
    outcomes: Mapping[TerminalState, int]
    sinks: Mapping[str, SinkResult]
    started_at: datetime
    duration_s: float
    calls: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    depends_on: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """What ``elspeth run --json`` prints."""
        return {
            "run_id": self.run_id,
            "status": str(self.status),
            "rows": asdict(self.rows),
            "outcomes": {str(state): count for state, count in self.outcomes.items()},
            "sinks": {name: asdict(sink) for name, sink in self.sinks.items()},
            "started_at": self.started_at.isoformat(),
            "duration_s": round(self.duration_s, 6),
            **({"depends_on": dict(self.depends_on)} if self.depends_on else {}),
            **(
                {"calls": {name: dict(metrics) for name, metrics in self.calls.items()}} if self.calls else {}
            ),
        }

    def _repr_html_(self) -> str:
        """How the run ended, for notebooks."""
        rows = f"{self.rows.read:,} {'row' if self.rows.read == 1 else 'rows'} in {self.duration_s:.3g} s"
        if bad := self.rows.quarantined + self.rows.failed:
            rows += f", {bad:,} quarantined or failed"
        sinks = [(name, sink.rows, sink.bytes, sink.sha256, sink.path) for name, sink in self.sinks.items()]
        return (
            f"<div><p>Run <code>{escape(self.run_id)}</code>: <b>{self.status}</b>, {rows}</p>"
            f"{html_table(('sink', 'rows', 'bytes', 'sha256', 'path'), sinks)}"
            f"{html_table(('tokens', 'number'), self.outcomes.items())}</div>"
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come at one commit; ``expected`` is the source's own estimate of its rows.

    ``calls`` maps each node that calls out to its ``get_batch_metrics()``.
    """

    run_id: str
    rows_read: int
    expected: int | None
    elapsed_s: float
    sinks: Mapping[str, int]
    calls: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
