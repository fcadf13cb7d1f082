"""Plain blocking code, many rows at a time: a thread pool behind the contract of concurrent transforms."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pydantic import Field

from elspeth.contracts.plugins import Output, PluginContext, Row
from elspeth.contracts.results import TransformResult
from elspeth.plugins.transforms.base import BaseTransform, TransformOptions


class ThreadedOptions(TransformOptions):
    """Options of transforms that work in threads."""

    pool_size: int = Field(default=8, gt=0, description="How many rows are worked on at the same time.")


class ThreadedTransform(BaseTransform):
    """A transform whose ``work`` may block (a database, a slow service): it is called in a pool of threads.

    A subclass writes ``work(row, ctx)`` as another transform writes ``process``. It is called for
    ``pool_size`` rows at a time, so what it shares between rows must be safe for threads. Results
    go on in the order of the rows. What it raises stops the run, with the row named.
    """

    options_model = ThreadedOptions

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self.pool_size: int = getattr(self.options, "pool_size", 8)
        self._threads: ThreadPoolExecutor | None = None
        self._output: Output | None = None

    def work(self, row: Row, ctx: PluginContext) -> TransformResult:
        """The row that goes on, or why it can't; never change ``row`` in place."""
        raise NotImplementedError(f"{type(self).__name__} has no work()")

    def process(self, row: Row, ctx: PluginContext) -> TransformResult:
        """There is one code path, not two."""
        raise NotImplementedError(f"{type(self).__name__} works concurrently: the engine calls accept()")

    def connect_output(self, output: Output, max_pending: int) -> None:
        """Remember where results go."""
        self._output = output

    def on_start(self, ctx: PluginContext) -> None:
        """Start the threads."""
        self._threads = ThreadPoolExecutor(
            self.pool_size, thread_name_prefix=f"elspeth-{self.node_id or self.name}"
        )

    def accept(self, row: Row, ctx: PluginContext) -> None:
        """Queue the row for the next free thread."""
        assert self._threads is not None, "on_start() comes first"
        self._threads.submit(self._answer, row, ctx)

    def _answer(self, row: Row, ctx: PluginContext) -> None:
        assert self._output is not None
        assert ctx.token is not None
        result: TransformResult | Exception
        try:
            result = self.work(row, ctx)
        except Exception as error:  # noqa: BLE001  # the engine raises it where the run can be ended in order
            result = error
        self._output.emit(ctx.token, result)

    def flush(self) -> None:
        """Nothing waits for company."""

    def close(self) -> None:
        """End the threads; rows that no thread has begun are dropped: a resume takes them up again."""
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)
            self._threads = None
