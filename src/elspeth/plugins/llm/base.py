"""What every LLM transform is: rows in by `accept`, results out by the output, a full pool between."""

import threading
from abc import abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar, Protocol

from pydantic import BaseModel

from elspeth.contracts.enums import Determinism, RunMode
from elspeth.contracts.errors import ConfigurationError, PluginError, Problem
from elspeth.contracts.plugins import AnyToken, PluginContext, Row
from elspeth.contracts.results import TransformResult
from elspeth.contracts.schema import FieldType, PluginSchema, SchemaMode
from elspeth.contracts.spans import Span
from elspeth.core.landscape.calls.journal import EarlierCalls
from elspeth.fabric.governor import Budget, Governor, Price, PriceTable, ServiceGovernor, ServiceLimits
from elspeth.plugins.llm.caching import cache_for
from elspeth.plugins.llm.calling import Timeouts
from elspeth.plugins.llm.endpoint import Endpoint
from elspeth.plugins.llm.loop import LoopThread
from elspeth.plugins.llm.metrics import CallMetrics
from elspeth.plugins.llm.options import CallOptions
from elspeth.plugins.llm.pump import Asking, Pump, Retries, Surroundings
from elspeth.plugins.llm.queries import Query, compile_queries, frame_of
from elspeth.plugins.llm.recording import CallRecord, record_for
from elspeth.plugins.llm.replay import ReplaySource, VerifySource
from elspeth.plugins.llm.spending import Purse
from elspeth.plugins.llm.telling import CallTelling
from elspeth.plugins.llm.work import RowWork
from elspeth.plugins.transforms.base import BaseTransform
from elspeth.plugins.transforms.schema_changes import with_fields

GRACE_S = 30.0
_START_S = 60.0


class Output(Protocol):
    """Who takes results, on any thread; an exception in the place of a result means that the worker died."""

    def emit(self, token: AnyToken, result: TransformResult | BaseException) -> None: ...


@dataclass(slots=True)
class _Running:
    """What is at work from the first row to `close`."""

    loop: LoopThread[RowWork]
    pump: Pump
    record: CallRecord


class BaseLLMTransform(BaseTransform):
    """A concurrent transform: `accept` returns at once, up to ``pool_size`` calls are in flight together.

    A subclass gives its ``options_model`` (a `CallOptions`), `endpoint`, and the prompt and field options by
    `prompt` and `response_field`. The engine may set ``governor`` (shared limits and the run's
    budget) and ``earlier`` (the run that is replayed or verified) before the first row.
    """

    determinism: ClassVar[Determinism] = Determinism.EXTERNAL_CALL
    plugin_version: ClassVar[str] = "1.0.0"
    needs_values: ClassVar[bool] = False
    retries_itself: ClassVar[bool] = True
    options_model: ClassVar[type[BaseModel]] = CallOptions
    options: CallOptions
    governor: Governor | None = None
    earlier: EarlierCalls | None = None
    spans: Callable[[Span], None] | None = None
    """Who wants to know of calls; with ``span_content`` also what was said."""
    span_content: bool = False
    grace_s: float = GRACE_S
    """How long `close` lets calls under way go on, because they are paid for."""

    def __init__(
        self, options: Mapping[str, Any] | None = None, *, config: CallOptions | None = None
    ) -> None:
        if (options is None) == (config is None):
            raise TypeError("give the options, or config=, one of the two")
        given = options if options is not None else config
        super().__init__(given)  # type: ignore[arg-type]  # pydantic takes its own model too
        self.pool_size = self.options.pool_size
        self._endpoint = self.endpoint()
        self.queries: tuple[Query, ...] = compile_queries(self.options, self.prompt(), self.response_field())
        needed = [query.template.required_fields for query in self.queries]
        needed += [query.system.required_fields for query in self.queries if query.system is not None]
        self.require(frozenset[str]().union(*needed))
        self._prices = PriceTable(
            {name: Price(price.input, price.output) for name, price in self.options.prices.items()}
        )
        if self.options.budget is not None and self.options.budget.max_cost is not None:
            self._prices.require(self._endpoint.model)
        self._metrics = CallMetrics()
        self._output: Output | None = None
        self._running: _Running | None = None
        self._service: ServiceGovernor | None = None
        self._lock = threading.Lock()
        self._open: dict[int, RowWork] = {}
        self._idle = threading.Condition()
        self._closed = False

    @abstractmethod
    def endpoint(self) -> Endpoint:
        """Where calls go. Called once, in the constructor."""

    def prompt(self) -> str | None:
        """The prompt template's text, None where it is in a file or in queries."""
        text: str | None = self.options.prompt_template  # type: ignore[attr-defined]
        return text

    def shown(self, row: Row) -> Row:
        """What of a row prompts are made of."""
        return row

    def response_field(self) -> str:
        """The field for the answer."""
        name: str = self.options.response_field  # type: ignore[attr-defined]
        return name

    def output_schema(self, incoming: PluginSchema) -> PluginSchema:
        """The incoming fields and those of the answers. Raises ConfigurationError where one would be lost."""
        specs = [spec for query in self.queries for spec in query.fields]
        known = incoming.promises | {spec.name for spec in incoming.fields}
        taken = [spec.name for spec in specs if spec.name in known]
        if taken:
            names = ", ".join(f"'{name}'" for name in taken)
            what = f"the answer would overwrite {names}, which rows have already"
            raise ConfigurationError([Problem(what, fix="name another response_field")])
        # Where all fields are told, one that says nothing is told too: else rows would never have it.
        all_told = incoming.mode is SchemaMode.FIXED
        typed = [spec for spec in specs if all_told or spec.type is not FieldType.ANY or spec.required]
        return with_fields(incoming, typed)

    def on_start(self, ctx: PluginContext) -> None:
        """Make the connection pool ready."""
        self._start(ctx)

    def process(self, row: Row, ctx: PluginContext) -> TransformResult:
        """There is one way in, `accept`: a second one would be one that nobody tests."""
        raise NotImplementedError(f"{type(self).__name__} is concurrent: use accept() and connect_output()")

    def connect_output(self, output: Output, max_pending: int = 0) -> None:
        """Where results go. ``max_pending`` is for the caller to keep: rows wait here without limit."""
        self._output = output

    def accept(self, row: Row, ctx: PluginContext) -> None:
        """Take a row in; its result comes through the output. Raises PluginError once closed."""
        if self._output is None:
            raise PluginError(f"{self.name} has no output", fix="call connect_output() before accept()")
        running = self._running or self._start(ctx)
        work = RowWork.of(row, ctx, self.node_id or self.name, self.shown(row))
        with self._idle:
            self._open[id(work)] = work
        self._metrics.rows_accepted += 1
        running.loop.post(work)

    def flush(self, timeout: float | None = None) -> None:
        """Return when every row that was accepted has its result. Raises TimeoutError.

        Returns at once where the output says that it is ``polled``, as the engine's does: it takes results
        in on the very thread that would wait here. Nothing is held back that would need a flush.
        """
        if getattr(self._output, "polled", False):
            return
        with self._idle:
            if not self._idle.wait_for(lambda: not self._open, timeout):
                raise TimeoutError(f"{len(self._open)} rows had no result within {timeout:g} s")

    def close(self) -> None:
        """Make no more calls, let those under way be answered and recorded, and end the thread.

        Rows that have no result get a PluginError.
        """
        with self._lock:
            self._closed = True
            running, self._running = self._running, None
        if running is None:
            return
        error = PluginError(f"{self.name} was closed before this row had its result")
        try:
            if running.loop.is_alive():
                running.loop.wait_for(running.pump.stop(error, self.grace_s), self.grace_s + _START_S)
        finally:
            running.loop.stop()
            running.record.close()
            self._fail_open(error)

    def get_batch_metrics(self) -> dict[str, Any]:
        """What calls have come to: counts, tokens, cost, latencies (ms), and how the service stands."""
        found = self._metrics.as_dict()
        running, service = self._running, self._service
        found["pool_size"] = self.pool_size
        found["rows_waiting"] = len(self._open)
        found["live"] = self.earlier is None or self.earlier.mode is not RunMode.REPLAY
        found["breaker"] = "closed"
        if running is not None and service is not None:
            state = service.state(running.loop.loop.time())
            found |= {
                "breaker": state.breaker.value,
                "breaker_opened": state.breaker_opened,
                "allowed_in_flight": state.allowed,
                "paused_s": round(state.paused_s, 3),
            }
        return found

    # Start

    def _start(self, ctx: PluginContext) -> _Running:
        with self._lock:
            if self._closed:
                raise PluginError(f"{self.name} is closed")
            if self._running is None:
                self._running = self._make(ctx)
            return self._running

    def _make(self, ctx: PluginContext) -> _Running:
        governor = self.governor or Governor()
        self._service = governor.service(self._service_name(), self._own_limits())
        self._service.join(self.pool_size)
        loop: LoopThread[RowWork] = LoopThread(
            f"elspeth-{self.node_id or self.name}", lambda work: pump.take(work), self._fail_open
        )
        record = None
        try:
            record = record_for(ctx.landscape, ctx.run_id, lambda count: _tell(loop, pump, count))
            purse = self._purse(governor, record, ctx.run_id)
            source = loop.wait_for(self._source(), _START_S)
            loop.at_end.append(source.close)
            cache = told = None
            if self.spans is not None and source.live:
                told = CallTelling(self.spans, self._endpoint, content=self.span_content)
            if self.earlier is None:  # a replay has its record, and to verify is to ask again
                cache = cache_for(ctx.landscape, ctx.run_id, self._endpoint.url, self.options.cache)
            around = Surroundings(
                source, self._service, purse, record, self._metrics, self._emit, cache, told
            )
            pump = loop.wait_for(self._pump(around), _START_S)
        except BaseException:
            loop.stop()
            if record is not None:
                record.close()
            raise
        return _Running(loop, pump, record)

    def _purse(self, governor: Governor, record: CallRecord, run_id: str) -> Purse:
        own = self._own_budget()
        if own is not None:
            own.start_from(*record.spent())
        budgets = tuple(budget for budget in (own, governor.budget) if budget is not None)
        prices = PriceTable({**governor.prices.prices, **self._prices.prices})
        return Purse(budgets, prices, self._endpoint.model, run_id)

    async def _pump(self, around: Surroundings) -> Pump:
        options = self.options
        way = self._endpoint.structured if options.structured == "auto" else options.structured
        frames = tuple(frame_of(query, options, self._endpoint.model, way) for query in self.queries)
        asking = Asking(self.queries, frames, way != "json_schema", options.repair_turns)
        retries = Retries(
            options.max_attempts,
            options.most_throttled,
            options.initial_delay_seconds,
            options.max_delay_seconds,
            options.circuit_wait_seconds,
        )
        provider = self._endpoint.provider if around.source.live else f"{self._endpoint.provider} (replayed)"
        return Pump(asking, around, self.pool_size, retries, provider)

    async def _source(self) -> Any:
        earlier = self.earlier
        if earlier is not None and earlier.mode is RunMode.REPLAY:
            return ReplaySource(earlier)
        from elspeth.plugins.llm.client import HttpSource  # noqa: PLC0415  # aiohttp takes 0.4 s

        options = self.options
        timeouts = Timeouts(
            options.connect_timeout_seconds, options.first_byte_timeout_seconds, options.timeout_seconds
        )
        live = HttpSource(self._endpoint, timeouts, self.pool_size)
        if earlier is None:
            return live
        return VerifySource(live, earlier, self._metrics, fail=options.fail_on_drift)

    def _service_name(self) -> str:
        return self.options.service or self._endpoint.provider

    def _own_limits(self) -> ServiceLimits | None:
        options = self.options
        if options.requests_per_minute is None and options.tokens_per_minute is None:
            return None
        return ServiceLimits(options.requests_per_minute, options.tokens_per_minute)

    def _own_budget(self) -> Budget | None:
        limits = self.options.budget
        if limits is None:
            return None
        name = self.node_id or self.name
        cost = None if limits.max_cost is None else Decimal(limits.max_cost)
        return Budget(name, max_cost=cost, max_tokens=limits.max_tokens)

    # Results, on the loop's or the journal's thread

    def _emit(self, work: RowWork, result: TransformResult | BaseException) -> None:
        with self._idle:
            if self._open.pop(id(work), None) is None:
                return  # it has its result: a budget ran out, or the node was closed
        if isinstance(result, TransformResult) and result.status == "success":
            self._metrics.rows_succeeded += 1
        else:
            self._metrics.rows_failed += 1
        assert self._output is not None
        self._output.emit(work.token, result)
        with self._idle:
            if not self._open:
                self._idle.notify_all()

    def _fail_open(self, error: BaseException) -> None:
        for work in list(self._open.values()):
            self._emit(work, error)


def _tell(loop: LoopThread[RowWork], pump: Pump, count: int) -> None:
    """The journal may be the last to end: then nobody needs to know any more."""
    with suppress(RuntimeError):
        loop.call(pump.durable, count)
