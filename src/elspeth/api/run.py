"""``run``: take real rows through a pipeline."""

import os
from collections.abc import Callable, Mapping
from random import SystemRandom
from typing import Any

from elspeth.api.around_run import configure
from elspeth.api.assemble import Assembled, assemble
from elspeth.api.calls import prepare_calls
from elspeth.api.exporting import exported
from elspeth.api.sealing import sealing
from elspeth.core.clock import Clock
from elspeth.core.landscape.database import LandscapeDB
from elspeth.engine.orchestrator import Surroundings, Watcher, execute, never
from elspeth.engine.result import RunResult


def run(
    path: str | os.PathLike[str],
    *,
    database: str | None = None,
    environ: Mapping[str, str] | None = None,
    watch: Watcher | None = None,
    stop: Callable[[], bool] = never,
    overrides: Mapping[str, Any] | None = None,
) -> RunResult:
    """Run the pipeline in a file from its first row to its last, with everything on record.

    ``database`` replaces the file's ``landscape.url``, ``overrides`` (dotted key → value) others:
    ``{"run_mode": "replay", "replay_from": run_id}`` answers external calls from an earlier run's
    record. ``watch`` is called after every commit (at least 8,192 tokens or 250 ms apart), ``stop`` is
    asked after every row.

    Raises ConfigurationError if the pipeline is refused (then nothing was written),
    RunInterruptedError if ``stop`` ended it, and other ElspethErrors for what broke it.
    """
    assembled = assemble(path, environ=environ, database=database, overrides=overrides)
    return run_assembled(assembled, watch=watch, stop=stop)


def run_assembled(
    assembled: Assembled, *, watch: Watcher | None = None, stop: Callable[[], bool] = never
) -> RunResult:
    """Run what `assemble` made, once."""
    sealed = sealing(assembled.loaded.settings.landscape)
    db = LandscapeDB.from_url(assembled.landscape_url)
    sealed.of(db)
    try:
        configure(db, assembled)
        prepare_calls(db, assembled)
        with exported(db, assembled) as export:
            around = Surroundings(db, Clock(), SystemRandom(), stop, watch, begun=export.begun)
            return execute(assembled.assembly, around)
    finally:
        db.close()
