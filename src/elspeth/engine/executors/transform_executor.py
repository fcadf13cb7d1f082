"""One transform on one token at a time, on record when `TransformExecutor.execute_transform` returns."""

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from elspeth.contracts.enums import NodeType
from elspeth.contracts.errors import CanonicalError, PluginError, UsageError
from elspeth.contracts.plugins import PluginContext
from elspeth.contracts.results import TransformResult
from elspeth.contracts.tokens import TokenInfo
from elspeth.core.canonical import dump
from elspeth.core.landscape.stepwise.graph import NodeDraft
from elspeth.core.landscape.stepwise.making import Carried
from elspeth.core.landscape.stepwise.states import StateEnd, StateStart
from elspeth.engine.batch_adapter import DEFAULT_TIMEOUT_S, SharedBatchAdapter
from elspeth.engine.executors.gate_executor import Part, as_recorder
from elspeth.engine.spans import SpanFactory

_DEFAULT_PENDING = 30


class TransformExecutor:
    """Runs transforms on single tokens and records what came of it.

    A concurrent transform (one with ``accept`` and ``connect_output``) is connected at its first
    row and answers through a `SharedBatchAdapter`. Rows are in flight together when several
    threads execute them; one thread runs one row after the other.
    """

    def __init__(self, recorder: Part, spans: Part = None, *, timeout: float = DEFAULT_TIMEOUT_S) -> None:
        found = as_recorder(recorder) or as_recorder(spans)
        if found is None:
            raise UsageError(
                "the transform executor has no landscape", fix="TransformExecutor(recorder, spans)"
            )
        self._recorder = found
        self._spans = next(
            (part for part in (spans, recorder) if isinstance(part, SpanFactory)), SpanFactory()
        )
        self._timeout = timeout
        self._lock = threading.Lock()
        self._adapters: dict[int, tuple[object, SharedBatchAdapter]] = {}

    def execute_transform(
        self, transform: Any, token: TokenInfo, ctx: PluginContext, step_in_pipeline: int
    ) -> tuple[TransformResult, TokenInfo, str | None]:
        """Run one attempt: the result, the token with its new row, and the error sink if it failed.

        The node state is on record as running while the transform works, then as completed with
        the output or as failed with the error. The attempt is ``ctx.attempt``, or the next that is
        free. Ids that are not on record are put there. The error sink is the transform's
        ``on_error``; None if it has none.

        What the transform raises is recorded and goes on up. Raises PluginError if it changed its
        input in place or gave no TransformResult, TimeoutError if a concurrent one did not answer.
        """
        node_id = _text(transform, "node_id") or _text(ctx, "node_id") or _name(transform)
        on_error = _text(transform, "on_error") or None
        state_id = self._begin(transform, token, ctx, StateStart(
            node_id, dict(token.row_data), step_in_pipeline, _attempt(ctx)))  # fmt: skip
        own = _context(ctx, token, node_id, state_id)
        if isinstance(own, PluginContext) and own.landscape is None:
            own.landscape = self._recorder
        try:
            with self._spans.node_span(NodeType.TRANSFORM, node_id, token.token_id):
                result = self._run(transform, token, own)
            _check(result, node_id, token)
        except BaseException as error:
            self._fail(state_id, {"error": f"{type(error).__name__}: {error}"}, "")
            raise
        if result.status == "success":
            result = self._succeed(state_id, result, on_error or "")
        else:
            self._fail(state_id, result.reason or {"error": "no reason was given"}, on_error or "")
        if result.status != "success":
            return result, token, on_error
        row = token.row_data if result.row is None else result.row
        return result, TokenInfo(token.row_id, token.token_id, row, token.branch_name), None

    def _begin(self, transform: Any, token: TokenInfo, ctx: Any, start: StateStart) -> str:
        carried = Carried(token.token_id, token.row_id, token.branch_name, dict(token.row_data))
        node = NodeDraft(
            start.node_id, NodeType.TRANSFORM, _name(transform), _text(transform, "plugin_version"),
            _text(transform, "determinism") or "deterministic",
        )  # fmt: skip
        run_id = _text(ctx, "run_id") or None
        return self._recorder.begin_node_state(carried, start, run_id=run_id, node=node)

    def _run(self, transform: Any, token: TokenInfo, ctx: Any) -> TransformResult:
        before = dump(token.row_data)
        # Asked of the class: an object that answers to any name (a test's double) is not concurrent.
        if hasattr(type(transform), "accept") and hasattr(type(transform), "connect_output"):
            result = self._send(transform, token, ctx)
        else:
            result = transform.process(token.row_data, ctx)
        if dump(token.row_data) != before:
            raise PluginError(
                f"transform {_name(transform)!r} changed its input in place (token {token.token_id})",
                fix="build a new dict: {**row, 'x': 1}",
            )
        return result

    def _send(self, transform: Any, token: TokenInfo, ctx: Any) -> TransformResult:
        waiter = self._adapter(transform).register(token.token_id)
        if isinstance(ctx, PluginContext):
            ctx = replace(ctx, token=waiter.token(token))
        transform.accept(token.row_data, ctx)
        return waiter.wait(self._timeout)

    def _adapter(self, transform: Any) -> SharedBatchAdapter:
        with self._lock:
            known = self._adapters.get(id(transform))
            if known is None:
                pending = getattr(transform, "pool_size", None)
                adapter = SharedBatchAdapter()
                transform.connect_output(adapter, pending if isinstance(pending, int) else _DEFAULT_PENDING)
                # The transform is kept with it: a number like this is used again when an object is gone.
                known = self._adapters[id(transform)] = (transform, adapter)
            return known[1]

    def _succeed(self, state_id: str, result: TransformResult, destination: str) -> TransformResult:
        try:
            self._recorder.complete_node_state(state_id, StateEnd(result.row))
        except CanonicalError as error:
            reason = {"error": error.what, "field": error.path}
            self._fail(state_id, reason, destination)
            return TransformResult.error(reason)
        return result

    def _fail(self, state_id: str, reason: Mapping[str, Any], destination: str) -> None:
        self._recorder.complete_node_state(state_id, StateEnd(error=reason, destination=destination))


def _check(result: object, node_id: str, token: TokenInfo) -> None:
    where = f"transform {node_id!r} (token {token.token_id})"
    if not isinstance(result, TransformResult):
        raise PluginError(f"{where} returned {type(result).__name__}, not a TransformResult")
    if result.status == "success" and result.row is None and result.rows is None:
        raise PluginError(f"{where} returned success without a row")


def _context(ctx: Any, token: TokenInfo, node_id: str, state_id: str) -> Any:
    if not isinstance(ctx, PluginContext):
        return ctx
    return replace(ctx, token=token, node_id=ctx.node_id or node_id, state_id=state_id)


def _attempt(ctx: Any) -> int:
    attempt = getattr(ctx, "attempt", 1)
    return attempt if isinstance(attempt, int) and attempt > 0 else 1


def _name(transform: Any) -> str:
    return _text(transform, "name") or type(transform).__name__


def _text(thing: object, name: str) -> str:
    value = getattr(thing, name, "")
    return value if isinstance(value, str) else ""
