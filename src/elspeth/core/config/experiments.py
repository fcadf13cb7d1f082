"""Experiments: which variant of a transform a row meets, decided the same way for ever."""

import math
from array import array
from collections.abc import Iterator
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from elspeth.core.config.buckets import CENTI, exact_hundredths, fine_of, hundredths, shares, unit_hash
from elspeth.core.config.models_base import Settings, StepName, Text, break_rules, broken_rule, shown


def _number(value: Any) -> Any:
    if isinstance(value, Decimal) and value.is_finite():
        return _tidy(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise broken_rule(
            f"a number must stand here, and this is {shown(value)}", fix="write a number without quotes"
        )
    return value


Percentage = Annotated[int | float, BeforeValidator(_number)]


def _tidy(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


class VariantConfig(Settings):
    """One version of the transform that an experiment varies."""

    variant_id: Text = Field(description="The variant's name, unique in the experiment.")
    weight: Percentage = Field(
        ge=0, le=100, description="Percent of the units that get this variant, in multiples of 0.01."
    )
    transform_overrides: dict[str, Any] = Field(
        default_factory=dict, description="Options of the transform that are different in this variant."
    )
    description: str = Field("", description="What is different, in words.")


def _limit(value: Any) -> Any:
    if value is None:
        return value
    if isinstance(value, str):
        number = value.removesuffix("%").strip()
        plain = number.replace(".", "", 1)
        if not (plain.isascii() and plain.isdigit()) or not value.endswith("%"):
            raise broken_rule(f"{value!r} is neither a number nor a percentage", fix="write e.g. 20% or 0.2")
    elif _number(value) < 0:
        raise broken_rule(f"a limit cannot be negative, and this is {value}", fix="leave out the sign")
    return value


Limit = Annotated[int | float | str | None, BeforeValidator(_limit)]


class GuardrailConfig(Settings):
    """How far a metric may get worse before the experiment counts as harmful.

    Limits are relative where they are written with a percent sign (``20%``), else absolute.
    """

    max_increase: Limit = Field(
        None, description="The largest increase that is tolerated, e.g. `20%` or `0.5`."
    )
    max_decrease: Limit = Field(None, description="The largest decrease that is tolerated, e.g. `1%`.")

    @model_validator(mode="after")
    def _some_limit(self) -> "GuardrailConfig":
        if self.max_increase is None and self.max_decrease is None:
            raise broken_rule("a guardrail without a limit guards nothing", fix="add `max_increase: 20%`")
        return self


class MetricConfig(Settings):
    """What is measured, and which direction is good."""

    name: Text = Field(description="The metric's name, unique in the experiment.")
    value: Text = Field(
        description="An expression over `row`, or `usage.…` and `state.…` for what the call's record says."
    )
    type: Literal["mean", "proportion", "ratio", "quantile", "count"] = Field(
        "mean", description="How the values of a variant become one figure."
    )
    per: Text | None = Field(None, description="The denominator of a `ratio`: an expression, or `rows`.")
    q: float | None = Field(None, gt=0, lt=1, description="Which quantile, e.g. 0.95, for `type: quantile`.")
    goal: Literal["increase", "decrease"] = Field(
        "increase",
        description="Which direction is better. With a guardrail of `max_increase` alone it is `decrease`.",
    )
    primary: bool = Field(
        False, description="Whether the verdict rests on this metric (corrected for several)."
    )
    guardrail: GuardrailConfig | None = Field(None, description="How much worse it may get at most.")
    covariate: Text | None = Field(
        None, description="An expression for a value known before the experiment, to reduce variance (CUPED)."
    )
    non_inferiority_margin: Percentage | None = Field(
        None, gt=0, description="How much worse still counts as `non-inferior`, in the metric's own unit."
    )

    @model_validator(mode="before")
    @classmethod
    def _guarded_increase_is_bad(cls, data: Any) -> Any:
        rail = data.get("guardrail") if isinstance(data, dict) else None
        if isinstance(rail, dict) and set(rail) == {"max_increase"} and "goal" not in data:
            return {**data, "goal": "decrease"}
        return data

    @model_validator(mode="after")
    def _parts_fit(self) -> "MetricConfig":
        for key, kind, example in (("per", "ratio", "rows"), ("q", "quantile", "0.95")):
            given = getattr(self, key) is not None
            if given and self.type != kind:
                raise broken_rule(
                    f"{key} has no meaning with type: {self.type}",
                    fix=f"write `type: {kind}`, or take {key} out",
                    at=(key,),
                )
            if self.type == kind and not given:
                raise broken_rule(f"a {kind} needs `{key}`", fix=f"add `{key}: {example}`", at=("type",))
        return self


class JudgeConfig(Settings):
    """Who compares the answers of a paired experiment, row by row, while it runs."""

    plugin: Text = Field("llm_judge", description="A transform that says which of two answers is better.")
    options: dict[str, Any] = Field(default_factory=dict, description="Its options.")


class ExperimentConfig(Settings):
    """A comparison of variants of one transform on the same stream of rows."""

    experiment_id: Text = Field(
        description="The experiment's identity; part of the hash that assigns variants."
    )
    name: Text = Field(description="The experiment's title, for people.")
    description: str = Field("", description="What the experiment is about.")
    enabled: bool = Field(
        True, description="Whether rows are assigned; false runs the transform as configured."
    )
    transform: StepName | None = Field(
        None, description="The transform that is varied; may be left out where only one fits."
    )
    unit: Text | None = Field(
        None,
        description="An expression for what is assigned, e.g. `row['customer_id']`; default: the source row's"
        " content hash.",
    )
    mode: Literal["split", "paired"] = Field(
        "split", description="`split`: each unit meets one variant; `paired`: every row goes through all."
    )
    control: Text | None = Field(None, description="The variant to compare with; default: the first.")
    exposure: Percentage = Field(
        100, gt=0, le=100, description="Percent of the units that take part; the others meet no variant."
    )
    planned_units: int | None = Field(
        None,
        gt=1,
        description="How many units, all variants together, were planned. One complete run with as many gets"
        " fixed-n tests, one with fewer confidence sequences. Default: whatever one run has.",
    )
    variants: list[VariantConfig] = Field(
        strict=False, description="The variants; their weights must total exactly 100."
    )
    metrics: list[MetricConfig] = Field(
        default_factory=list, strict=False, description="What is measured per variant."
    )
    judge: JudgeConfig | None = Field(
        None, description="With `mode: paired`: who says of each row which answer is better."
    )

    @field_validator("experiment_id", mode="after")
    @classmethod
    def _no_colon(cls, value: str) -> str:
        if ":" in value:
            raise broken_rule(
                f"experiment_id {value!r} contains ':', which separates it from the unit in the hash",
                fix=f"write {value.replace(':', '-')!r}",
            )
        return value

    @model_validator(mode="after")
    def _parts_fit(self) -> "ExperimentConfig":
        break_rules(self._misfits())
        return self

    def _misfits(self) -> Iterator[PydanticCustomError]:
        yield from self._wrong_weights()
        yield from _twice([variant.variant_id for variant in self.variants], ("variants", "variant_id"))
        yield from _twice([metric.name for metric in self.metrics], ("metrics", "name"))
        ids = [variant.variant_id for variant in self.variants]
        if self.control is not None and self.control not in ids:
            yield broken_rule(
                f"control {self.control!r} is not one of the variants",
                fix=f"choose one of {', '.join(dict.fromkeys(ids))}",
                at=("control",),
            )
        if self.judge is not None and self.mode != "paired":
            yield broken_rule(
                "a judge compares two answers to one row, and `mode: split` gives each row one",
                fix="write `mode: paired`, or take the judge out",
                at=("judge",),
            )
        if exact_hundredths(self.exposure) % 1:
            yield broken_rule(
                f"exposure {self.exposure} is not a multiple of 0.01", fix="round it", at=("exposure",)
            )

    def _wrong_weights(self) -> Iterator[PydanticCustomError]:
        total = sum((exact_hundredths(variant.weight) for variant in self.variants), Decimal()) * CENTI
        if total != 100:
            given = " + ".join(f"{variant.weight:g}" for variant in self.variants)
            yield broken_rule(
                f"the weights of the variants total {_tidy(total)} ({given or 'none'}), but must total 100",
                fix="change the weights so that they total exactly 100",
                at=("variants",),
            )
        if len(self.variants) < 2:
            yield broken_rule(
                "an experiment with one variant compares nothing", fix="add a variant", at=("variants",)
            )
        for index, variant in enumerate(self.variants):
            if exact_hundredths(variant.weight) % 1:
                yield broken_rule(
                    f"weight {variant.weight} of variant {variant.variant_id!r} is not a multiple of 0.01",
                    fix="round the weights to two decimals, keeping the total of 100",
                    at=("variants", index, "weight"),
                )

    @property
    def control_id(self) -> str:
        """The variant to compare with: ``control``, else the first."""
        return self.control or self.variants[0].variant_id

    @property
    def total_weight(self) -> int | float:
        """The exact sum of the weights: 100 in every experiment that was accepted."""
        return _tidy(sum((exact_hundredths(variant.weight) for variant in self.variants), Decimal()) * CENTI)

    def assign_variant(self, row_id: str) -> VariantConfig:
        """The variant of a unit: the same in every process, on every machine, in every release.

        ``row_id`` must be stable across runs (the value of ``unit``, or the row's content hash); an
        id made for this run would assign every row anew. Buckets are SHA-256 of
        ``experiment_id:row_id`` modulo 100; where a weight has decimals each bucket is divided into
        100 more, which leaves integer weights as they were.
        """
        return self.variants[self.variant_at[fine_of(unit_hash(self.experiment_id, row_id))]]

    @cached_property
    def variant_at(self) -> "array[int]":
        """The index of the variant for each of the 10,000 fine buckets."""
        return shares(variant.weight for variant in self.variants)

    @property
    def exposed_below(self) -> int:
        """The fine bucket of exposure from which on units take no part."""
        return hundredths(self.exposure)


def _twice(names: list[str], at: tuple[str, str]) -> Iterator[PydanticCustomError]:
    for index, name in enumerate(names):
        if name in names[:index]:
            yield broken_rule(
                f"{at[1]} {name!r} is used twice", fix="choose another", at=(at[0], index, at[1])
            )
