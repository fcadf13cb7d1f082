"""``resume``: go on with a run that stopped, from its last commit."""

from collections.abc import Callable, Mapping
from random import SystemRandom
from typing import Any

import orjson

from elspeth.api.around_run import configure
from elspeth.api.assemble import Assembled, assemble
from elspeth.api.calls import prepare_calls
from elspeth.api.database import default_database_url
from elspeth.api.exporting import exported
from elspeth.api.going_on import refuse_another_pipeline
from elspeth.api.sealing import sealing
from elspeth.api.telemetry import telemetry
from elspeth.contracts.enums import RunMode, RunStatus
from elspeth.contracts.errors import UsageError
from elspeth.contracts.version import __version__
from elspeth.core.clock import Clock
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.reader import LandscapeReader
from elspeth.core.landscape.records import NodeRecord, RunRecord
from elspeth.core.landscape.runs import OPERATION
from elspeth.engine.orchestrator import Surroundings, Watcher, go_on, never
from elspeth.engine.result import RunResult

_FINISHED = {RunStatus.COMPLETED, RunStatus.COMPLETED_WITH_FAILURES, RunStatus.EMPTY}


def resume(
    run: str = "latest",
    *,
    database: str | None = None,
    accept_changes: bool = False,
    environ: Mapping[str, str] | None = None,
    watch: Watcher | None = None,
    stop: Callable[[], bool] = never,
) -> RunResult:
    """Go on with an interrupted, failed or killed run; its outputs are as if it had never stopped.

    ``run`` is a run's id, or ``latest``. The pipeline file is the one the run was started with.
    What has changed since (settings, plugin versions, inputs) is refused with what differs, unless
    ``accept_changes``: then the decision goes on record. Another graph and another experiment are
    refused in any case.

    Raises NotFoundError for an unknown run, UsageError for one that is complete or has changed,
    RunHeldError if another process is at work on it, and what `elspeth.run` raises.
    """
    url = database or default_database_url(environ)
    db = LandscapeDB.from_url(url, create=False)
    try:
        reader = LandscapeReader(db)
        record = reader.run(run)
        _refuse_finished(record)
        assembled = assemble(
            record.pipeline, environ=environ, database=url, resuming=True, overrides=_mode(record)
        )
        differences = _differences(record, reader.nodes(record.run_id), assembled)
        if differences and not accept_changes:
            listed = "\n".join(f"  - {difference}" for difference in differences)
            raise UsageError(
                f"run {record.run_id} can't go on as it began, because something has changed:\n{listed}",
                fix="undo the change, start a new run, or say --accept-changes: that goes on record",
            )
        nodes, edges = reader.nodes(record.run_id), reader.edges(record.run_id)
        refuse_another_pipeline(record, nodes, edges, assembled.assembly)
        sealing(assembled.loaded.settings.landscape, environ).of(db)
        decision = {"elspeth_version": __version__, "accepted_changes": differences}
        configure(db, assembled)
        prepare_calls(db, assembled, record.run_id)
        with exported(db, assembled, resumed=True) as export, telemetry(assembled) as spans:
            around = Surroundings(db, Clock(), SystemRandom(), stop, watch, begun=export.begun, spans=spans)
            return go_on(assembled.assembly, around, record, decision)
    finally:
        db.close()


def _mode(run: RunRecord) -> dict[str, Any]:
    """A replay goes on as a replay, also if the command line had asked for it."""
    settings = orjson.loads(run.settings_json)
    if run.run_mode == RunMode.LIVE:
        return {}
    return {"run_mode": run.run_mode, "replay_from": settings.get("replay_from")}


def _refuse_finished(run: RunRecord) -> None:
    if run.run_mode == OPERATION:
        raise UsageError(
            f"run {run.run_id} is not of a pipeline: it is `elspeth {run.pipeline}`",
            fix="plan again, and apply that: what was done already is left alone",
        )
    if run.status in _FINISHED:
        raise UsageError(
            f"run {run.run_id} is complete ({run.status}): there is nothing to go on with",
            fix="start a new run with `elspeth run`",
        )
    if not (orjson.loads(run.settings_json).get("checkpoint") or {}).get("enabled", True):
        raise UsageError(
            f"run {run.run_id} was started with `checkpoint: {{enabled: false}}`, so it can't go on",
            fix="start a new run with `elspeth run`; take the setting out if runs shall be resumable",
        )
    if not run.pipeline:
        raise UsageError(f"run {run.run_id} did not come from a pipeline file, so it can't go on")


def _differences(run: RunRecord, nodes: list[NodeRecord], assembled: Assembled) -> list[str]:
    """What is not as it was when the run began, in the reader's words."""
    assembly = assembled.assembly
    found = []
    before = {node.node_id: node for node in nodes}
    now = {**assembly.sources, **assembly.transforms, **assembly.aggregations, **assembly.sinks}
    if run.config_hash != assembly.config_hash:
        found += _changed_settings(orjson.loads(run.settings_json), assembly.settings)
    for node_id, plugin in now.items():
        node = before.get(node_id)
        if node is not None and node.plugin_version != plugin.plugin_version:
            found.append(
                f"plugin {node.plugin_name!r} of {node_id!r} was version {node.plugin_version},"
                f" and is {plugin.plugin_version}"
            )
    for node_id, source in assembly.sources.items():
        node = before.get(node_id)
        if node is not None and node.input_json is not None:
            found += _changed_input(node_id, orjson.loads(node.input_json), source.identity())
    return found


def _changed_settings(before: Any, now: Any, at: str = "") -> list[str]:
    if isinstance(before, dict) and isinstance(now, Mapping):
        found = []
        for key in dict.fromkeys([*before, *now]):
            where = f"{at}.{key}" if at else str(key)
            if key not in now:
                found.append(f"setting {where} is gone")
            elif key not in before:
                found.append(f"setting {where} is new")
            else:
                found += _changed_settings(before[key], now[key], where)
        return found
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        pairs = enumerate(zip(before, now, strict=True))
        return [line for index, (b, n) in pairs for line in _changed_settings(b, n, f"{at}[{index}]")]
    return [] if before == now else [f"setting {at} was {before!r}, and is {now!r}"]


def _changed_input(node_id: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    words = {"path": "is another file", "bytes": "has another size", "modified_ns": "was written to since",
             "head": "begins with other data"}  # fmt: skip
    changed = [words.get(key, f"has another {key}") for key in before if before[key] != now.get(key)]
    return [f"the input of source {node_id!r} {' and '.join(changed)}"] if changed else []
