"""How figures are written: shares in percent, all else with four digits."""

from collections.abc import Callable, Sequence

from elspeth.experiments.comparison import MetricResult
from elspeth.experiments.judgements import Judgement
from elspeth.experiments.statistics.effects import Effect
from elspeth.experiments.statistics.proportions import Share, wilson
from elspeth.experiments.totals import VariantTotals

_MOST_REASONS = 3


def value(one: MetricResult, figure: float | None) -> str:
    """A metric's value."""
    if figure is None:
        return "–"
    return f"{100 * figure:.2f} %" if one.metric.type == "proportion" else f"{figure:.4g}"


def change(one: MetricResult, figure: float) -> str:
    """A difference, with its sign; of shares in percentage points."""
    return f"{100 * figure:+.2f} pp" if one.metric.type == "proportion" else f"{figure:+.4g}"


def interval(one: MetricResult, effect: Effect) -> str:
    """``+1.2 [+0.3, +2.1]``."""
    bounds = f"[{change(one, effect.low)}, {change(one, effect.high)}]"
    return f"{change(one, effect.difference)} {bounds}"


def p_value(p: float | None) -> str:
    """Three digits; below 0.0001 only that."""
    if p is None:
        return "–"
    return "< 0.0001" if p < 0.0001 else f"{p:.3g}" if p < 0.1 else f"{p:.2f}"


def lift(one: MetricResult) -> str:
    """The relative effect, or an empty text, also where nothing can be told of the effect itself."""
    found = one.estimate.lift
    return "" if found is None or one.estimate.effect is None else f"{found.relative:+.1%}"


def remarks(one: MetricResult, *, problem: bool = True, why: bool = False) -> list[str]:
    """What has to be said besides the figures.

    ``problem``: also why there are none; ``why``: also why rows have no value, in words that may show data.
    """
    said = []
    if problem and one.estimate.problem:
        said.append(f"can't tell yet: {one.estimate.problem}")
    if any(one.without):
        control, variant = one.without
        said.append(
            f"{_counted(control + variant, 'row')} without a value:"
            f" {control:,} of the control, {variant:,} of the variant"
        )
        if why:
            said += _reasons(one)
    if one.guardrail is not None:
        said.append(f"guardrail {one.guardrail}")
    if one.estimate.variance_removed is not None:
        said.append(f"CUPED took out {one.estimate.variance_removed:.0%} of the variance")
    if one.estimate.pairs is not None:
        signs = one.estimate.pairs
        said.append(_score(signs.wins, signs.ties, signs.losses))
    return said


def _score(wins: int, ties: int, losses: int) -> str:
    return f"{_counted(wins, 'win')}, {_counted(ties, 'tie')}, {_counted(losses, 'loss')}"


def _counted(count: int, noun: str) -> str:
    plural = "es" if noun.endswith("s") else "s"
    return f"{count:,} {noun}{'' if count == 1 else plural}"


def _reasons(one: MetricResult) -> list[str]:
    """The most frequent ones."""
    often = sorted(one.reasons.items(), key=lambda why: (-why[1], why[0]))
    return [f"{count:,} × {reason}" for reason, count in often[:_MOST_REASONS]]


def judgement(one: Judgement) -> str:
    """Who won by a judge, and how far that can be relied on."""
    said = f"judge {one.judge} on {one.variant_id}: {_score(one.wins, one.ties, one.losses)}"
    if one.flip_rate is not None:
        share, low, high = one.flip_rate
        said += (
            f" (sign test p {p_value(one.p)}); {share:.1%} of {one.judged:,} judgements turned with the order"
            f" [{low:.1%}, {high:.1%}] and are ties"
        )
    if one.failed:
        said += f"; {one.failed:,} could not be judged"
    return f"{said}; of {_counted(one.unpaired, 'row')} an answer is missing" if one.unpaired else said


def figures(variants: Sequence[VariantTotals]) -> list[tuple[str, list[str]]]:
    """What each variant did: the name of a figure, and its value for each of them.

    What follows from calls is left out where none made any.
    """
    found: list[tuple[str, Callable[[VariantTotals], str]]] = [
        ("rows", lambda one: f"{one.rows:,}"),
        ("units", lambda one: f"{one.units:,}"),
        ("failed", lambda one: f"{one.failed:,}"),
        ("error rate", lambda one: _share(one.failed, one.rows)),
        ("p50 / p95 / p99 ms", lambda one: " / ".join(f"{ms:.3g}" for ms in one.latency or ()) or "–"),
    ]
    if any(one.usage["calls"] for one in variants):
        found += [
            ("refused", lambda one: f"{one.refused:,}"),
            ("refusal rate", lambda one: _share(one.refused, one.rows)),
            ("calls", lambda one: f"{one.usage['calls']:,.0f}"),
            (
                "tokens in / out",
                lambda one: f"{one.usage['tokens_in']:,.0f} / {one.usage['tokens_out']:,.0f}",
            ),
            ("cost", lambda one: f"{one.usage['cost']:.6g}"),
            ("cost per success", lambda one: "–" if (c := one.cost_per_success) is None else f"{c:.6g}"),
        ]
    return [(name, [shown(one) for one in variants]) for name, shown in found]


def _share(count: int, of: int) -> str:
    """The share, and its interval by Wilson."""
    if not of:
        return "–"
    low, high = wilson(Share(count, of))
    return f"{100 * count / of:.3g}% [{100 * low:.3g}%, {100 * high:.3g}%]"


def draw(effect: Effect, width: int = 31) -> str:
    """The interval on a scale of its own, with 0 in the middle: ``·····┊··├──●──┤···``."""
    most = max(abs(effect.low), abs(effect.high)) or 1.0
    half = width // 2

    def place(figure: float) -> int:
        return half + round(figure / most * half)

    low, middle, high = place(effect.low), place(effect.difference), place(effect.high)
    cells = ["─" if low <= index <= high else "·" for index in range(width)]
    cells[half] = "┼" if low <= half <= high else "┊"
    cells[low], cells[high] = "├", "┤"
    cells[middle] = "●"
    return "".join(cells)
