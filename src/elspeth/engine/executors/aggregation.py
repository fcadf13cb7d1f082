"""One aggregation at work: rows wait until there are enough, and are handled together."""

from collections.abc import Sequence

from elspeth.contracts.errors import CanonicalError, ElspethError, PluginError
from elspeth.contracts.plugins import BatchTransform, PluginContext, Row
from elspeth.contracts.results import TransformResult
from elspeth.core.canonical import dump, dump_values, row_digest
from elspeth.core.config import AggregationSettings
from elspeth.core.expressions import EVALUATION_ERRORS, Expression, describe
from elspeth.core.landscape.paths import Origin
from elspeth.core.landscape.paths import Step as PathStep
from elspeth.engine.executors.changes import Changes
from elspeth.engine.executors.source import may_nest
from elspeth.engine.joins import leave
from elspeth.engine.live import LiveToken
from elspeth.engine.steps import PLUGIN_BUG, Batch, ErrorExit, Held, Step, Workshop

_LOOK_NS = 100_000_000
_MOST_SHAPES = 256


class AggregationStep:
    """One aggregation of a run.

    ``since`` is the time of the engine's clock at which the first row of the waiting batch came.
    """

    def __init__(
        self,
        workshop: Workshop,
        settings: AggregationSettings,
        plugin: BatchTransform,
        ctx: PluginContext,
        edge_id: str,
        condition: Expression | None,
    ) -> None:
        self._workshop = workshop
        self._settings = settings
        self._plugin = plugin
        self._ctx = ctx
        self._edge_id = edge_id
        self._condition = condition
        self._changes = Changes(settings.name, edge_id, gap=True)
        self._shapes: set[tuple[str, ...] | None] = set()
        self._consumed = PathStep(settings.name, gap=True, ending="batched")
        self.node_id = settings.name
        self.since = 0
        self.waiting: list[LiveToken] = []
        self.following: Step
        self.failed: ErrorExit

    def step(self, token: LiveToken) -> None:
        """Take the token into the batch."""
        now = self._workshop.clock.ns()
        token.times.append(now)
        self._workshop.hold(token, Held(self.node_id, None, token.join))
        self.waiting.append(token)
        if len(self.waiting) == 1:
            self.begin(now)
        trigger = self._settings.trigger
        if trigger.count is not None and len(self.waiting) >= trigger.count:
            self._flush("count")
        else:
            self._check_condition(now)

    def begin(self, since: int) -> None:
        """A batch has its first row, at the time ``since``."""
        self.since = since
        trigger = self._settings.trigger
        if trigger.timeout_seconds is not None:
            self._workshop.timers.set(since + int(trigger.timeout_seconds * 1e9), self, ("timeout", since))
        if self._condition is not None and "batch_age_seconds" in self._condition.fields:
            self._workshop.timers.set(since + _LOOK_NS, self, ("look", since))

    def expire(self, key: tuple[str, int]) -> None:
        """The batch has come to some age."""
        kind, since = key
        if not self.waiting or since != self.since:
            return
        if kind == "timeout":
            self._flush("timeout")
            return
        now = self._workshop.clock.ns()
        if not self._check_condition(now):
            self._workshop.timers.set(now + _LOOK_NS, self, key)

    def finish(self) -> bool:
        """No more rows will come: handle what waits. True if anything did."""
        if not self.waiting:
            return False
        self._flush("end_of_source")
        return True

    def _check_condition(self, now: int) -> bool:
        if self._condition is None:
            return False
        batch = {"batch_count": len(self.waiting), "batch_age_seconds": (now - self.since) / 1e9}
        try:
            if not self._condition.fn(batch):
                return False
        except EVALUATION_ERRORS as error:
            raise PluginError(
                f"the trigger of {self.node_id!r} fails: {describe(error, self._condition, batch)}",
                fix="mend the condition: it knows batch_count and batch_age_seconds",
            ) from error
        self._flush("condition")
        return True

    def _flush(self, trigger: str) -> None:
        tokens, self.waiting = self.waiting, []
        for token in tokens:
            self._workshop.release(token)
        self._ctx.tokens = tokens
        try:
            result = self._plugin.process_batch([token.row for token in tokens], self._ctx)
        except ElspethError:
            raise
        except Exception as error:
            raise self._broken(f"raised {type(error).__name__}: {error}", tokens) from error
        for token in tokens:
            if row_digest(token.row) != token.hashes[-32:]:
                raise self._broken(f"changed row {token.row_id} in place", tokens)
        if result.__class__ is not TransformResult:
            raise self._broken(f"returned {type(result).__name__}, not a TransformResult", tokens)
        if result.status != "success":
            self._fail(tokens, trigger, dict(result.reason or {"error": "no reason was given"}))
            return
        rows = [result.row] if result.row is not None else list(result.rows or ())
        odd = next((row for row in rows if row.__class__ is not dict), None)
        if odd is not None:
            raise self._broken(f"returned a row that is {type(odd).__name__}, not a dict", tokens)
        passthrough = self._settings.output_mode == "passthrough"
        expected = len(tokens) if passthrough else self._settings.expected_output_count
        if expected is not None and len(rows) != expected:
            what = f"the batch gave {len(rows)} rows, and {expected} were expected"
            self._fail(tokens, trigger, {"error": what})
        elif passthrough:
            self._pass_on(tokens, rows, trigger)
        else:
            self._replace(tokens, rows, trigger)

    def _fail(self, tokens: Sequence[LiveToken], trigger: str, reason: dict[str, object]) -> None:
        self._workshop.note_batch(Batch(self.node_id, trigger, "failed", self.since), tokens, ())
        ends = []
        for token in tokens:
            token.times.pop()
            ends.append((token, self.failed.take(token, reason)))
        self._workshop.stack.extend(reversed(ends))

    def _pass_on(self, tokens: Sequence[LiveToken], rows: Sequence[Row], trigger: str) -> None:
        now = self._workshop.clock.ns()
        going: list[tuple[LiveToken, Step | None]] = []
        passed = []
        for token, row in zip(tokens, rows, strict=True):
            try:
                step = self._changes.put(token, row)
            except CanonicalError as error:
                token.times.pop()
                going.append((token, self.failed.take(token, {"error": error.what, "field": error.path})))
                continue
            token.path = token.path.grow(step, step)
            token.times.append(now)
            going.append((token, self.following))
            passed.append(token)
        self._workshop.note_batch(Batch(self.node_id, trigger, "completed", self.since), tokens, passed)
        self._workshop.stack.extend(reversed(going))

    def _replace(self, tokens: Sequence[LiveToken], rows: Sequence[Row], trigger: str) -> None:
        try:
            hashes = [row_digest(row) for row in rows]
        except CanonicalError as error:
            self._fail(tokens, trigger, {"error": error.what, "field": error.path})
            return
        now = self._workshop.clock.ns()
        outputs = [self._output(tokens, row, hashed, now) for row, hashed in zip(rows, hashes, strict=True)]
        self._workshop.note_batch(Batch(self.node_id, trigger, "completed", self.since), tokens, outputs)
        for token in tokens:
            token.path = token.path.grow(self._consumed, self._consumed)
            token.times.append(now)
            self._workshop.end(token)
        self._workshop.stack.extend((output, self.following) for output in reversed(outputs))
        for token in reversed(tokens):  # what that sets free is worked off from the last to the first
            leave(token.join)

    def _output(self, tokens: Sequence[LiveToken], row: Row, hashed: bytes, now: int) -> LiveToken:
        """A token of the batch's result; it counts as one of the first member's row."""
        first = tokens[0]
        token = first.child(row, now)
        token.hashes = hashed
        shape: tuple[str, ...] | None = tuple(row)
        if shape not in self._shapes:
            # Rows may have any fields: past a number of shapes the names go with each row.
            if len(self._shapes) < _MOST_SHAPES:
                self._shapes.add(shape)
            else:
                shape = None
        stored = dump(row) if shape is None else dump_values(list(row.values()))
        token.payload = stored.decode()
        token.nested = may_nest(stored)
        step_index = max(member.path.step_index for member in tokens) + 2
        origin = Origin(first.path.origin.source_node_id, "batch", None, shape, step_index, self._edge_id)
        token.path = self._workshop.book.root(origin)
        return token

    def _broken(self, what: str, tokens: Sequence[LiveToken]) -> PluginError:
        rows = f"{len(tokens)} rows, the first {tokens[0].row_id}"
        return PluginError(
            f"aggregation {self.node_id!r} {what} ({rows})",
            fix=PLUGIN_BUG,
        )
