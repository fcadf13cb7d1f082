"""One transform at work: run it, see what it changed, put that on the token's path."""

from hashlib import sha256
from importlib import import_module
from typing import Any

import orjson

from elspeth.contracts.errors import ElspethError, PluginError, RetryableError
from elspeth.contracts.plugins import PluginContext, Row, Transform
from elspeth.contracts.results import TransformResult
from elspeth.core.canonical import PLAIN_OPTIONS, plain_values, row_digest
from elspeth.engine.executors.changes import MISSING
from elspeth.engine.executors.outcomes import Outcomes
from elspeth.engine.live import LiveToken
from elspeth.engine.retry import Retry
from elspeth.engine.steps import Step, Workshop

PASSING = (RetryableError, ConnectionError, TimeoutError)
"""What a transform may raise for a row that can be tried again."""


class TransformStep:
    """One transform of a run."""

    def __init__(
        self, workshop: Workshop, plugin: Transform, ctx: PluginContext, outcomes: Outcomes, retry: Retry
    ) -> None:
        self._clock = workshop.clock
        self._ns = workshop.clock.ns
        self._process = plugin.process
        # That ours leave their input alone is tested; looking takes 0.2 µs per row.
        self._watched = not type(plugin).__module__.startswith("elspeth.")
        self._ctx = ctx
        self._retry = retry
        self._outcomes = outcomes
        self._changes = outcomes.changes()

    def step(self, token: LiveToken) -> Step | None:  # noqa: PLR0912  # its length is what makes it fast
        """Run the transform on the token's row.

        One long function: this runs for every row and transform, and each call that it saves is
        worth 2 % of the time of a run.
        """
        row = token.row
        if self._watched or token.nested:
            result = self._watch(token, row)
        else:
            self._ctx.token = token
            try:
                result = self._process(row, self._ctx)
            except Exception as error:  # noqa: BLE001  # most are raised again
                result = self._raised(token, error)
        token.times.append(self._ns())
        if result.__class__ is not TransformResult:
            raise self._strange(token, result)
        out = result[1]  # .row; by index it takes a third of the time
        if out is None:
            return self._otherwise(token, row, result)
        if out is row:
            step = self._changes.nothing
        else:
            get = row.get
            changed = [key for key, value in out.items() if get(key, MISSING) is not value]
            fields, fields_changed, plain, step, renamed, kept = self._changes.last
            if not (token.plain and plain and changed == fields_changed and list(out) == fields):
                return self._outcomes.settle(token, result)
            # The common case, by far: this row changed as the one before it did, and nothing in
            # it needs care.
            for new, old in renamed:
                if out[new] is not get(old):
                    return self._outcomes.settle(token, result)
            values = [out[key] for key in kept] if kept else None
            if values is not None and not plain_values(values):
                return self._outcomes.settle(token, result)
            try:
                hashed = sha256(orjson.dumps(out, None, PLAIN_OPTIONS)).digest()
            except orjson.JSONEncodeError:
                return self._outcomes.settle(token, result)
            token.row = out
            token.hashes += hashed
            if values is not None:
                stored = orjson.dumps(values)[1:-1]
                token.deltas = token.deltas + b"," + stored if token.deltas else stored
        path = token.path.children.get(step)
        token.path = token.path.grow(step, step) if path is None else path
        return self._outcomes.following

    def _raised(self, token: LiveToken, error: Exception) -> TransformResult:
        """What an exception of the plugin means: a row that can be tried again, or the end of the run."""
        if isinstance(error, PASSING):
            return TransformResult.error(f"{type(error).__name__}: {error}", retryable=True)
        if isinstance(error, ElspethError):
            raise error
        raise self._outcomes.broken(token, f"raised {type(error).__name__}: {error}") from error

    def _strange(self, token: LiveToken, result: object) -> PluginError:
        return self._outcomes.broken(token, f"returned {type(result).__name__}, not a TransformResult")

    def _watch(self, token: LiveToken, row: Row) -> TransformResult:
        """The transform's answer, with an eye on the row that it was given."""
        before = list(row.values()) if self._watched else None
        self._ctx.token = token
        try:
            result = self._process(row, self._ctx)
        except Exception as error:  # noqa: BLE001  # most are raised again
            return self._raised(token, error)
        if (before is not None and list(row.values()) != before) or (
            token.nested and row_digest(row) != token.hashes[-32:]
        ):
            # Else a false input would be on record for every step before this one.
            fix = "build a new dict: {**row, 'x': 1}"
            raise self._outcomes.broken(token, "changed its input in place", fix=fix)
        return result

    def _otherwise(self, token: LiveToken, row: Row, result: TransformResult) -> Step | None:
        """The rare answers: an error, perhaps with another attempt, or several rows."""
        attempt = 1
        while result.status != "success" and result.retryable and attempt < self._retry.max_attempts:
            self._outcomes.try_again(token, result, attempt)
            self._clock.sleep(self._retry.delay(attempt))
            attempt += 1
            token.times.append(self._ns())
            self._ctx.attempt = attempt
            result = self._watch(token, row)
            token.times.append(self._ns())
            if result.__class__ is not TransformResult:
                raise self._strange(token, result)
        self._ctx.attempt = 1
        return self._outcomes.settle(token, result, attempt)


def __getattr__(name: str) -> Any:
    # The executors for single tokens bring SQLAlchemy along: loaded when they are asked for.
    if name in ("TransformExecutor",):
        return getattr(import_module("elspeth.engine.executors.transform_executor"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
