"""Spans of a run for those who watch from outside: what the pipeline file says of telemetry, carried out.

Signals are for operators, and no record depends on them: a receiver that is not there delays no row and
fails no run. What could not be sent is counted, and said at the end.
"""

import logging
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from secrets import token_bytes
from typing import TYPE_CHECKING, Any

from elspeth.api.assemble import Assembled
from elspeth.contracts.errors import UsageError
from elspeth.contracts.spans import Span
from elspeth.contracts.version import __version__
from elspeth.core.config.runtime import ExporterSettings
from elspeth.core.secrets import Redactor
from elspeth.engine.spans import SpanFactory

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

MOST_WAITING = 100_000
_BATCH = 512
_EVERY_S = 1.0

_log = logging.getLogger("elspeth.telemetry")


@contextmanager
def telemetry(
    assembled: Assembled, exporters: "Sequence[SpanExporter] | None" = None
) -> Iterator[SpanFactory]:
    """The span factory that the pipeline file asks for; what it tells has been sent when this ends.

    ``exporters`` take the place of those of the file. Raises UsageError if OpenTelemetry is not installed.
    """
    settings = assembled.loaded.settings.telemetry
    if not settings.enabled:
        yield SpanFactory()
        return
    if exporters is None:
        exporters = [_exporter(each) for each in settings.exporters]
    sender = Sender(exporters, assembled.redactor)
    rows = settings.granularity in ("rows", "full")
    if settings.granularity == "full":
        callers: list[Any] = [
            plugin for plugin in assembled.assembly.transforms.values() if hasattr(plugin, "spans")
        ]
        for plugin in callers:
            plugin.spans, plugin.span_content = sender.put, settings.content
    try:
        yield SpanFactory(True, sender.put, rows=rows)
    finally:
        sender.close()


def _exporter(settings: ExporterSettings) -> "SpanExporter":
    try:
        # An optional extra, and half a second of imports.
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter  # noqa: PLC0415

        if settings.name == "console":
            # stdout is for results.
            return ConsoleSpanExporter(
                out=sys.stderr, formatter=lambda span: span.to_json(indent=None) + "\n"
            )
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise UsageError("telemetry needs OpenTelemetry", fix='pip install "elspeth[otel]"') from error
    given = settings.options
    return OTLPSpanExporter(
        endpoint=given.get("endpoint"), headers=given.get("headers"), timeout=given.get("timeout_seconds", 5)
    )


class Sender:
    """Hands spans to exporters, in batches, on a thread of its own. `put` never waits."""

    def __init__(self, exporters: "Sequence[SpanExporter]", redactor: Redactor) -> None:
        self._exporters = exporters
        self._making = _Making(redactor)
        self._waiting: deque[Span] = deque()
        self._wake = threading.Event()
        self._closing = False
        self.lost = 0
        self._thread = threading.Thread(target=self._work, name="elspeth-telemetry", daemon=True)
        self._thread.start()

    def put(self, span: Span) -> None:
        """Send this soon. Safe to call from all threads."""
        if len(self._waiting) >= MOST_WAITING:
            self.lost += 1
            return
        self._waiting.append(span)
        if len(self._waiting) >= _BATCH and not self._wake.is_set():
            self._wake.set()

    def close(self) -> None:
        """Send what is left, and say what was lost."""
        self._closing = True
        self._wake.set()
        self._thread.join()
        for exporter in self._exporters:
            exporter.shutdown()
        if self.lost:
            _log.warning("telemetry: %d spans could not be sent", self.lost)

    def _work(self) -> None:
        while not (self._closing and not self._waiting):
            self._wake.wait(_EVERY_S)
            self._wake.clear()
            refused = False
            while self._waiting and not (refused and self._closing):
                some = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
                refused = not self._send(some)
            if refused and self._closing:
                # Nobody takes them: each further batch would wait for its time-out.
                self.lost += len(self._waiting)
                self._waiting.clear()

    def _send(self, spans: Sequence[Span]) -> bool:
        made = [self._making.span(span) for span in spans]
        taken = True
        for exporter in self._exporters:
            try:
                taken = exporter.export(made).name == "SUCCESS" and taken
            except Exception as error:  # noqa: BLE001  # whatever is wrong with a receiver, the run goes on
                _log.warning("telemetry: %s: %s", type(error).__name__, error)
                taken = False
        self.lost += 0 if taken else len(spans)
        return taken


class _Making:
    """OpenTelemetry's spans of ours. Ids come of keys, so that a run and its resume make one trace."""

    def __init__(self, redactor: Redactor) -> None:
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415  # an optional extra
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope  # noqa: PLC0415

        self._redactor = redactor
        self._resource = Resource.create({"service.name": "elspeth", "service.version": __version__})
        self._scope = InstrumentationScope("elspeth", __version__)

    def span(self, span: Span) -> "ReadableSpan":
        from opentelemetry.sdk.trace import ReadableSpan  # noqa: PLC0415
        from opentelemetry.trace import SpanKind, Status, StatusCode  # noqa: PLC0415

        clean = self._redactor.text
        broke = None if span.error is None else Status(StatusCode.ERROR, clean(span.error))
        return ReadableSpan(
            name=span.name,
            context=_context(span.run_id, span.key),
            parent=_context(span.run_id, span.parent) if span.parent else None,
            resource=self._resource,
            attributes={name: clean(value) if isinstance(value, str) else value
                        for name, value in span.attributes.items()},
            kind=SpanKind.CLIENT if span.client else SpanKind.INTERNAL,
            status=broke or Status(StatusCode.UNSET),
            start_time=span.started_ns,
            end_time=span.ended_ns,
            instrumentation_scope=self._scope,
        )  # fmt: skip


def _context(run_id: str, key: str) -> Any:
    from opentelemetry.trace import SpanContext, TraceFlags  # noqa: PLC0415

    return SpanContext(
        trace_id=_number(f"run {run_id}" if run_id else "", 16),
        span_id=_number(key, 8),
        is_remote=False,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )


def _number(key: str, size: int) -> int:
    """An id of so many bytes: always the same for a key, and a new one without."""
    return int.from_bytes(sha256(key.encode()).digest()[:size] if key else token_bytes(size), "big")
