"""Plain blocking code as a concurrent transform: a pool of threads behind `accept` and `emit`."""

from abc import abstractmethod
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from threading import Lock
from typing import Any

from pydantic import Field

from elspeth.contracts.errors import PluginError
from elspeth.contracts.plugins import Output, PluginContext, Row
from elspeth.contracts.results import TransformResult
from elspeth.plugins.transforms.base import BaseTransform, TransformOptions


class ThreadedOptions(TransformOptions):
    """The base of a threaded transform's options."""

    pool_size: int = Field(default=8, ge=1, le=1000, description="Rows that are worked on at once.")


class ThreadedTransform(BaseTransform):
    """A transform that waits (for a server, a program, a lock): a subclass writes `work`, as if for one row.

    `work` is called on many threads at once, so that what it shares must be safe to share. What it raises
    stops the run, as in any transform. Rows leave in the order in which they came.
    """

    options_model = ThreadedOptions
    options: ThreadedOptions

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self.pool_size = self.options.pool_size
        self._output: Output | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._open: set[Future[None]] = set()
        self._lock = Lock()

    @abstractmethod
    def work(self, row: Row, ctx: PluginContext) -> TransformResult:
        """Return the row that goes on, or why it can't; never change ``row`` in place."""

    def process(self, row: Row, ctx: PluginContext) -> TransformResult:
        """There is one way in, `accept`."""
        raise NotImplementedError(f"{type(self).__name__} is concurrent: use accept() and connect_output()")

    def connect_output(self, output: Output, max_pending: int = 0) -> None:
        """Where results go. ``max_pending`` is for the caller to keep."""
        self._output = output

    def accept(self, row: Row, ctx: PluginContext) -> None:
        """Take a row in; its result comes through the output. Raises PluginError without one."""
        if self._output is None:
            raise PluginError(f"{self.name} has no output", fix="call connect_output() before accept()")
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self.pool_size, f"elspeth-{self.node_id or self.name}")
        future = self._threads.submit(self._one, row, ctx, self._output)
        with self._lock:
            self._open.add(future)
        future.add_done_callback(partial(self._done, ctx, self._output))

    def flush(self) -> None:
        """Return when every row has its result; at once where the output is ``polled`` (the engine's)."""
        if not getattr(self._output, "polled", False):
            with self._lock:
                pending = list(self._open)
            wait(pending)

    def close(self) -> None:
        """Rows that nobody has begun get a PluginError; those under way are finished."""
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(cancel_futures=True)

    def _one(self, row: Row, ctx: PluginContext, output: Output) -> None:
        assert ctx.token is not None
        result: TransformResult | Exception
        try:
            result = self.work(row, ctx)
        except Exception as error:  # noqa: BLE001  # whoever waits for this row has to hear of it
            result = error
        output.emit(ctx.token, result)

    def _done(self, ctx: PluginContext, output: Output, future: Future[None]) -> None:
        with self._lock:
            self._open.discard(future)
        if future.cancelled() and ctx.token is not None:
            output.emit(ctx.token, PluginError(f"{self.name} was closed before this row had its result"))
