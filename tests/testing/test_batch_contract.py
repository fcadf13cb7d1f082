"""The contract for batch transforms finds what it is there to find."""

from collections.abc import Sequence
from typing import Any

import pytest

from elspeth.contracts import BatchTransform, PluginContext, Row, TransformResult
from elspeth.contracts.schema import PluginSchema
from elspeth.plugins.transforms.base import BaseBatchTransform
from elspeth.testing import BatchTransformContract


class Good(BaseBatchTransform):
    name = "good"

    def process_batch(self, rows: Sequence[Row], ctx: PluginContext) -> TransformResult:
        return TransformResult.success({"n": len(rows), "last": ctx.tokens[-1].token_id})


class InPlace(Good):
    def process_batch(self, rows: Sequence[Row], ctx: PluginContext) -> TransformResult:
        rows[0]["seen"] = True
        return TransformResult.success({"n": len(rows)})


class Remembering(Good):
    total = 0

    def process_batch(self, rows: Sequence[Row], ctx: PluginContext) -> TransformResult:
        self.total += len(rows)
        return TransformResult.success({"n": self.total})


class NoReason(Good):
    def process_batch(self, rows: Sequence[Row], ctx: PluginContext) -> TransformResult:
        return TransformResult.error({"code": 7})


class Promising(Good):
    def output_schema(self, incoming: PluginSchema) -> PluginSchema:
        return PluginSchema(guaranteed=frozenset({"never"}))


class Demanding(Good):
    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self.require(["id"])

    def process_batch(self, rows: Sequence[Row], ctx: PluginContext) -> TransformResult:
        return TransformResult.success({"ids": [row["id"] for row in rows]})


def contract_of(cls: type[BaseBatchTransform]) -> BatchTransformContract:
    class Contract(BatchTransformContract):
        def make(self) -> BatchTransform:
            return cls({})

        def batches(self) -> list[list[Row]]:
            return [[{"id": 1}], [{"id": 2}, {"id": 3}]]

    return Contract()


def test_good_ones_pass() -> None:
    contract = contract_of(Good)
    for name in dir(contract):
        if name.startswith("test_"):
            getattr(contract, name)()


@pytest.mark.parametrize(
    ("transform", "test", "message"),
    [
        (InPlace, "test_does_not_change_its_input", r"process_batch\(\) changed batch 0 in place"),
        (Remembering, "test_same_input_same_output", "depends on the batches before it"),
        (NoReason, "test_results_are_well_formed", "has no text under 'error'"),
        (Promising, "test_promises_are_kept", r"promised fields are missing: \['never'\]"),
    ],
)
def test_bad_ones_are_found(transform: type[BaseBatchTransform], test: str, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        getattr(contract_of(transform), test)()


def test_missing_fields_must_not_raise() -> None:
    with pytest.raises(KeyError):
        contract_of(Demanding).test_missing_fields_are_errors_of_the_batch()


def test_a_batch_transform_needs_its_method() -> None:
    with pytest.raises(NotImplementedError, match=r"BaseBatchTransform has no process_batch\(\)"):
        BaseBatchTransform({}).process_batch([{}], PluginContext())
