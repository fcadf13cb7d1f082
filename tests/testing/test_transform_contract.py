"""The contract for transforms finds what it is there to find."""

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel

from elspeth.contracts.enums import Determinism
from elspeth.contracts.plugins import PluginContext, Row
from elspeth.contracts.results import TransformResult
from elspeth.contracts.schema import FieldSpec, PluginSchema
from elspeth.plugins.transforms.base import BaseTransform
from elspeth.testing import TransformContract


class Good(BaseTransform):
    name = "good"

    def process(self, row: Row, ctx: PluginContext) -> TransformResult:
        return TransformResult.success(row)


class InPlace(Good):
    def process(self, row: Row, ctx: PluginContext) -> TransformResult:
        row["list"].append(1)
        return TransformResult.success(row)


class Counting(Good):
    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self.seen = 0

    def process(self, row: Row, ctx: PluginContext) -> TransformResult:
        self.seen += 1
        return TransformResult.success({**row, "seen": self.seen})


class Reusing(Good):
    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self.out: Row = {}

    def process(self, row: Row, ctx: PluginContext) -> TransformResult:
        self.out.update(row)
        return TransformResult.success(self.out)


class NoResult(Good):
    def process(self, row: Row, ctx: PluginContext) -> TransformResult:
        return row  # type: ignore[return-value]


class NoReason(Good):
    def process(self, row: Row, ctx: PluginContext) -> TransformResult:
        return TransformResult.error({"code": 7})


class SameDictTwice(Good):
    def process(self, row: Row, ctx: PluginContext) -> TransformResult:
        return TransformResult.expand([row, row])


class Unrecordable(Good):
    def process(self, row: Row, ctx: PluginContext) -> TransformResult:
        return TransformResult.success({"x": object()})


class Raising(Good):
    input_schema = PluginSchema.demanding(["id"])

    def process(self, row: Row, ctx: PluginContext) -> TransformResult:
        return TransformResult.success({"id": row["id"]})


class Promising(Good):
    def output_schema(self, incoming: PluginSchema) -> PluginSchema:
        return PluginSchema(fields=(FieldSpec("never"),))


class OpenOptions(Good):
    class Model(BaseModel):
        pass

    options_model = Model


class OptionWithoutWords(Good):
    class Model(BaseModel, extra="forbid"):
        size: int = 1

    options_model = Model


class Nameless(Good):
    name = ""


class CloseOnce(Good):
    closed = False

    def close(self) -> None:
        assert not self.closed, "closed twice"
        self.closed = True


class Lucky(Counting):
    determinism: ClassVar[Determinism] = Determinism.NON_DETERMINISTIC


def contract_of(transform: type[BaseTransform]) -> TransformContract:
    class Contract(TransformContract):
        def make(self) -> Any:
            return transform({})

        def rows(self) -> list[Row]:
            return [{"id": 1, "list": []}, {"id": 2, "list": [float("1.5")]}]

    return Contract()


def every_test(contract: TransformContract) -> list[Callable[[], None]]:
    return [getattr(contract, name) for name in dir(contract) if name.startswith("test_")]


@pytest.mark.parametrize("transform", [Good, Lucky])
def test_good_ones_pass(transform: type[BaseTransform]) -> None:
    for test in every_test(contract_of(transform)):
        test()


@pytest.mark.parametrize(
    ("transform", "test", "message"),
    [
        (InPlace, "test_does_not_change_its_input", r"process\(\) changed row 0 in place"),
        (Counting, "test_same_input_same_output", "depends on the rows before it"),
        (Reusing, "test_results_stay_as_they_are", "the result of row 0 changed afterwards"),
        (NoResult, "test_results_are_well_formed", "must be a TransformResult, is dict"),
        (NoReason, "test_results_are_well_formed", "has no text under 'error'"),
        (SameDictTwice, "test_results_are_well_formed", "the same dict twice"),
        (Unrecordable, "test_results_are_well_formed", "holds what cannot be recorded"),
        (Promising, "test_promises_are_kept", r"promised fields are missing: \['never'\]"),
        (OpenOptions, "test_options_are_described_and_closed", 'needs extra="forbid"'),
        (OptionWithoutWords, "test_options_are_described_and_closed", "have no description: size"),
        (Nameless, "test_has_an_identity", "Nameless.name must be a text, is ''"),
        (CloseOnce, "test_close_may_be_called_at_any_time", "closed twice"),
    ],
)
def test_bad_ones_are_found(transform: type[BaseTransform], test: str, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        getattr(contract_of(transform), test)()


def test_missing_fields_must_not_raise() -> None:
    with pytest.raises(KeyError):
        contract_of(Raising).test_missing_fields_are_errors_of_the_row()


def test_make_and_rows_must_be_written() -> None:
    with pytest.raises(TypeError, match="make"):
        type("Empty", (TransformContract,), {})()
