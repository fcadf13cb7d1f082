"""The engine's inner loop: rows in, groups of finished tokens out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from elspeth.contracts.errors import PluginError
from elspeth.contracts.plugins import PluginContext, Quarantined, Source
from elspeth.core.landscape.writer import Checkpoint, Group, GroupWriter
from elspeth.engine.assembly import Machine
from elspeth.engine.executors.source import SourceStep
from elspeth.engine.live import LiveToken
from elspeth.engine.steps import Step, Workshop

GROUP_TOKENS = 8192
GROUP_NS = 250_000_000


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
        pending, clock = workshop.pending, workshop.clock.ns
        admit, refuse, walk = step.admit, step.refuse, self._walk
        deadline = clock() + GROUP_NS
        broken: list[Exception] = []
        for item in _until_broken(source.load(ctx), broken):
            now = clock()
            if item.__class__ is dict:
                token, going = admit(item, self.rows_read, now)
            elif item.__class__ is Quarantined:
                token, going = refuse(item, self.rows_read, now)
            else:
                raise PluginError(
                    f"source {ctx.node_id!r} yielded {type(item).__name__}",
                    fix="yield a dict, or Quarantined(…)",
                )
            self.rows_read += 1
            walk(token, going)
            if now >= deadline or len(pending.tokens) >= GROUP_TOKENS:
                self.commit(ctx.node_id, source)
                deadline = clock() + GROUP_NS
            if stop():
                self.commit(ctx.node_id, source)
                return False
        self.commit(ctx.node_id, source)
        if broken:
            raise broken[0]
        return True

    def _walk(self, token: LiveToken, going: Step | None) -> None:
        """Take a token to its end, and then those that it was split into."""
        while going is not None:
            going = going.step(token)
        stack = self._workshop.stack
        while stack:
            token, going = stack.pop()
            while going is not None:
                going = going.step(token)

    def commit(self, source_id: str, source: Source) -> None:
        """Write, flush, and put on record all that has ended since the last commit."""
        self.headers.update(source.original_headers)
        self._positions[source_id] = source.position()
        self._write_sinks()
        pending, self._workshop.pending.tokens = self._workshop.pending.tokens, []
        errors, self._workshop.pending.errors = self._workshop.pending.errors, []
        self._commits += 1
        checkpoint = Checkpoint(
            commit_no=self._commits,
            rows_read=self.rows_read,
            source_positions=dict(self._positions),
            sink_positions={name: sink.plugin.position() for name, sink in self._machine.sinks.items()},
            committed_at=self._workshop.clock.now(),
        )
        self._writer.commit(Group(self._traces(pending), errors), checkpoint)
        self.tokens_ended += len(pending)
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
                    b"".join(token.hashes),
                    token.payload,
                    None if deltas is None else (b"[" + b",".join(deltas) + b"]").decode(),
                    None,
                    None,
                )
            )
        return rows


def _until_broken(rows: Iterator[Any], broken: list[Exception]) -> Iterator[Any]:
    """The items of ``rows`` up to the first error, which goes to ``broken``: its raising can wait for a commit."""
    try:
        yield from rows
    except Exception as error:  # noqa: BLE001  # the reader raises it as soon as all is committed
        broken.append(error)
