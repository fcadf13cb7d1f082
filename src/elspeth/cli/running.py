"""What `run` and `resume` do around the engine: signals, progress, the summary."""

from collections.abc import Callable
from shlex import quote
from typing import TYPE_CHECKING

from elspeth.cli.errors import report
from elspeth.cli.output import emit_json, note
from elspeth.contracts.errors import RunInterruptedError

if TYPE_CHECKING:
    from elspeth.engine.result import RunResult

WITH_FAILURES = 1
IN_MEMORY = "sqlite://"


def carry_out(work: Callable[..., "RunResult"], url: str, *, as_json: bool) -> int:
    """Call ``work(watch=, stop=)`` with progress on stderr, tell how it went, and return the exit code."""
    from elspeth.cli.progress import ProgressLine  # noqa: PLC0415
    from elspeth.cli.stopping import stop_on_signals  # noqa: PLC0415

    where = _where(url)
    try:
        with stop_on_signals() as stop, ProgressLine(stopping=stop) as line:
            result = work(watch=line.show, stop=stop)
    except RunInterruptedError as error:
        code = report(error, as_json=as_json)
        if where is not None:
            note(f"  go on with: elspeth resume {error.run_id}{where}")
        return code
    if as_json:
        emit_json(result.to_dict())
    else:
        _summarise(result, where)
    return WITH_FAILURES if result.status == "completed_with_failures" else 0


def _where(url: str) -> str | None:
    """The option by which other commands find this run's landscape, if they need one; None: none is kept."""
    from elspeth.api.database import default_database_url  # noqa: PLC0415
    from elspeth.core.secrets import Redactor  # noqa: PLC0415

    if url == IN_MEMORY:
        return None
    return "" if url == default_database_url() else f" --database {quote(Redactor(None).text(url))}"


def _summarise(result: "RunResult", where: str | None) -> None:
    from elspeth.cli.consoles import show  # noqa: PLC0415
    from elspeth.cli.run_tables import run_summary  # noqa: PLC0415

    show(run_summary(result))
    if where is None:
        note("\nnothing was kept on record: the pipeline file says landscape.enabled: false")
    elif result.rows.quarantined or result.rows.failed:
        kept = result.sinks.get("quarantine")
        one = f", elspeth explain latest --sink quarantine --limit 1{where}" if kept and kept.rows else ""
        note(f"\nwhy: elspeth runs show latest{where}{one}")
    elif result.rows.read:
        note(f"\nnext: elspeth explain latest --row 0{where}")
    else:
        note(f"\nno rows were read; see: elspeth runs show latest{where}")
