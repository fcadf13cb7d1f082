"""A whole experiment: every metric of every variant, corrected for how many questions were asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from elspeth.core.config import ExperimentConfig, MetricConfig
from elspeth.experiments.estimates import Estimate, estimate, value_of
from elspeth.experiments.statistics.effects import CannotTellError
from elspeth.experiments.statistics.multiplicity import holm
from elspeth.experiments.statistics.power import detectable_from
from elspeth.experiments.statistics.sequential import TUNED_FOR, always_valid
from elspeth.experiments.statistics.srm import SampleRatio, sample_ratio
from elspeth.experiments.statistics.verdict import GuardrailState, Verdict, guard, judge
from elspeth.experiments.totals import Totals, VariantTotals


@dataclass(frozen=True, slots=True)
class MetricResult:
    """One metric of one variant against the control.

    ``p`` is the one to go by: adjusted by Holm's method where the metric is primary. ``mde`` is the
    smallest difference that would be found with 80 % power by now; ``units_needed`` how many units,
    in all, would show a difference as large as the one that is seen. ``without`` are rows that have no
    value, of the control and of the variant; ``reasons`` says why not how often, over all variants.
    """

    metric: MetricConfig
    variant_id: str
    control_value: float | None
    variant_value: float | None
    control_rows: int
    variant_rows: int
    without: tuple[int, int]
    reasons: Mapping[str, int]
    estimate: Estimate
    p: float | None
    verdict: Verdict
    guardrail: GuardrailState | None
    limit: float | None
    mde: float | None
    units_needed: int | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """``verdicts`` are by variant, over its primary metrics and guardrails (empty without a primary one).

    ``assigned`` and ``analysed`` are the checks of the sample ratio, on units; None in a paired
    experiment, where every row meets every variant. ``final``: fixed-n tests, no confidence sequences.
    """

    results: tuple[MetricResult, ...]
    verdicts: dict[str, Verdict]
    assigned: SampleRatio | None
    analysed: SampleRatio | None
    final: bool

    @property
    def valid(self) -> bool:
        """Whether the sample ratio is as it should be."""
        return all(check is None or check.ok for check in (self.assigned, self.analysed))


def compare(experiment: ExperimentConfig, totals: Totals, *, final: bool) -> Comparison:
    """Compare every variant with the control.

    ``final`` says that no more rows will come, and that this was settled beforehand; else the intervals are
    confidence sequences, which hold at every look.
    """
    assigned = analysed = None
    if experiment.mode == "split":
        weights = [float(variant.weight) for variant in experiment.variants]
        assigned = sample_ratio([variant.assigned_units for variant in totals.variants], weights)
        analysed = sample_ratio([variant.units for variant in totals.variants], weights)
    valid = all(check is None or check.ok for check in (assigned, analysed))
    control = next(v for v in totals.variants if v.variant_id == experiment.control_id)
    tuned_for = None if final else experiment.planned_units or TUNED_FOR
    found = [
        _result(metric, control, variant, tuned_for)
        for variant in totals.variants
        if variant is not control
        for metric in experiment.metrics
    ]
    results = tuple(_judged(found, valid=valid))
    verdicts = {
        variant.variant_id: overall([one for one in results if one.variant_id == variant.variant_id])
        for variant in totals.variants
        if variant is not control and any(metric.primary for metric in experiment.metrics)
    }
    return Comparison(results, verdicts, assigned, analysed, final)


def _result(
    metric: MetricConfig, control: VariantTotals, variant: VariantTotals, tuned_for: int | None
) -> MetricResult:
    """``tuned_for``: the units at which the confidence sequence is tightest; None for fixed n."""
    ours, theirs = variant.metrics[metric.name], control.metrics[metric.name]
    found = estimate(metric, theirs, ours, variant.pairs.get(metric.name))
    if found.effect is not None and tuned_for is not None:
        try:
            found = replace(found, effect=always_valid(found.effect, found.units, tuned_for))
        except CannotTellError as error:
            found = replace(found, effect=None, problem=str(error))
    base = value_of(metric, theirs)
    effect = found.effect
    mde = detectable_from(effect.se) if effect is not None and effect.se > 0 else None
    needed = None
    if effect is not None and mde is not None and effect.difference:
        needed = round(found.units * (mde / effect.difference) ** 2)
    limit, state = _guarded(metric, base, found)
    return MetricResult(
        metric=metric,
        variant_id=variant.variant_id,
        control_value=base,
        variant_value=value_of(metric, ours),
        control_rows=theirs.rows,
        variant_rows=ours.rows,
        without=(theirs.without, ours.without),
        reasons=ours.reasons or {},
        estimate=found,
        p=None if effect is None else effect.p,
        verdict=Verdict.INCONCLUSIVE,
        guardrail=state,
        limit=limit,
        mde=mde,
        units_needed=needed,
    )


def _guarded(
    metric: MetricConfig, base: float | None, found: Estimate
) -> tuple[float | None, GuardrailState | None]:
    rail = metric.guardrail
    if rail is None:
        return None, None
    states, limit = [], None
    for bound, increase_is_bad in ((rail.max_increase, True), (rail.max_decrease, False)):
        if bound is None:
            continue
        limit = _limit(bound, base)
        if found.effect is None or limit is None:
            states.append(GuardrailState.UNSURE)
        else:
            states.append(guard(found.effect, limit, increase_is_bad=increase_is_bad))
    worst = (GuardrailState.BROKEN, GuardrailState.UNSURE, GuardrailState.HELD)
    return limit, next(state for state in worst if state in states)


def _limit(bound: int | float | str, base: float | None) -> float | None:
    """A guardrail's limit in the metric's own unit."""
    if isinstance(bound, str):
        return None if base is None else float(bound.removesuffix("%")) / 100 * abs(base)
    return float(bound)


def _judged(found: Sequence[MetricResult], *, valid: bool) -> list[MetricResult]:
    primary = [index for index, one in enumerate(found) if one.metric.primary and one.p is not None]
    adjusted = dict(zip(primary, holm([found[index].p or 0.0 for index in primary]), strict=True))
    judged = []
    for index, one in enumerate(found):
        p = adjusted.get(index, one.p)
        verdict = Verdict.INCONCLUSIVE if valid else Verdict.INVALID
        if one.estimate.effect is not None and p is not None:
            verdict = judge(
                one.estimate.effect,
                p,
                increase_is_good=one.metric.goal == "increase",
                margin=one.metric.non_inferiority_margin,
                valid=valid,
            )
        judged.append(replace(one, p=p, verdict=verdict))
    return judged


def overall(results: Sequence[MetricResult]) -> Verdict:
    """One word for a variant. A broken guardrail makes it worse, whatever else is better."""
    primary = [one.verdict for one in results if one.metric.primary]
    if Verdict.INVALID in primary:
        return Verdict.INVALID
    if Verdict.WORSE in primary or any(one.guardrail is GuardrailState.BROKEN for one in results):
        return Verdict.WORSE
    if Verdict.INCONCLUSIVE in primary and Verdict.BETTER not in primary:
        return Verdict.INCONCLUSIVE
    return Verdict.BETTER if Verdict.BETTER in primary else Verdict.NON_INFERIOR
