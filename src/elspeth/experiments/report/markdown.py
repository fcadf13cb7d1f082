"""An analysis in Markdown, for a pull request."""

from elspeth.experiments.analysis import Analysis
from elspeth.experiments.looking import Way
from elspeth.experiments.report import words

_WAYS = {
    Way.COLUMNS: "added up from the columns that the runs put down",
    Way.ROWS: "read from the rows themselves; what was added up is kept for the next time",
}
_ICONS = {"better": "✅", "worse": "❌", "non-inferior": "☑️", "inconclusive": "➖", "invalid": "⛔"}  # noqa: RUF001


def markdown(found: Analysis) -> str:
    """Heading, one table of metrics, one of variants, and what has to be known about both."""
    experiment, comparison = found.experiment, found.comparison
    verdicts = ", ".join(f"{name}: **{verdict}**" for name, verdict in comparison.verdicts.items())
    lines = [
        f"## {_cell(experiment.name)} (`{experiment.experiment_id}`)",
        "",
        verdicts or "No primary metric is declared, so there is no verdict.",
        "",
        "| metric | variant | control | variant | effect, 95 % interval | relative | p | verdict |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for one in comparison.results:
        effect = one.estimate.effect
        shown = "can't tell yet" if effect is None else words.interval(one, effect)
        name = f"**{_cell(one.metric.name)}**" if one.metric.primary else _cell(one.metric.name)
        cells = [
            name,
            _cell(one.variant_id),
            words.value(one, one.control_value),
            words.value(one, one.variant_value),
            shown,
            words.lift(one),
            words.p_value(one.p),
            f"{_ICONS[one.verdict]} {one.verdict}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    variants = found.totals.variants
    lines += ["", f"| | {' | '.join(_cell(one.variant_id) for one in variants)} |"]
    lines.append("|" + " --- |" * (len(variants) + 1))
    lines += [f"| {name} | {' | '.join(cells)} |" for name, cells in words.figures(variants)]
    lines += ["", *(f"- {_cell(note)}" for note in notes(found))]
    return "\n".join(lines) + "\n"


def notes(found: Analysis, *, of_metrics: bool = True) -> list[str]:
    """What a reader of the figures has to know, one sentence each.

    ``of_metrics`` False: without what is said of single metrics, for who shows that beside them.
    """
    comparison, experiment = found.comparison, found.experiment
    runs = ", ".join(run.run_id for run in found.runs)
    said = [f"{experiment.mode} experiment on transform {found.transform}, phase {found.phase}, runs: {runs}"]
    for name, check in (("assigned", comparison.assigned), ("analysed", comparison.analysed)):
        if check is not None:
            state = "as expected" if check.ok else "WRONG: no comparison is valid"
            said.append(
                f"sample ratio of {name} units: χ² {check.chi_square:.4g},"
                f" p {words.p_value(check.p)}, {state}"
            )
    said.append(
        "fixed-n tests on one complete run"
        if comparison.final
        else "confidence sequences, which hold at every look: rows may still come"
    )
    if experiment.planned_units is not None:
        said.append(f"planned for {experiment.planned_units:,} units")
    if sum(metric.primary for metric in experiment.metrics) * (len(experiment.variants) - 1) > 1:
        said.append("p of primary metrics adjusted by Holm's method")
    said += [
        f"{one.metric.name} ({one.variant_id}): {'; '.join(more)}"
        for one in comparison.results
        if of_metrics and (more := words.remarks(one))
    ]
    said += [words.judgement(one) for one in found.judgements]
    if found.judgements and not comparison.final:
        said.append("a judge's p and its interval are for one look, when no more rows will come")
    if found.way is not Way.TOTALS:
        said.append(_WAYS[found.way])
    if found.totals.excluded_units:
        said.append(f"{found.totals.excluded_units:,} units were seen in two variants and are excluded")
    if found.unexposed:
        said.append(f"{found.unexposed:,} rows took no part (exposure {experiment.exposure:g} %)")
    if found.unassigned:
        said.append(f"{found.unassigned:,} rows had no unit and were not assigned")
    said += [
        f"run {run.run_id} is of another phase ({run.phase}) and not part of this" for run in found.set_aside
    ]
    return said


def _cell(text: str) -> str:
    """Text that can't break a table, or be read as HTML."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
