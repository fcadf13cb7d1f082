"""Where tokens end: buffered per sink until the group is committed."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any

from elspeth.contracts.errors import PluginError
from elspeth.contracts.plugins import PluginContext, Row, Sink
from elspeth.core.landscape.paths import Step as PathStep
from elspeth.engine.joins import leave
from elspeth.engine.live import LiveToken
from elspeth.engine.steps import ErrorExit, Held, Workshop

Envelope = Callable[[LiveToken], Row]


class SinkStep:
    """One sink of a run.

    ``envelope`` makes of a token what is written; by default that is the token's row.
    ``on_failure`` is None where a row that can't be written must stop the run. ``ordered`` is set
    where some rows overtake others on their way here (some node works concurrently): then tokens
    wait, in ``early``, until no earlier row can come any more.
    """

    def __init__(self, workshop: Workshop, node_id: str, plugin: Sink, ctx: PluginContext) -> None:
        self._workshop = workshop
        self._end = workshop.end
        self._ctx = ctx
        self._written = PathStep(node_id, gap=True, ending="sink", sink=node_id)
        self.node_id = node_id
        self.plugin = plugin
        self.on_failure: ErrorExit | None = None
        self.envelope: Envelope | None = None
        self.ordered = False
        self.early: list[LiveToken] = []
        self.waiting: list[LiveToken] = []
        self.rows = 0

    def step(self, token: LiveToken) -> None:
        """Take the token; it is written when the group is."""
        if token.join is not None:
            leave(token.join)
        if self.ordered:
            self._workshop.hold(token, Held(self.node_id, None, None))
            self.early.append(token)
            return
        self.waiting.append(token)
        self._end(token)

    def let_in(self, before_row: int | None) -> None:
        """Take the tokens of rows before ``before_row`` (None: all) for writing, in order of the rows."""
        if not self.early:
            return
        early = sorted(self.early, key=lambda token: (token.row_no, token.token_no))
        count = len(early)
        if before_row is not None:
            count = bisect_left(early, before_row, key=lambda token: token.row_no)
        self.early = early[count:]
        for token in early[:count]:
            self._workshop.release(token)
            self.waiting.append(token)
            self._end(token)

    def write(self) -> None:
        """Write all that waits. Rows that the plugin refuses go to ``on_failure`` and wait there."""
        tokens, self.waiting = self.waiting, []
        envelope = self.envelope
        rows = [token.row for token in tokens] if envelope is None else [envelope(token) for token in tokens]
        clock = self._workshop.clock.ns
        self._ctx.tokens = tokens
        began = clock()
        failures = self.plugin.write(rows, self._ctx)
        ended = clock()
        if failures:
            tokens = self._divert(tokens, {failure.index: failure.reason for failure in failures})
        self.rows += len(tokens)
        step, times = self._written, (began, ended)
        before = path = None
        for token in tokens:
            if path is None or token.path is not before:  # neighbours mostly came the same way
                before = token.path
                path = before.children.get(step) or before.grow(step, step)
            token.path = path
            token.sunk = times

    def _divert(self, tokens: Sequence[LiveToken], failures: dict[int, str]) -> list[LiveToken]:
        bad = [index for index in failures if not 0 <= index < len(tokens)]
        if bad:
            raise PluginError(f"sink {self.node_id!r} reported failures of rows that it was not given: {bad}")
        written = []
        for index, token in enumerate(tokens):
            if index not in failures:
                written.append(token)
                continue
            reason: dict[str, Any] = {"error": failures[index]}
            if self.on_failure is None:
                raise PluginError(
                    f"sink {self.node_id!r} can't write row {token.row_id}: {failures[index]}",
                    fix="this is the last resort for failed rows: see that it can be written",
                )
            target = self.on_failure.take(token, reason)
            if isinstance(target, SinkStep):
                target.waiting.append(token)
        return written
