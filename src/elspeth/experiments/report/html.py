"""An analysis as one page of HTML that needs nothing else: no script, no font, no address."""

from collections.abc import Sequence
from html import escape

from elspeth.experiments.analysis import Analysis
from elspeth.experiments.comparison import MetricResult
from elspeth.experiments.judgements import Judgement
from elspeth.experiments.report import words
from elspeth.experiments.report.markdown import notes
from elspeth.experiments.statistics.effects import Effect

_WIDTH, _HEIGHT, _MARGIN = 320, 46, 16
_COLOURS = {
    "better": "#1a7f37",
    "worse": "#cf222e",
    "non-inferior": "#2da44e",
    "inconclusive": "#6e7781",
    "invalid": "#8250df",
}
_COMPARED = ("control>", "variant>", "effect, 95 % interval", "p>", "verdict")
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem;
  color: #1f2328; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 2rem; }
th, td { text-align: left; padding: .45rem .6rem; border-bottom: 1px solid #d0d7de; vertical-align: middle; }
td.n { white-space: nowrap; }
th { font-weight: 600; color: #57606a; } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
.verdict { color: #fff; border-radius: 1rem; padding: .1rem .7rem; font-weight: 600; white-space: nowrap; }
.small { color: #57606a; font-size: 13px; } h1 { margin-bottom: 0; } li { margin: .2rem 0; }
@media (prefers-color-scheme: dark) { body { background: #0d1117; color: #e6edf3; }
  th, .small { color: #9198a1; }
  th, td { border-color: #30363d; } svg text { fill: #9198a1; } }
"""


def html(found: Analysis) -> str:
    """The page. Everything that came from data or configuration is escaped."""
    experiment, comparison = found.experiment, found.comparison
    verdicts = " ".join(
        f"<p>{escape(name)}: {_badge(str(verdict))}</p>" for name, verdict in comparison.verdicts.items()
    )
    rows = "".join(_metric(one) for one in comparison.results)
    said = "".join(f"<li>{escape(note)}</li>" for note in notes(found, of_metrics=False))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{escape(experiment.name)}</title><style>{_STYLE}</style></head><body>
<h1>{escape(experiment.name)}</h1>
<p class="small">Experiment <code>{escape(experiment.experiment_id)}</code>,
control <b>{escape(experiment.control_id)}</b>.
{escape(experiment.description)}</p>
{verdicts or '<p class="small">No primary metric is declared, so there is no verdict.</p>'}
<table><thead><tr>{_heads("metric", *_COMPARED)}</tr></thead>
<tbody>{rows}</tbody></table>
<p class="small">★ primary metric: the verdict rests on it. The dashed line is no difference; a thin red line
is how much worse it may be (margin or guardrail).</p>
<table><thead><tr>{_heads("", *(f"{escape(one.variant_id)}>" for one in found.totals.variants))}</tr></thead>
<tbody>{_variants(found)}</tbody></table>
{_judgements(found)}<ul class="small">{said}</ul>
</body></html>
"""


def _heads(*names: str) -> str:
    """Headings; those of figures end in ``>``."""
    return "".join(
        f'<th class="n">{name[:-1]}</th>' if name.endswith(">") else f"<th>{name}</th>" for name in names
    )


def _badge(verdict: str) -> str:
    return f'<span class="verdict" style="background:{_COLOURS[verdict]}">{escape(verdict)}</span>'


def _metric(one: MetricResult) -> str:
    effect = one.estimate.effect
    if effect is None:
        picture = f'<span class="small">can’t tell yet: {escape(one.estimate.problem)}</span>'
    else:
        relative = words.lift(one)
        more = f" ({escape(relative)})" if relative else ""
        drawn = _picture(effect, _COLOURS[one.verdict], _borders(one))
        picture = (
            f"{drawn}<br>{escape(words.interval(one, effect))}{more}"
            f'<br><span class="small">{escape(effect.method)}</span>'
        )
    star = " <b>★</b>" if one.metric.primary else ""
    said = "; ".join(words.remarks(one, problem=False))  # that stands in the place of the picture
    return (
        f"<tr><td>{escape(one.metric.name)}{star}<br><span class='small'>{escape(one.variant_id)}"
        f"{'; ' if said else ''}{escape(said)}</span></td>"
        f'<td class="n">{escape(words.value(one, one.control_value))}</td>'
        f'<td class="n">{escape(words.value(one, one.variant_value))}</td><td>{picture}</td>'
        f'<td class="n">{escape(words.p_value(one.p))}</td><td>{_badge(str(one.verdict))}</td></tr>'
    )


def _borders(one: MetricResult) -> list[float]:
    """How far the metric may go in the bad direction: the margin of non-inferiority, and the guardrail."""
    found = []
    if one.metric.non_inferiority_margin is not None:
        found.append(float(one.metric.non_inferiority_margin) * (-1 if one.metric.goal == "increase" else 1))
    rail = one.metric.guardrail
    if rail is not None and one.limit is not None:
        found.append(-one.limit if rail.max_increase is None else one.limit)
    return found


def _picture(effect: Effect, colour: str, borders: Sequence[float]) -> str:
    """The interval as a line with a dot, 0 as a dashed line, borders that are near as thin ones."""
    most = max(abs(effect.low), abs(effect.high)) or 1.0
    near = [border for border in borders if abs(border) < 4 * most]
    most = max([most, *map(abs, near)])
    half = _WIDTH / 2

    def x(figure: float) -> str:
        return f"{half + figure / most * (half - _MARGIN):.1f}"

    y = _HEIGHT / 2
    label = f"{effect.difference:.4g}, from {effect.low:.4g} to {effect.high:.4g}"
    return (
        f'<svg role="img" aria-label="{escape(label)}" width="{_WIDTH}" height="{_HEIGHT}">'
        f'<line x1="{half}" x2="{half}" y1="4" y2="{_HEIGHT - 4}" stroke="#8c959f" stroke-dasharray="3 3"/>'
        + "".join(
            f'<line x1="{x(border)}" x2="{x(border)}" y1="8" y2="{_HEIGHT - 8}" stroke="#cf222e"/>'
            for border in near
        )
        + f'<g stroke="{colour}" stroke-width="3">'
        f'<line x1="{x(effect.low)}" x2="{x(effect.high)}" y1="{y}" y2="{y}"/>'
        + "".join(
            f'<line x1="{x(end)}" x2="{x(end)}" y1="{y - 7}" y2="{y + 7}"/>'
            for end in (effect.low, effect.high)
        )
        + f'</g><circle cx="{x(effect.difference)}" cy="{y}" r="6" fill="{colour}"/></svg>'
    )


def _judgements(found: Analysis) -> str:
    """What judges said, a bar each: wins, ties, losses."""
    lines = []
    for one in found.judgements:
        rate = one.flip_rate
        flips = "–" if rate is None else "{:.1%} [{:.1%}, {:.1%}]".format(*rate)
        p = words.p_value(one.p) if one.judged else "–"
        counts = f"{one.wins:,} / {one.ties:,} / {one.losses:,}"
        figures = "".join(f'<td class="n">{cell}</td>' for cell in (counts, p, flips))
        lines.append(
            f"<tr><td>{escape(one.judge)}<br><span class='small'>on {escape(one.variant_id)}</span></td>"
            f"<td>{_bar(one)}</td>{figures}</tr>"
        )
    if not lines:
        return ""
    heads = _heads("judge", "", "wins / ties / losses>", "p>", "turned with the order>")
    return f"<table><thead><tr>{heads}</tr></thead>\n<tbody>{''.join(lines)}</tbody></table>\n"


def _bar(one: Judgement) -> str:
    parts = ((one.wins, "better"), (one.ties, "inconclusive"), (one.losses, "worse"))
    drawn, at = "", 0.0
    for count, colour in parts:
        width = _WIDTH * count / max(1, one.judged)
        drawn += f'<rect x="{at:.1f}" width="{width:.1f}" height="14" fill="{_COLOURS[colour]}"/>'
        at += width
    label = f"{one.wins} wins, {one.ties} ties, {one.losses} losses"
    return f'<svg role="img" aria-label="{label}" width="{_WIDTH}" height="14">{drawn}</svg>'


def _variants(found: Analysis) -> str:
    """One column per variant."""
    lines = []
    for name, cells in words.figures(found.totals.variants):
        shown = "".join(f'<td class="n">{cell}</td>' for cell in cells)
        lines.append(f"<tr><td>{name}</td>{shown}</tr>")
    return "".join(lines)
