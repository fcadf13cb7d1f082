"""The engine's inner loop: rows in, groups of finished tokens out."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from elspeth.contracts.plugins import PluginContext, Source
from elspeth.core.landscape.writer import Checkpoint, Group, GroupWriter
from elspeth.engine.assembly import Machine
from elspeth.engine.executors.source import SourceStep
from elspeth.engine.live import LiveToken
from elspeth.engine.steps import Step, Workshop

GROUP_TOKENS = 8192
GROUP_NS = 250_000_000
LOOK_NS = 1_000_000  # how often somebody's wish to stop is asked for


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
        on_commit: Callable[["Processor"], None],
    ) -> None:
        self._workshop = workshop
        self._machine = machine
        self._writer = writer
        self._on_commit = on_commit
        self._commits = 0
        self._positions: dict[str, Mapping[str, Any]] = {}
        self.headers: dict[str, str] = {}  # field → heading in the source, shared with the sinks
        for sink in machine.sinks.values():
            sink.plugin.original_headers = self.headers
        self.rows_read = 0
        self.tokens_ended = 0

    def read(self, step: SourceStep, source: Source, ctx: PluginContext, stop: Callable[[], bool]) -> bool:
        """Process the rows of one source until it is exhausted (True) or ``stop()`` says so (False).

        All rows that were read are committed when this returns, and also when the source raises:
        one that breaks in the middle leaves what it gave before on record.
        """
        workshop = self._workshop
        ended, stack, clock = workshop.pending.tokens, workshop.stack, workshop.clock.ns
        admit, row_no = step.admit, self.rows_read
        deadline = clock() + GROUP_NS
        next_look = 0
        broken: Exception | None = None
        fetch = iter(source.load(ctx)).__next__
        while True:
            try:
                item = fetch()
            except StopIteration:
                break
            except Exception as error:  # noqa: BLE001  # raised as soon as what came before is committed
                broken = error
                break
            now = clock()
            going: Step | None
            token, going = admit(item, row_no, now)
            row_no += 1
            while going is not None:
                going = going.step(token)
            while stack:
                token, going = stack.pop()
                while going is not None:
                    going = going.step(token)
            if len(ended) >= GROUP_TOKENS or now >= deadline:
                self.rows_read = row_no
                self.commit(ctx.node_id, source)
                deadline = clock() + GROUP_NS
            if now >= next_look:
                next_look = now + LOOK_NS
                if stop():
                    self.rows_read = row_no
                    self.commit(ctx.node_id, source)
                    return False
        self.rows_read = row_no
        self.commit(ctx.node_id, source)
        if broken is not None:
            raise broken
        return True

    def commit(self, source_id: str, source: Source) -> None:
        """Write, flush, and put on record all that has ended since the last commit."""
        self.headers.update(source.original_headers)
        self._positions[source_id] = source.position()
        self._write_sinks()
        tokens, errors = self._workshop.pending.take()
        self._commits += 1
        checkpoint = Checkpoint(
            commit_no=self._commits,
            rows_read=self.rows_read,
            source_positions=dict(self._positions),
            sink_positions={name: sink.plugin.position() for name, sink in self._machine.sinks.items()},
            committed_at=self._workshop.clock.now(),
        )
        self._writer.commit(Group(self._traces(tokens), errors), checkpoint)
        self.tokens_ended += len(tokens)
        self._on_commit(self)

    def _write_sinks(self) -> None:
        sinks = self._machine.sinks.values()
        written = set()
        while waiting := [sink for sink in sinks if sink.waiting]:
            # A sink that refuses rows may hand them to one that was done: go round until all is quiet.
            for sink in waiting:
                sink.write()
                written.add(sink.node_id)
        for sink in sinks:
            if sink.node_id in written:
                sink.plugin.flush()

    def _traces(self, tokens: Sequence[LiveToken]) -> list[tuple[Any, ...]]:
        book = self._workshop.book
        run_no, number, epoch, dumps = book.run_no, book.number, self._workshop.clock.epoch_ns, orjson.dumps
        rows = []
        for token in tokens:
            path, t0 = token.path, token.t0
            path.count += 1
            deltas = token.deltas
            rows.append(
                (
                    run_no,
                    token.row_no,
                    token.token_no,
                    path.path_no if path.path_no is not None else number(path),
                    token.parent_no,
                    (t0 + epoch) // 1000,
                    dumps([(t - t0) // 1000 for t in token.times]).decode(),
                    token.hashes,
                    token.payload,
                    "[" + deltas.decode() + "]" if deltas else None,
                    None,
                    None,
                )
            )
        return rows
