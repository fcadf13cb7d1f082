"""What every batch transform must hold to."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from elspeth.contracts.enums import Determinism
from elspeth.contracts.plugins import BatchTransform, PluginContext, Row
from elspeth.contracts.results import TransformResult
from elspeth.contracts.schema import PluginSchema
from elspeth.contracts.tokens import TokenInfo
from elspeth.testing.checks import (
    check,
    check_close_twice,
    check_identity,
    check_options,
    context,
    same,
    snapshot,
)
from elspeth.testing.transform_contract import REPEATABLE, check_result


class BatchTransformContract(ABC):
    """Subclass it, write `make` and `batches`; see `elspeth.testing`."""

    @abstractmethod
    def make(self) -> BatchTransform:
        """A new batch transform, always with the same options."""

    @abstractmethod
    def batches(self) -> Sequence[Sequence[Row]]:
        """New batches to work on: those that give something, and those that are errors."""

    def test_has_an_identity(self) -> None:
        """Name, version, determinism, options model."""
        check_identity(self.make())

    def test_options_are_described_and_closed(self) -> None:
        """JSON Schema with descriptions; unknown options are refused."""
        check_options(self.make())

    def test_results_are_well_formed(self) -> None:
        """One row, several rows, or a reason; and nothing that cannot be recorded."""
        for batch, result in self._results():
            check_result(result, batch)

    def test_does_not_change_its_input(self) -> None:
        """Neither the rows nor anything inside them, neither at once nor while later batches go through."""
        before = snapshot([list(batch) for batch in self.batches()])
        after = [list(batch) for batch, _ in self._results()]
        for number, (old, new) in enumerate(zip(before, after, strict=True)):
            check(same(old, new), f"process_batch() changed batch {number} in place: {old!r} became {new!r}")

    def test_same_input_same_output(self) -> None:
        """For what calls itself deterministic (or seeded): over batches, instances and order."""
        if self.make().determinism not in REPEATABLE:
            return
        first = [tuple(result) for _, result in self._results()]
        second = [tuple(result) for _, result in self._results()]
        for number, (one, other) in enumerate(zip(first, second, strict=True)):
            check(same(one, other), f"batch {number} came out as {one!r}, then as {other!r}")
        if self.make().determinism is Determinism.DETERMINISTIC:
            backwards = [tuple(result) for _, result in self._results(backwards=True)]
            check(
                all(map(same, first, reversed(backwards))),
                "what a batch gives depends on the batches before it: then it is not deterministic",
            )

    def test_missing_fields_are_errors_of_the_batch(self) -> None:
        """A row without a field that is demanded is no reason to raise."""
        transform, ctx = self._started()
        for batch in self.batches():
            for name in transform.input_schema.demands:
                poorer = [{field: value for field, value in row.items() if field != name} for row in batch]
                check_result(transform.process_batch(poorer, _about(ctx, poorer)), poorer)
        transform.close()

    def test_promises_are_kept(self) -> None:
        """What output_schema() promises for the rows of a batch is in the rows that come out."""
        transform, ctx = self._started()
        for batch in self.batches():
            common = frozenset.intersection(*(frozenset(row) for row in batch))
            promised = transform.output_schema(PluginSchema(guaranteed=common)).promises
            result = transform.process_batch(batch, _about(ctx, batch))
            for out in result.rows if result.rows is not None else [result.row]:
                missing = promised - out.keys() if out is not None else ()
                check(not missing, f"promised fields are missing: {sorted(missing)} in {out!r}")
        transform.close()

    def test_close_may_be_called_at_any_time(self) -> None:
        """Never started, and twice."""
        check_close_twice(self.make(), self.make())

    def _started(self) -> tuple[BatchTransform, PluginContext]:
        transform, ctx = self.make(), context()
        transform.on_start(ctx)
        return transform, ctx

    def _results(self, *, backwards: bool = False) -> list[tuple[Sequence[Row], TransformResult]]:
        """Each batch with its result, after all batches went through one instance."""
        transform, ctx = self._started()
        batches = list(reversed(self.batches())) if backwards else list(self.batches())
        check(batches and all(batches), "batches() must give at least one batch, and rows in each")
        results = [transform.process_batch(batch, _about(ctx, batch)) for batch in batches]
        transform.close()
        return list(zip(batches, results, strict=True))


def _about(ctx: PluginContext, batch: Sequence[Row]) -> PluginContext:
    """The context with the tokens of this batch."""
    ctx.tokens = [TokenInfo(f"row-{number}", f"token-{number}") for number in range(len(batch))]
    return ctx
