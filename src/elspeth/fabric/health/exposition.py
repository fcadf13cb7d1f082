"""Health in Prometheus' words (extra ``metrics``). Windows are labels: the figures are computed anew at each
scrape.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from elspeth.contracts.errors import UsageError
from elspeth.fabric.health.figures import ProviderHealth, WindowFigures

Health = Callable[[], Sequence[ProviderHealth]]
PREFIX = "elspeth_provider"
_OUTCOMES = ("succeeded", "failed", "throttled", "refused")
_LABELS = ("provider", "capability", "window")


def exposition(health: Health) -> str:
    """The text that a scrape gets. Raises UsageError without the library."""
    library = _library()
    return str(library.generate_latest(_registry(library, health)).decode())


def serve(health: Health, host: str, port: int) -> tuple[Any, Any]:
    """Answer scrapes at ``/metrics`` on a thread of its own; the server (``shutdown`` ends it) and that
    thread.

    Raises UsageError without the library, or for an address that can't be had.
    """
    library = _library()
    try:
        server, thread = library.start_http_server(port, addr=host, registry=_registry(library, health))
    except OSError as error:
        raise UsageError(
            f"{host}:{port} can't be listened on: {error.strerror or error}",
            fix="name another: --host, --port",
        ) from error
    return server, thread


class _Collector:
    def __init__(self, library: Any, health: Health) -> None:
        self._library = library
        self._health = health

    def collect(self) -> Iterator[Any]:
        found = self._health()
        yield self._calls(found)
        for name, text, figure in _FIGURES:
            yield self._gauge(found, f"{PREFIX}_{name}", text, figure)
        latency = self._family(
            f"{PREFIX}_latency_seconds", "Latency of calls that succeeded.", (*_LABELS, "quantile")
        )
        for labels, window in _each(found):
            for share, value in (("0.5", window.p50_ms), ("0.95", window.p95_ms), ("0.99", window.p99_ms)):
                if value is not None:
                    latency.add_metric([*labels, share], value / 1000)
        yield latency
        reputation = self._family(
            f"{PREFIX}_reputation", "0 to 100 over 30 days; shown, and used for nothing.", ("provider",)
        )
        for provider in found:
            if provider.reputation is not None:
                reputation.add_metric([provider.provider], provider.reputation)
        yield reputation

    def _calls(self, found: Sequence[ProviderHealth]) -> Any:
        calls = self._family(f"{PREFIX}_calls", "Calls in the window, by outcome.", (*_LABELS, "outcome"))
        for labels, window in _each(found):
            succeeded = window.counted - window.failed
            for outcome, count in zip(
                _OUTCOMES, (succeeded, window.failed, window.throttled, window.refused), strict=True
            ):
                calls.add_metric([*labels, outcome], count)
        return calls

    def _gauge(
        self,
        found: Sequence[ProviderHealth],
        name: str,
        text: str,
        figure: Callable[[WindowFigures], float | None],
    ) -> Any:
        family = self._family(name, text, _LABELS)
        for labels, window in _each(found):
            value = figure(window)
            if value is not None:
                family.add_metric(labels, value)
        return family

    def _family(self, name: str, text: str, labels: Sequence[str]) -> Any:
        return self._library.core.GaugeMetricFamily(name, text, labels=labels)


_FIGURES: tuple[tuple[str, str, Callable[[WindowFigures], float | None]], ...] = (
    ("availability_ratio", "The share of the calls that count that did not fail.", lambda w: w.availability),
    ("availability_target_ratio", "The share that the manifest promises.",
     lambda w: w.target.availability if w.target else None),
    ("error_budget_left_ratio", "What is left of the window's error budget; less than 0: overdrawn.",
     lambda w: w.budget_left),
    ("burn_rate", "How fast the error budget is used up; 1 is as fast as the target allows.", lambda w:
    w.burn_rate),
)  # fmt: skip


def _each(found: Sequence[ProviderHealth]) -> Iterator[tuple[list[str], WindowFigures]]:
    for provider in found:
        for capability in provider.capabilities:
            for window, figures in capability.windows.items():
                yield [provider.provider, capability.capability, window], figures


def _registry(library: Any, health: Health) -> Any:
    registry = library.CollectorRegistry(auto_describe=False)
    registry.register(_Collector(library, health))
    return registry


def _library() -> Any:
    try:
        import prometheus_client  # noqa: PLC0415  # an extra
        import prometheus_client.core  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise UsageError("metrics need prometheus-client", fix='pip install "elspeth[metrics]"') from error
    return prometheus_client
