"""Spans: how long which piece of work took, for whoever watches from outside."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext

from elspeth.contracts.spans import Span, drop

__all__ = ["Span", "SpanFactory"]


class SpanFactory:
    """Makes context managers around pieces of work; each hands its `Span` to ``export`` when it is left.

    Not enabled (the default), they do nothing and cost a function call. ``rows``: whether the engine
    is to tell of each row at each node as well.
    """

    def __init__(
        self,
        enabled: bool = False,
        export: Callable[[Span], None] = drop,
        ns: Callable[[], int] = time.perf_counter_ns,
        *,
        rows: bool = False,
    ) -> None:
        self.enabled = enabled
        self.rows = enabled and rows
        self._export = export
        self._ns = ns

    def span(self, name: str, **attributes: str) -> AbstractContextManager[None]:
        """Around any piece of work."""
        return self._measured(name, attributes) if self.enabled else nullcontext()

    def tell(self, span: Span) -> None:
        """Hand over a piece of work that was measured elsewhere."""
        if self.enabled:
            self._export(span)

    def run_span(self, run_id: str) -> AbstractContextManager[None]:
        """Around a whole run."""
        return self.span("run", run_id=run_id)

    def node_span(self, kind: str, node_id: str, token_id: str) -> AbstractContextManager[None]:
        """Around one token at one node; ``kind`` is what the node is (transform, gate, …)."""
        return self.span(kind, node_id=node_id, token_id=token_id)

    @contextmanager
    def _measured(self, name: str, attributes: Mapping[str, str]) -> Iterator[None]:
        started = self._ns()
        broke: str | None = None
        try:
            yield
        except BaseException as error:
            broke = f"{type(error).__name__}: {error}"
            raise
        finally:
            self._export(Span(name, attributes, started, self._ns(), broke))
