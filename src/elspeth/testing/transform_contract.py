"""What every transform must hold to."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from queue import Queue
from typing import Any, cast

from elspeth.contracts.enums import Determinism
from elspeth.contracts.plugins import AnyToken, ConcurrentTransform, PluginContext, Row, Transform
from elspeth.contracts.results import TransformResult
from elspeth.contracts.schema import PluginSchema
from elspeth.contracts.tokens import TokenInfo
from elspeth.testing.checks import (
    check,
    check_close_twice,
    check_identity,
    check_options,
    check_row,
    context,
    same,
    snapshot,
)

LONGEST_WAIT_S = 60.0
REPEATABLE = {Determinism.DETERMINISTIC, Determinism.SEEDED}


class TransformContract(ABC):
    """Subclass it, write `make` and `rows`; see `elspeth.testing`."""

    @abstractmethod
    def make(self) -> Transform:
        """A new transform, always with the same options."""

    @abstractmethod
    def rows(self) -> Sequence[Row]:
        """New rows to work on: those that go on, and those that are errors."""

    def test_has_an_identity(self) -> None:
        """Name, version, determinism, options model."""
        check_identity(self.make())

    def test_options_are_described_and_closed(self) -> None:
        """JSON Schema with descriptions; unknown options are refused."""
        check_options(self.make())

    def test_results_are_well_formed(self) -> None:
        """One row, several rows, or a reason; and nothing that cannot be recorded."""
        for row, result in self._results():
            check_result(result, row)

    def test_does_not_change_its_input(self) -> None:
        """Neither the row nor anything inside it, neither at once nor while later rows go through."""
        before = snapshot(list(self.rows()))
        after = [row for row, _ in self._results()]
        for number, (old, new) in enumerate(zip(before, after, strict=True)):
            check(same(old, new), f"process() changed row {number} in place: {old!r} became {new!r}")

    def test_results_stay_as_they_are(self) -> None:
        """A result is not changed by the rows that follow."""
        transform, ctx = self._started()
        results, copies = [], []
        for row in self.rows():
            results.append(transform.process(row, ctx))
            copies.append(snapshot(results[-1]))
        transform.close()
        for number, (result, copied) in enumerate(zip(results, copies, strict=True)):
            check(same(tuple(result), tuple(copied)), f"the result of row {number} changed afterwards")

    def test_same_input_same_output(self) -> None:
        """For what calls itself deterministic (or seeded): over rows, instances and order."""
        if self.make().determinism not in REPEATABLE:
            return
        first = [tuple(result) for _, result in self._results()]
        second = [tuple(result) for _, result in self._results()]
        for number, (one, other) in enumerate(zip(first, second, strict=True)):
            check(same(one, other), f"row {number} came out as {one!r}, then as {other!r}")
        if self.make().determinism is Determinism.DETERMINISTIC:
            backwards = [tuple(result) for _, result in self._results(backwards=True)]
            check(
                all(map(same, first, reversed(backwards))),
                "what a row becomes depends on the rows before it: then it is not deterministic",
            )

    def test_missing_fields_are_errors_of_the_row(self) -> None:
        """A row without a field that the transform demands is no reason to raise."""
        transform, ctx = self._started()
        for row in self.rows():
            for name in transform.input_schema.demands & row.keys():
                poorer = {field: value for field, value in row.items() if field != name}
                result = transform.process(poorer, ctx)
                check_result(result, poorer)
        transform.close()

    def test_promises_are_kept(self) -> None:
        """What output_schema() promises for a row is in the rows that come out."""
        transform, ctx = self._started()
        for row in self.rows():
            promised = transform.output_schema(PluginSchema(guaranteed=frozenset(row))).promises
            result = transform.process(row, ctx)
            for out in result.rows if result.rows is not None else [result.row]:
                missing = promised - out.keys() if out is not None else ()
                check(not missing, f"promised fields are missing: {sorted(missing)} in {out!r}")
        transform.close()

    def test_close_may_be_called_at_any_time(self) -> None:
        """Never started, and twice."""
        check_close_twice(self.make(), self.make())

    def _started(self) -> tuple[Transform, PluginContext]:
        transform, ctx = self.make(), context()
        transform.on_start(ctx)
        if isinstance(transform, ConcurrentTransform):
            return cast(Transform, OneByOne(transform)), ctx
        return transform, ctx

    def _results(self, *, backwards: bool = False) -> Iterator[tuple[Row, TransformResult]]:
        """Each row with its result, after all rows went through one instance."""
        transform, ctx = self._started()
        rows = list(reversed(self.rows())) if backwards else list(self.rows())
        check(rows, "rows() must give at least one row")
        results = [transform.process(row, ctx) for row in rows]
        transform.close()
        return iter(list(zip(rows, results, strict=True)))


class OneByOne:
    """A concurrent transform as one that answers at once: rows go in by ``accept``, one after the other."""

    def __init__(self, transform: ConcurrentTransform) -> None:
        self._transform = transform
        self._answers: Queue[TransformResult | Exception] = Queue()
        transform.connect_output(self, 1)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transform, name)

    def emit(self, token: AnyToken, result: TransformResult | Exception) -> None:
        """What the transform answered."""
        self._answers.put(result)

    def process(self, row: Row, ctx: PluginContext) -> TransformResult:
        """The answer to one row; raises what the transform emitted in the place of a result."""
        self._transform.accept(row, replace(ctx, token=TokenInfo("row-1", "token-1", row)))
        self._transform.flush()
        result = self._answers.get(timeout=LONGEST_WAIT_S)
        if isinstance(result, Exception):
            raise result
        return result


def check_result(result: TransformResult, given: Row | Sequence[Row]) -> None:
    """The result of a row or of a batch is one row, several rows, or an error with a reason."""
    what = f"the result of {given!r}"
    check(
        isinstance(result, TransformResult), f"{what} must be a TransformResult, is {type(result).__name__}"
    )
    if result.status == "error":
        check(result.row is None and result.rows is None, f"{what} is an error and has rows too")
        reason = result.reason
        check(isinstance(reason, Mapping), f"{what} is an error without a reason")
        facts = dict(reason or {})
        text = facts.get("error")
        check(isinstance(text, str) and text, f"the reason of {what} has no text under 'error': {facts!r}")
        check_row(facts, f"the reason of {what}")
        return
    check(result.status == "success", f"{what} has the status {result.status!r}")
    check((result.row is None) != (result.rows is None), f"{what} must have either row or rows")
    outs = [result.row] if result.rows is None else list(result.rows)
    for out in outs:
        check_row(out, what)
    check(len({id(out) for out in outs}) == len(outs), f"{what} has the same dict twice")
