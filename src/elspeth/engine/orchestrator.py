"""One run from start to end: open, read, commit, publish, close."""

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

from elspeth.contracts.enums import RunStatus, TerminalState
from elspeth.contracts.errors import ElspethError, LandscapeError, RunInterruptedError
from elspeth.contracts.plugins import Artifact, Plugin, Source
from elspeth.contracts.version import __version__
from elspeth.core.canonical import digest
from elspeth.core.clock import Clock
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.ids import new_run_id
from elspeth.core.landscape.leases import FencedError, Lease
from elspeth.core.landscape.paths import PathBook
from elspeth.core.landscape.reader import LandscapeReader
from elspeth.core.landscape.recorder import EdgeStart, LandscapeRecorder, NodeStart, RunStart
from elspeth.core.landscape.records import RunCounts, RunRecord
from elspeth.core.landscape.resumption import Progressed, read_progress
from elspeth.core.landscape.runs import DEPENDS_ON
from elspeth.core.landscape.writer import GroupWriter
from elspeth.engine.assembly import Assembly, Machine, edge_ids, link
from elspeth.engine.processor import Processor, Standing
from elspeth.engine.restore import restore_waiting
from elspeth.engine.result import Progress, RowCounts, RunResult, SinkResult
from elspeth.engine.spans import SpanFactory
from elspeth.engine.steps import Workshop
from elspeth.engine.telling import Telling

Watcher = Callable[[Progress], None]


def never() -> bool:
    """Nobody wants to stop this run."""
    return False


def unannounced(_run_id: str) -> None:
    """Nobody wants to know that a run has begun."""


def unobserved(_point: str) -> None:
    """Nobody wants to know how far the run has come."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the engine takes from outside: database, time, chance, somebody's wish to stop or to watch.

    ``stop`` is asked every millisecond and must be cheap; ``watch`` is called after every commit;
    ``probe`` hears the names of the points at which a crash would be interesting; ``begun`` is told the
    run's id once it is on record, and must be quick and raise nothing. ``before`` are the runs that this
    one builds upon, by pipeline; they go on record.
    """

    db: LandscapeDB
    clock: Clock
    random: Random
    stop: Callable[[], bool] = never
    watch: Watcher | None = None
    probe: Callable[[str], None] = unobserved
    begun: Callable[[str], None] = unannounced
    before: Mapping[str, str] = field(default_factory=dict)
    spans: SpanFactory = field(default_factory=SpanFactory)


def execute(assembly: Assembly, around: Surroundings) -> RunResult:
    """Run a pipeline from its first row to its last and return how it went.

    Raises RunInterruptedError when ``stop`` ended it, else what broke it; in both cases all that
    was committed stands, and the run's record says ``interrupted`` or ``failed``.
    """
    run_id = new_run_id(around.clock.now, around.random)
    recorder = LandscapeRecorder(around.db, around.clock)
    run_no = recorder.begin_run(_start(assembly, run_id), _nodes(assembly), _edges(assembly, run_id))
    lease = recorder.hold_run(run_no)
    if around.before:
        recorder.note_run(run_no, DEPENDS_ON, around.before)
    return _carry_out(Occasion(assembly, around, recorder, run_id, lease), Progressed(None, {}, 0))


def go_on(assembly: Assembly, around: Surroundings, run: RunRecord, decision: Mapping[str, Any]) -> RunResult:
    """Run a pipeline on from the last commit of a run that stopped.

    ``decision`` goes on record as the reason why this may be done. Raises RunHeldError if another
    process is at work on the run, LandscapeError if what it would go on from was changed behind its back, and
    what `execute` raises.
    """
    recorder = LandscapeRecorder(around.db, around.clock)
    lease = recorder.hold_run(run.run_no)
    recorder.reopen_run(run.run_no, "resumed", decision)
    progress = read_progress(around.db, run.run_no)
    return _carry_out(Occasion(assembly, around, recorder, run.run_id, lease), progress)


@dataclass(frozen=True, slots=True)
class Occasion:
    """One process's work on one run."""

    assembly: Assembly
    around: Surroundings
    recorder: LandscapeRecorder
    run_id: str
    lease: Lease


def _carry_out(occasion: Occasion, progress: Progressed) -> RunResult:
    published: dict[str, Artifact] = {}
    around, assembly = occasion.around, occasion.assembly
    around.begun(occasion.run_id)
    telling = Telling(around.spans, around.clock, occasion.run_id, assembly.graph, assembly.pipeline)
    try:
        with _quiet_collector():
            result = _Run(occasion, progress, telling).execute(published)
    except FencedError:
        raise  # the run is another process's now, its record too
    except BaseException as error:
        _note_failure(occasion, published, error)
        telling.ended(None, error)
        raise
    telling.ended(result.status)
    return result


def _note_failure(occasion: Occasion, published: Mapping[str, Artifact], error: BaseException) -> None:
    """Put on record how a run ended that did not come to its end, and what had been published by then."""
    status, what = RunStatus.FAILED, f"{type(error).__name__}: {error}"
    if isinstance(error, RunInterruptedError | KeyboardInterrupt):
        status, what = RunStatus.INTERRUPTED, ""
    elif isinstance(error, ElspethError):
        what = error.what
    try:
        occasion.recorder.finish_run(
            occasion.run_id, status, list(published.items()), error=what or None, lease=occasion.lease
        )
    except Exception as second:  # noqa: BLE001  # the first error is the one to report
        error.add_note(f"the failure could not be put on record either: {second}")


class _Run:
    def __init__(self, occasion: Occasion, progress: Progressed, telling: Telling) -> None:
        self._occasion = occasion
        self._assembly = occasion.assembly
        self._around = around = occasion.around
        self._recorder = occasion.recorder
        self._run_id = occasion.run_id
        self._progress = progress
        book = PathBook(occasion.lease.run_no, progress.next_path)
        self._workshop = Workshop(self._run_id, book, around.clock)
        self._workshop.redactor = around.db.redactor
        self._machine: Machine = link(self._assembly, self._workshop, self._recorder)
        writer = GroupWriter(around.db, book, occasion.lease)
        self._processor = Processor(
            self._workshop, self._machine, writer, Standing(), self._report, around.probe
        )
        if around.spans.rows:
            self._processor.told = telling.tokens
        self._began = around.clock.ns()
        self._started_at = around.clock.now()
        self._expected: int | None = None
        self._inferred: set[str] = set()

    def execute(self, published: dict[str, Artifact]) -> RunResult:
        """``published`` is filled as the sinks publish, so that it is right also if one of them fails."""
        with ExitStack() as opened:
            self._around.probe("run.begun")
            self._open(opened)
            self._restore()
            self._around.probe("run.ready")
            self._read_all()
            self._around.probe("rows.read")
            if not self._processor.finish(self._around.stop):
                raise RunInterruptedError(self._run_id)
            counts = LandscapeReader(self._around.db).counts_of(self._run_id, self._tokens_by_path())
            self._prove_complete(counts)
            self._around.probe("publish.begin")
            for name, sink in self._machine.sinks.items():
                self._recorder.keep_run(self._occasion.lease)
                artifact = sink.plugin.publish()
                self._around.probe("sink.published")
                if artifact.rows or name not in self._assembly.envelopes:
                    published[name] = artifact  # the automatic sink leaves nothing behind if nothing failed
            self._around.probe("publish.end")
        status = _status(counts)
        self._recorder.finish_run(self._run_id, status, list(published.items()), lease=self._occasion.lease)
        self._around.probe("run.end")
        return self._result(status, counts, published)

    def _tokens_by_path(self) -> dict[int, int]:
        """Path number → tokens that ended on it, in this process and before."""
        found = dict(self._progress.ended)
        for path in self._workshop.book:
            number = self._workshop.book.number(path)
            found[number] = found.get(number, 0) + path.count
        return found

    def _open(self, opened: ExitStack) -> None:
        assembly = self._assembly
        plugins: Mapping[str, Plugin] = {
            **assembly.sinks, **assembly.transforms, **assembly.aggregations, **assembly.sources
        }  # fmt: skip
        for node_id, plugin in plugins.items():
            opened.callback(plugin.close)
            plugin.on_start(self._machine.contexts[node_id])

    def _restore(self) -> None:
        """Bring everything back to where the last commit left it, if there was one."""
        checkpoint = self._progress.checkpoint
        if checkpoint is None:
            return
        standing = self._processor.standing
        standing.commits = checkpoint.commit_no
        standing.rows_read = checkpoint.rows_read
        standing.phase = checkpoint.phase
        standing.tokens_ended = sum(self._progress.ended.values())
        self._processor.positions.update(checkpoint.source_positions)
        for name, position in checkpoint.sink_positions.items():
            self._machine.sinks[name].plugin.restore(position)
            self._machine.sinks[name].rows = int(position.get("rows") or 0)
        for name, position in checkpoint.source_positions.items():
            self._assembly.sources[name].seek(position)
        standing.held = restore_waiting(
            self._around.db, self._workshop, self._machine, checkpoint.node_states
        )
        for experiment in self._machine.experiments:
            experiment.restore()

    def _read_all(self) -> None:
        if self._processor.standing.phase == "publishing":
            return
        hints = [source.size_hint() for source in self._assembly.sources.values()]
        self._expected = sum(hint for hint in hints if hint is not None) if None not in hints else None
        for node_id, source in self._sources_left().items():
            step, ctx = self._machine.sources[node_id], self._machine.contexts[node_id]
            if not self._processor.read(step, source, ctx, self._around.stop):
                raise RunInterruptedError(self._run_id)

    def _sources_left(self) -> Mapping[str, Source]:
        """The sources that have rows left: they are read one after the other."""
        sources = self._assembly.sources
        begun = [name for name in sources if name in self._processor.positions]
        done = set(begun[:-1])
        return {name: source for name, source in sources.items() if name not in done}

    def _prove_complete(self, counts: RunCounts) -> None:
        """Every token has one end, every row its token: a run for which that does not hold must not pass."""
        ended = sum(counts.outcomes.values())
        standing = self._processor.standing
        still_open = counts.open + len(self._workshop.waiting)
        if still_open or counts.read != standing.rows_read or ended != standing.tokens_ended:
            raise LandscapeError(
                f"the record of run {self._run_id} does not add up: {standing.rows_read} rows were"
                f" read and {counts.read} are on record, {standing.tokens_ended} tokens ended and"
                f" {ended} have an end on record, {still_open} have none",
                fix="this is a bug in ELSPETH: please report it, and do not rely on this run",
            )

    def _report(self, processor: Processor) -> None:
        self._record_schemas()
        if self._around.watch is None:
            return
        sinks = {name: sink.rows for name, sink in self._machine.sinks.items()}
        self._around.watch(
            Progress(
                self._run_id,
                processor.standing.rows_read,
                self._expected,
                (self._around.clock.ns() - self._began) / 1e9,
                sinks,
                self._calls(),
            )
        )

    def _calls(self) -> dict[str, Mapping[str, Any]]:
        """What each node that calls out has to say of its calls."""
        made = self._assembly.transforms.items()
        metrics = {name: getattr(plugin, "get_batch_metrics", None) for name, plugin in made}
        return {name: ask() for name, ask in metrics.items() if ask is not None}

    def _record_schemas(self) -> None:
        """Put on record what sources found their columns to be, as soon as they know."""
        for node_id, source in self._assembly.sources.items():
            schema = None if node_id in self._inferred else source.observed_schema()
            if schema is not None:
                self._inferred.add(node_id)
                fields = [str(spec) for spec in schema.fields]
                self._recorder.record_schema(self._run_id, node_id, {"mode": schema.mode, "fields": fields})

    def _result(self, status: RunStatus, counts: RunCounts, artifacts: Mapping[str, Artifact]) -> RunResult:
        sinks = dict.fromkeys(self._machine.sinks, SinkResult(0)) | {
            name: SinkResult(artifact.rows, artifact.path_or_uri, artifact.content_hash, artifact.size_bytes)
            for name, artifact in artifacts.items()
        }
        return RunResult(
            self._run_id,
            status,
            RowCounts(counts.read, counts.quarantined, counts.failed),
            {TerminalState(state): count for state, count in counts.outcomes.items()},
            sinks,
            self._started_at,
            (self._around.clock.ns() - self._began) / 1e9,
            self._calls(),
        )


def _status(counts: RunCounts) -> RunStatus:
    if counts.read == 0:
        return RunStatus.EMPTY
    return RunStatus.COMPLETED_WITH_FAILURES if counts.quarantined or counts.failed else RunStatus.COMPLETED


@contextmanager
def _quiet_collector() -> Iterator[None]:
    """Fewer passes of the cycle collector while rows stream: what they allocate has no cycles.

    With the default threshold of 700 the collector looks at the same 8,192 tokens again and
    again, which takes 10 % of a run's time.
    """
    before = gc.get_threshold()
    gc.set_threshold(100_000, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _start(assembly: Assembly, run_id: str) -> RunStart:
    return RunStart(
        run_id, assembly.settings, assembly.config_hash, assembly.pipeline,
        assembly.pipeline_settings.run_mode, __version__,
    )  # fmt: skip


def _nodes(assembly: Assembly) -> list[NodeStart]:
    plugins: Mapping[str, Plugin] = {
        **assembly.sources, **assembly.transforms, **assembly.aggregations, **assembly.sinks
    }  # fmt: skip
    found = []
    for node in assembly.graph.nodes:
        plugin = plugins.get(node.node_id)
        config: Mapping[str, Any] = assembly.node_configs.get(node.node_id, {})
        found.append(
            NodeStart(
                node.node_id,
                node.plugin_name,
                node.node_type,
                plugin.plugin_version if plugin else __version__,
                plugin.determinism if plugin else "deterministic",
                digest(dict(config)).hex(),
                config,
                node.sequence,
                input=assembly.sources[node.node_id].identity() if node.node_id in assembly.sources else None,
            )
        )
    return found


def _edges(assembly: Assembly, run_id: str) -> list[EdgeStart]:
    return [
        EdgeStart(edge_id, edge.from_node, edge.to_node, edge.label, edge.mode)
        for edge, edge_id in edge_ids(assembly.graph, run_id).items()
    ]
