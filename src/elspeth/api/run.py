"""``run``: take real rows through a pipeline."""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from random import SystemRandom
from typing import Any

from elspeth.api.around_run import configure
from elspeth.api.assemble import Assembled
from elspeth.api.before import Prepared, in_order, prepare
from elspeth.api.calls import prepare_calls
from elspeth.api.exporting import exported
from elspeth.api.sealing import sealing
from elspeth.api.telemetry import telemetry
from elspeth.contracts.errors import ElspethError
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

    Pipelines that the file ``depends_on`` run first, each once, each as a run of its own.

    Raises ConfigurationError if the pipeline is refused (then nothing was written),
    RunInterruptedError if ``stop`` ended it, and other ElspethErrors for what broke it.
    """
    prepared = prepare(path, environ=environ, database=database, overrides=overrides)
    return run_prepared(prepared, watch=watch, stop=stop)


def run_prepared(
    prepared: Prepared, *, watch: Watcher | None = None, stop: Callable[[], bool] = never
) -> RunResult:
    """Run what `prepare` made, once: first what it depends on."""
    done: dict[str, RunResult] = {}
    for one in in_order(prepared):
        before = {name: done[key].run_id for name, key in one.names.items() if key in done}
        # What ran before has changed the inputs: they are looked at again.
        assembled = one.again() if before else one.assembled
        try:
            done[one.key] = run_assembled(assembled, watch=watch, stop=stop, before=before)
        except ElspethError as error:
            if one is not prepared:
                error.what = f"{assembled.assembly.pipeline}, which runs before: {error.what}"
            raise
    return done[prepared.key]


def run_assembled(
    assembled: Assembled,
    *,
    watch: Watcher | None = None,
    stop: Callable[[], bool] = never,
    before: Mapping[str, str] | None = None,
) -> RunResult:
    """Run what `assemble` made, once. ``before`` are the runs of what it depends on, by pipeline."""
    sealed = sealing(assembled.loaded.settings.landscape)
    db = LandscapeDB.from_url(assembled.landscape_url)
    sealed.of(db)
    try:
        configure(db, assembled)
        prepare_calls(db, assembled)
        with exported(db, assembled) as export, telemetry(assembled) as spans:
            around = Surroundings(
                db, Clock(), SystemRandom(), stop, watch,
                begun=export.begun, before=before or {}, spans=spans,
            )  # fmt: skip
            return replace(execute(assembled.assembly, around), depends_on=before or {})
    finally:
        db.close()
