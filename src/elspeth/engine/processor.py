"""The engine's inner loop: rows in, groups of finished tokens out."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from elspeth.contracts.plugins import PluginContext, Source
from elspeth.core.landscape.writer import Checkpoint, Group, GroupWriter
from elspeth.engine.assembly import Holding, Machine
from elspeth.engine.executors.source import SourceStep
from elspeth.engine.live import LiveToken
from elspeth.engine.reading import LONGEST_WAIT_S, TICK, Ahead, Direct, read_ahead, read_directly
from elspeth.engine.snapshot import node_states, waiting_row
from elspeth.engine.steps import Step, Workshop

GROUP_TOKENS = 8192
GROUP_NS = 250_000_000
LOOK_NS = 1_000_000  # how often timers, and somebody's wish to stop, are looked at


@dataclass(slots=True)
class Standing:
    """How far a run has come. A resumed run begins with what its last commit says."""

    commits: int = 0
    rows_read: int = 0
    tokens_ended: int = 0
    held: int = 0  # tokens that were written as waiting, ever: their order
    phase: str = "reading"


class Processor:
    """Takes rows from sources through the steps and commits what has ended, group by group.

    The order inside `commit` is the guarantee: sinks write and flush, then one transaction puts
    down traces, errors and all positions. So a committed token is in its sink, and what is in a
    sink beyond the committed position belongs to no committed token.
    """

    def __init__(
        self,
        workshop: Workshop,
        machine: Machine,
        writer: GroupWriter,
        standing: Standing,
        on_commit: Callable[["Processor"], None],
        probe: Callable[[str], None],
    ) -> None:
        self._workshop = workshop
        self._machine = machine
        self._writer = writer
        self._on_commit = on_commit
        self._probe = probe
        self._every_rows = machine.commit_rows or sys.maxsize
        self._every_batch = machine.commit_batches
        self.standing = standing
        self.told: Callable[[Sequence[LiveToken]], None] | None = None
        """Who wants to know of the tokens of each commit."""
        self.positions: dict[str, Mapping[str, Any]] = {}
        self.headers: dict[str, str] = {}  # field → heading in the source, shared with the sinks
        for sink in machine.sinks.values():
            sink.plugin.original_headers = self.headers

    def read(self, step: SourceStep, source: Source, ctx: PluginContext, stop: Callable[[], bool]) -> bool:
        """Process the rows of one source until it is exhausted (True) or ``stop()`` says so (False).

        All rows that were read are committed when this returns, and also when the source raises:
        one that breaks in the middle leaves what it gave before on record.
        """
        rows = self._rows(source, ctx)
        try:
            return self._take(rows, step, source, ctx, stop)
        finally:
            rows.close()  # also if something broke: no thread may read on behind our back

    def _take(
        self,
        rows: Direct | Ahead,
        step: SourceStep,
        source: Source,
        ctx: PluginContext,
        stop: Callable[[], bool],
    ) -> bool:
        workshop = self._workshop
        ended, stack, clock = workshop.pending.tokens, workshop.stack, workshop.clock.ns
        admit, row_no = step.admit, self.standing.rows_read
        deadline = clock() + GROUP_NS
        next_look, due, batches = 0, row_no + self._every_rows, workshop.batches
        look = 0 if self._every_batch else LOOK_NS
        broken: Exception | None = None
        going: Step | None
        fetch = rows.fetch
        while True:
            try:
                item = fetch()
            except StopIteration:
                break
            except Exception as error:  # noqa: BLE001  # raised as soon as what came before is committed
                broken = error
                break
            now = clock()
            if item is not TICK:
                token, going = admit(item, row_no, now)
                row_no += 1
                while going is not None:
                    going = going.step(token)
            while stack:
                token, going = stack.pop()
                while going is not None:
                    going = going.step(token)
            if now < next_look and len(ended) < GROUP_TOKENS and row_no < due:
                continue
            next_look = now + look
            self.standing.rows_read = row_no
            self._fire_timers(now)
            stopping = stop()
            wanted = row_no >= due or (self._every_batch and workshop.batches != batches)
            if stopping or wanted or now >= deadline or len(ended) >= GROUP_TOKENS:
                self.commit(ctx.node_id, source, rows.position())
                deadline, due, batches = clock() + GROUP_NS, row_no + self._every_rows, workshop.batches
            if stopping:
                return False
        self._drain()  # what landed while the last row was looked for
        self.standing.rows_read = row_no
        self.commit(ctx.node_id, source, rows.position())
        if broken is not None:
            raise broken
        return True

    def _rows(self, source: Source, ctx: PluginContext) -> Direct | Ahead:
        if self._machine.timed:
            return read_ahead(source, ctx, self._workshop, self._machine.flights)
        return read_directly(source, ctx)

    def finish(self, stop: Callable[[], bool]) -> bool:
        """No more rows will come: let go of all that waits, in order of flow. False: ``stop()`` said so."""
        while self._land_all(stop):
            if not any(self._finishes(step) for step in self._machine.holding):
                self.standing.phase = "publishing"
                self._commit()
                return True
        self._commit()
        return False

    def _finishes(self, step: Holding) -> bool:
        finished = step.finish()
        self._drain()
        return finished

    def _land_all(self, stop: Callable[[], bool]) -> bool:
        """Wait until nothing is in flight; False if ``stop()`` said so before."""
        flights, clock = self._machine.flights, self._workshop.clock.ns
        flights.flush()
        deadline = clock() + GROUP_NS
        while flights.any:
            flights.wait(LONGEST_WAIT_S)
            flights.land()
            self._drain()
            now = clock()
            self._fire_timers(now)
            if stop():
                return False
            if now >= deadline:
                self._commit()
                deadline = clock() + GROUP_NS
        return True

    def _fire_timers(self, now: int) -> None:
        while self._workshop.timers.fire(now):
            self._drain()

    def _drain(self) -> None:
        stack = self._workshop.stack
        going: Step | None
        while stack:
            token, going = stack.pop()
            while going is not None:
                going = going.step(token)

    def commit(self, source_id: str, source: Source, position: Mapping[str, Any]) -> None:
        """Write, flush, and put on record all that has ended since the last commit."""
        self.headers.update(source.original_headers)
        self.positions[source_id] = position
        self._commit()

    def _commit(self) -> None:
        standing, workshop = self.standing, self._workshop
        self._probe("commit.begin")
        oldest = self._machine.flights.oldest_row
        for sink in self._machine.sinks.values():
            sink.let_in(oldest)
        self._write_sinks()
        self._probe("sinks.flushed")
        for lookout in self._machine.lookouts:
            lookout.commit(standing.commits + 1)
        tokens, others = workshop.pending.take()
        # Those that one node let go of and another holds now: they wait at a new place.
        moved = {token for token in workshop.released if token in workshop.waiting}
        touched = [token for token in workshop.touched if token not in moved]
        workshop.touched.clear()
        reopened = [(token.row_no, token.token_no) for token in (*tokens, *touched, *moved) if token.stored]
        released = [(token.row_no, token.token_no) for token in workshop.released]
        workshop.released.clear()
        opened = [token for token in workshop.waiting if not token.stored or token in moved]
        if opened:
            others["waiting_tokens"] = [
                waiting_row(workshop, token, standing.held + index) for index, token in enumerate(opened)
            ]
        for token in tokens:
            token.path.count += 1
        standing.commits += 1
        checkpoint = Checkpoint(
            commit_no=standing.commits,
            rows_read=standing.rows_read,
            source_positions=dict(self.positions),
            sink_positions={name: sink.plugin.position() for name, sink in self._machine.sinks.items()},
            node_states=node_states(workshop, self._machine),
            phase=standing.phase,
            committed_at=workshop.clock.now(),
        )
        group = Group(self._traces(tokens) + self._traces([*touched, *opened]), reopened, released, others)
        self._writer.commit(group, checkpoint)
        self._probe("commit.end")
        if self.told is not None:
            self.told(tokens)
        for token in opened:
            token.stored = True
        standing.held += len(opened)
        standing.tokens_ended += len(tokens)
        self._on_commit(self)

    def _write_sinks(self) -> None:
        sinks = self._machine.sinks.values()
        written = set()
        while waiting := [sink for sink in sinks if sink.waiting]:
            # A sink that refuses rows may hand them to one that was done: go round until all is quiet.
            for sink in waiting:
                sink.write()
                written.add(sink.node_id)
        self._probe("sinks.written")
        for sink in sinks:
            if sink.node_id in written:
                sink.plugin.flush()

    def _traces(self, tokens: Sequence[LiveToken]) -> list[tuple[Any, ...]]:
        book = self._workshop.book
        run_no, number, epoch, dumps = book.run_no, book.number, self._workshop.clock.epoch_ns, orjson.dumps
        rows = []
        for token in tokens:
            path, t0 = token.path, token.t0
            deltas = token.deltas
            rows.append(
                (
                    run_no,
                    token.row_no,
                    token.token_no,
                    path.path_no if path.path_no is not None else number(path),
                    token.parent_no,
                    (t0 + epoch) // 1000,
                    dumps([(t - t0) // 1000 for t in (*token.times, *token.sunk)]).decode(),
                    bytearray(
                        token.hashes
                    ),  # bytes take SQLite's driver 0.3 µs more: it looks for an adapter
                    token.payload,
                    f"[{deltas.decode()}]" if deltas else None,
                    None,
                    None,
                    token.assigned,
                )
            )
        return rows
