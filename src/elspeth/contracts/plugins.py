"""What the engine asks of sources, transforms and sinks, and what it gives them.

A plugin is a class with a ``name`` and an ``options_model`` (pydantic), built from its validated
options. The engine calls, in this order and always from one thread: ``on_start(ctx)``, then the
work, then ``close()`` (in every case, also after errors).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

from elspeth.contracts.enums import Determinism
from elspeth.contracts.results import TransformResult
from elspeth.contracts.schema import PluginSchema

Row = dict[str, Any]


class AnyToken(Protocol):
    """What a plugin may know of the token that it works on."""

    @property
    def row_id(self) -> str: ...
    @property
    def token_id(self) -> str: ...
    @property
    def branch_name(self) -> str | None: ...


@dataclass(slots=True)
class PluginContext:
    """What a plugin is told about the run.

    The engine reuses one context per node and changes ``token`` (and ``attempt``) from row to row:
    take what you need while you are called, don't keep the context itself. A concurrent
    transform's ``accept`` gets a context of its own, which it may keep. ``tokens`` is for sinks:
    the tokens of the rows that they are given, in the same order. ``state_id`` is the node state
    that external calls made now belong to; empty where states are recorded after the work.
    """

    token: AnyToken | None = None
    tokens: Sequence[AnyToken] = ()
    landscape: Any = None
    run_id: str = ""
    node_id: str = ""
    attempt: int = 1
    config: Mapping[str, Any] = field(default_factory=dict)
    state_id: str = ""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A source row that cannot go on.

    ``raw`` is all that is known of it (parsed fields, or ``{"_raw": text}``), ``reason`` says what
    is wrong and how the pipeline file could accept it, ``field`` the culprit if there is one,
    ``line`` the 1-based line of the input if there are lines.
    """

    raw: Row
    reason: str
    field: str | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class RowFailure:
    """One row of a `Sink.write` that was not written. ``index`` is its place in the call's list."""

    index: int
    reason: str


@dataclass(frozen=True, slots=True)
class Artifact:
    """What a sink left behind: where, and SHA-256 (hex) and size in bytes of the whole of it.

    ``content_hash`` and ``size_bytes`` are None where the thing has none (a database table). A sink that
    leaves several things gives each as one of the ``parts``, which are what goes on record; its own
    ``path_or_uri`` is then a pattern that fits them all.
    """

    path_or_uri: str
    content_hash: str | None
    size_bytes: int | None
    rows: int
    parts: "tuple[Artifact, ...]" = ()


def glob_of(names: Sequence[str]) -> str:
    """A name with ``*`` for what differs between these (at least one), which are otherwise alike."""
    head = _common(names)
    rest = [name[len(head) :] for name in names]
    tail = _common([one[::-1] for one in rest])[::-1]
    return head if not any(rest) else f"{head}*{tail}"


def _common(names: Sequence[str]) -> str:
    first, last = min(names), max(names)
    return first[: next((at for at, char in enumerate(first) if not last.startswith(char, at)), len(first))]


class Plugin(Protocol):
    """What every plugin has. ``plugin_version`` changes whenever its behaviour does."""

    name: ClassVar[str]
    plugin_version: ClassVar[str]
    determinism: ClassVar[Determinism]

    def on_start(self, ctx: PluginContext) -> None:
        """Acquire what the work needs. Raises SourceError, SinkError or PluginError."""

    def close(self) -> None:
        """Release everything; called once, also after errors. Must not publish anything."""


@runtime_checkable
class Source(Plugin, Protocol):
    """Where rows come from."""

    output_schema: PluginSchema
    original_headers: Mapping[str, str]
    """Field → heading in the input, where they differ; known once the first row is read."""

    def check(self) -> Sequence[str]:
        """What would keep this source from being read, found without reading it all; empty if nothing."""

    def identity(self) -> Mapping[str, Any]:
        """What tells this input from another, as JSON, without reading it all; empty if nothing does.

        A resume compares it with what it was at the start of the run.
        """

    def preview_schema(self) -> PluginSchema:
        """What the rows will look like, from the head of the input. Raises SourceError."""

    def observed_schema(self) -> PluginSchema | None:
        """What was inferred, once the first row is read; None if nothing was inferred."""

    def load(self, ctx: PluginContext) -> Iterator[Row | Quarantined]:
        """Yield rows in a stable order, streaming.

        A yielded dict belongs to the engine: don't change it afterwards. A row that cannot be used
        is yielded as `Quarantined`; SourceError is for what makes reading on impossible.
        """

    def position(self) -> Mapping[str, Any]:
        """Where the next row will come from, as JSON: valid between two items of `load`.

        The trap: readers read ahead; the position is that of the last *yielded* row.
        """

    def seek(self, position: Mapping[str, Any]) -> None:
        """Make `load` start at a `position` from an earlier run. Called before `load`."""

    def size_hint(self) -> int | None:
        """About how many rows there are in all, if that is cheap to know."""


@runtime_checkable
class Transform(Plugin, Protocol):
    """One step for one row."""

    input_schema: PluginSchema
    needs_values: ClassVar[bool]
    """Whether the fields that it demands must hold something; False: null is as good as any value."""

    def output_schema(self, incoming: PluginSchema) -> PluginSchema:
        """What comes out if ``incoming`` goes in (called at validation)."""

    def process(self, row: Row, ctx: PluginContext) -> TransformResult:
        """Return the row that goes on, or why it can't.

        Must not change ``row`` in place: build a new dict (``{**row, ...}``), or return ``row``
        itself if nothing changes. Raising means a bug, and stops the run.
        """


class Output(Protocol):
    """Where a concurrent transform leaves its results."""

    def emit(self, token: AnyToken, result: TransformResult | Exception) -> None:
        """The answer for the token of one `ConcurrentTransform.accept`; from any thread, once.

        Give the very ``ctx.token`` that came with the row. An exception means a bug and stops the run.
        """


@runtime_checkable
class ConcurrentTransform(Plugin, Protocol):
    """One step for one row at a time, many of them at once.

    ``pool_size`` is how many rows the plugin works on at the same time; the engine keeps some 16
    times as many in flight. Its `process` raises NotImplementedError: there is one code path. One
    that has ``retries_itself = True`` has tried again what is worth it: the engine does not.
    """

    pool_size: int
    input_schema: PluginSchema
    needs_values: ClassVar[bool]

    def output_schema(self, incoming: PluginSchema) -> PluginSchema:
        """What comes out if ``incoming`` goes in (called at validation)."""

    def connect_output(self, output: Output, max_pending: int) -> None:
        """Called once, before the first row: where results go, and how many rows may be pending."""

    def accept(self, row: Row, ctx: PluginContext) -> None:
        """Take a row and return at once. ``ctx`` belongs to this row: keep it, and emit its ``token``."""

    def flush(self) -> None:
        """No more rows will come: answer all that is pending without waiting for more."""


@runtime_checkable
class BatchTransform(Plugin, Protocol):
    """One step for many rows at once, in an aggregation."""

    input_schema: PluginSchema
    needs_values: ClassVar[bool]

    def output_schema(self, incoming: PluginSchema) -> PluginSchema:
        """What comes out if ``incoming`` goes in (called at validation)."""

    def process_batch(self, rows: Sequence[Row], ctx: PluginContext) -> TransformResult:
        """Handle the rows of a batch (at least one; ``ctx.tokens`` are their tokens, in order).

        `TransformResult.success(row)` or ``expand(rows)``: what replaces the batch; with
        ``output_mode: passthrough`` there must be one row for each, in order. `TransformResult.error`:
        the whole batch failed. The rows must not be changed in place.
        """


@runtime_checkable
class Sink(Plugin, Protocol):
    """Where rows end."""

    idempotent: ClassVar[bool]
    input_schema: PluginSchema
    original_headers: Mapping[str, str]
    """Field → heading in the source; set by the engine before the first `write`."""

    def write(self, rows: Sequence[Row], ctx: PluginContext) -> Sequence[RowFailure]:
        """Take these rows, in order. Rows that can't be written are returned, the others are taken."""

    def flush(self) -> None:
        """Make what was written durable: it must survive the death of this process."""

    def position(self) -> Mapping[str, Any]:
        """What a resume needs to come back to the state after the last `flush`, as JSON."""

    def restore(self, position: Mapping[str, Any]) -> None:
        """Come back to a `position`: forget all that was written after it. Called after `on_start`."""

    def publish(self) -> Artifact:
        """The run is complete: make the output visible to others, in one step."""

    def check(self) -> Sequence[str]:
        """What would keep this sink from writing, found without writing; empty if nothing."""

    def targets(self) -> Sequence[str]:
        """What will be written to: absolute paths or URIs, for the plan and to find collisions."""
