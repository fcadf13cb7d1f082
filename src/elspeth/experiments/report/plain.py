"""An analysis as plain JSON values: the shape of ``--json``, and the ground of the other forms."""

from typing import Any

from elspeth.experiments.analysis import Analysis
from elspeth.experiments.comparison import MetricResult
from elspeth.experiments.judgements import Judgement
from elspeth.experiments.merging import USAGE_COLUMNS
from elspeth.experiments.statistics.proportions import Share, wilson
from elspeth.experiments.statistics.srm import SampleRatio
from elspeth.experiments.totals import VariantTotals


def plain(found: Analysis) -> dict[str, Any]:
    """All of it, with units in the names where there are any."""
    comparison, experiment = found.comparison, found.experiment
    return {
        "experiment_id": experiment.experiment_id,
        "name": experiment.name,
        "mode": experiment.mode,
        "transform": found.transform,
        "control": experiment.control_id,
        "unit": experiment.unit,
        "exposure": experiment.exposure,
        "phase": found.phase,
        "figures_from": str(found.way),
        "final": comparison.final,
        "runs": [{"run_id": run.run_id, "status": run.status} for run in found.runs],
        "runs_of_other_phases": [
            {"run_id": run.run_id, "status": run.status, "phase": run.phase} for run in found.set_aside
        ],
        "rows": {
            "assigned": dict(found.assigned),
            "unexposed": found.unexposed,
            "without_unit": found.unassigned,
            "excluded": found.totals.excluded_rows,
        },
        "excluded_units": found.totals.excluded_units,
        "srm": {"assigned": _srm(comparison.assigned), "analysed": _srm(comparison.analysed)},
        "valid": comparison.valid,
        "variants": [_variant(one, found) for one in found.totals.variants],
        "metrics": [_metric(one) for one in comparison.results],
        "judgements": [_judgement(one) for one in found.judgements],
        "verdicts": {variant: str(verdict) for variant, verdict in comparison.verdicts.items()},
    }


def _srm(check: SampleRatio | None) -> dict[str, Any] | None:
    if check is None:
        return None
    return {"chi_square": check.chi_square, "p": check.p, "expected": list(check.expected), "ok": check.ok}


def _variant(one: VariantTotals, found: Analysis) -> dict[str, Any]:
    config = next(item for item in found.experiment.variants if item.variant_id == one.variant_id)
    p50, p95, p99 = one.latency or (None, None, None)
    called = one.rows and one.usage["calls"]
    return {
        "variant_id": one.variant_id,
        "weight": config.weight,
        "transform_overrides": dict(config.transform_overrides),
        "rows": one.rows,
        "units": one.units,
        "assigned_units": one.assigned_units,
        "failed": one.failed,
        "error_rate": one.failed / one.rows if one.rows else None,
        "error_rate_95": list(wilson(Share(one.failed, one.rows))) if one.rows else None,
        "refused": one.refused,
        "refusal_rate": one.refused / one.rows if called else None,
        "refusal_rate_95": list(wilson(Share(one.refused, one.rows))) if called else None,
        "latency_p50_ms": p50,
        "latency_p95_ms": p95,
        "latency_p99_ms": p99,
        **{name: one.usage[name] for name in USAGE_COLUMNS},
        "cost_per_success": one.cost_per_success,
        "metrics": {
            name: {"rows": item.rows, "without_value": item.without} for name, item in one.metrics.items()
        },
    }


def _judgement(one: Judgement) -> dict[str, Any]:
    rate, low, high = one.flip_rate or (None, None, None)
    return {
        "variant_id": one.variant_id,
        "judge": one.judge,
        "run_id": one.run_id,
        "wins": one.wins,
        "ties": one.ties,
        "losses": one.losses,
        "sign_test_p": one.p,
        "flipped": one.flipped,
        "flip_rate": rate,
        "flip_rate_95": None if rate is None else [low, high],
        "failed": one.failed,
        "unpaired": one.unpaired,
    }


def _metric(one: MetricResult) -> dict[str, Any]:
    effect, lift, signs = one.estimate.effect, one.estimate.lift, one.estimate.pairs
    return {
        "metric": one.metric.name,
        "type": one.metric.type,
        "goal": one.metric.goal,
        "primary": one.metric.primary,
        "variant_id": one.variant_id,
        "control": one.control_value,
        "variant": one.variant_value,
        "effect": None
        if effect is None
        else {
            "difference": effect.difference,
            "low": effect.low,
            "high": effect.high,
            "level": effect.level,
            "se": effect.se,
            "df": effect.df,
            "statistic": effect.statistic,
            "p": effect.p,
            "method": effect.method,
            "always_valid": effect.always_valid,
        },
        "cannot_tell": one.estimate.problem or None,
        "p": one.p,
        "lift": None
        if lift is None
        else {"relative": lift.relative, "low": lift.low, "high": lift.high, "method": lift.method},
        "verdict": str(one.verdict),
        "guardrail": None if one.guardrail is None else {"state": str(one.guardrail), "limit": one.limit},
        "rows_without_value": sum(one.without),
        "why_without_value": dict(sorted(one.reasons.items(), key=lambda why: (-why[1], why[0]))),
        "pairs": None
        if signs is None
        else {"wins": signs.wins, "ties": signs.ties, "losses": signs.losses, "sign_test_p": signs.p},
        "cuped": None
        if one.estimate.theta is None
        else {"theta": one.estimate.theta, "variance_removed": one.estimate.variance_removed},
        "mde": one.mde,
        "units_needed": one.units_needed,
    }
