"""``elspeth experiment``: ``list``, ``status``, ``compare``, ``power``, ``flips``, ``pairs``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from elspeth.cli.options import AsJson, Database, command_app, examples
from elspeth.cli.output import emit_json, note, say, whole_file
from elspeth.contracts.errors import UsageError

app = command_app(
    examples("elspeth experiment list\nelspeth experiment compare exp-001\nelspeth experiment status exp-001")
)

Id = Annotated[str, typer.Argument(metavar="ID", help="The experiment_id.")]
Runs = Annotated[
    str,
    typer.Option("--runs", metavar="RUNS", help="Run ids with commas between, `latest`, or `all`."),
]


MetricsOf = Annotated[
    Path | None,
    typer.Option(
        "--metrics-of",
        metavar="FILE",
        help="Take the metrics from this pipeline file; new ones are read from the rows.",
        show_default=False,
    ),
]
FromRows = Annotated[
    bool, typer.Option("--from-rows", help="Read all rows, instead of what the run added up.")
]


@app.callback()
def experiment() -> None:
    """Compare the variants of an experiment: which is better, and how sure are we?"""


@app.command("list", epilog=examples("elspeth experiment list\nelspeth experiment list --json"))
def list_them(database: Database = None, as_json: AsJson = False) -> int:
    """List the experiments on record, with the rows that each variant got in the newest run."""
    from elspeth.api.experiments import list_experiments  # noqa: PLC0415

    found = list_experiments(database)
    if as_json:
        emit_json({"experiments": [one.to_dict() for one in found]})
        return 0
    if not found:
        note("no run on record had an experiment")
        return 0
    from elspeth.cli.consoles import show  # noqa: PLC0415
    from elspeth.cli.experiment_tables import experiment_list  # noqa: PLC0415

    show(experiment_list(found))
    return 0


@app.command(
    epilog=examples("elspeth experiment status exp-001\nelspeth experiment status exp-001 --runs all")
)
def status(
    experiment_id: Id, runs: Runs = "latest", database: Database = None, as_json: AsJson = False
) -> int:
    """Show how an experiment goes: counts, exposure, sample ratio, metrics so far, what can be found by now.

    While the run goes on the intervals are confidence sequences: looking often does not mislead.
    """
    from elspeth.api.experiments import compare_experiment  # noqa: PLC0415

    report = compare_experiment(experiment_id, database, runs=_names(runs))
    if as_json:
        emit_json(report.to_dict())
        return 0
    from elspeth.cli.consoles import show  # noqa: PLC0415
    from elspeth.cli.experiment_tables import standing  # noqa: PLC0415

    show(standing(report))
    return 0


@app.command(
    epilog=examples(
        "elspeth experiment compare exp-001\nelspeth experiment compare exp-001 --md\n"
        "elspeth experiment compare exp-001 --html comparison.html\n"
        "elspeth experiment compare exp-001 --metrics-of pipeline.yaml"
    )
)
def compare(  # noqa: PLR0913  # an option each
    experiment_id: Id,
    runs: Runs = "latest",
    md: Annotated[bool, typer.Option("--md", help="Print Markdown, for a pull request.")] = False,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write one self-contained page.", show_default=False),
    ] = None,
    metrics_of: MetricsOf = None,
    from_rows: FromRows = False,
    database: Database = None,
    as_json: AsJson = False,
) -> int:
    """Compare every variant with the control: per metric the effect, its interval, p, and a verdict."""
    from elspeth.api.experiments import compare_experiment  # noqa: PLC0415

    if md and as_json:
        raise UsageError("--md can't be combined with --json", fix="ask for one of them")
    report = compare_experiment(
        experiment_id, database, runs=_names(runs), metrics_of=metrics_of, from_rows=from_rows
    )
    if html is not None:
        with whole_file(html) as file:
            file.write(report.to_html().encode())
        note(f"wrote {html}")
    if as_json:
        emit_json(report.to_dict())
    elif md:
        say(report.to_markdown())
    elif html is None:
        from elspeth.cli.consoles import show  # noqa: PLC0415
        from elspeth.cli.experiment_tables import comparison  # noqa: PLC0415

        show(comparison(report))
    return 0


@app.command(
    epilog=examples(
        "elspeth experiment power --base 0.8 --effect 0.02\nelspeth experiment power --sd 1.2 --units 5000\n"
        "elspeth experiment power --sd 1.2 --effect 0.1 --paired"
    )
)
def power(
    effect: Annotated[
        float | None,
        typer.Option("--effect", metavar="X", help="The difference to find, absolute.", show_default=False),
    ] = None,
    units: Annotated[
        int | None,
        typer.Option("--units", metavar="N", help="Units in both variants.", min=4, show_default=False),
    ] = None,
    base: Annotated[
        float | None,
        typer.Option("--base", metavar="P", help="For proportions: the control's.", show_default=False),
    ] = None,
    sd: Annotated[
        float | None,
        typer.Option("--sd", metavar="S", help="For means: the values' sd.", show_default=False),
    ] = None,
    paired: Annotated[
        bool, typer.Option("--paired", help="Every unit meets both; --sd is that of differences.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Before an experiment: how many units an effect needs, or which effect so many units can show.

    Equal weights, two-sided, alpha 5 %, power 80 %.
    """
    from elspeth.api.experiment_power import plan_power  # noqa: PLC0415

    plan = plan_power(effect=effect, units=units, base=base, sd=sd, paired=paired)
    if as_json:
        emit_json(plan.to_dict())
    else:
        say(plan.sentence())
    return 0


@app.command(
    epilog=examples("elspeth experiment flips exp-001\nelspeth experiment flips exp-001 --limit 5 --json")
)
def flips(
    experiment_id: Id,
    runs: Runs = "latest",
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="At most so many rows.")] = 20,
    database: Database = None,
    as_json: AsJson = False,
) -> int:
    """List the rows on which the variants of a paired experiment disagree, each with its story's command."""
    from elspeth.api.experiments import experiment_flips  # noqa: PLC0415

    found = experiment_flips(experiment_id, database, runs=_names(runs), limit=limit + 1)
    shown = found[:limit]
    if as_json:
        emit_json({"flips": [flip.to_dict() for flip in shown], "more": len(found) > limit})
        return 0
    if not shown:
        note("the variants agree on every row")
        return 0
    from elspeth.cli.consoles import show  # noqa: PLC0415
    from elspeth.cli.experiment_tables import flip_list  # noqa: PLC0415

    show(flip_list(shown))
    if len(found) > limit:
        note("\nthere are more: raise --limit")
    return 0


@app.command(epilog=examples("elspeth experiment pairs exp-001 --out pairs.jsonl"))
def pairs(
    experiment_id: Id,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The JSON lines file to write.")],
    runs: Runs = "latest",
    database: Database = None,
) -> int:
    """Write both answers to every row of a paired experiment, one pair a line, for `llm_judge` to compare."""
    from elspeth.api.experiments import experiment_pairs  # noqa: PLC0415
    from elspeth.core.canonical import dump  # noqa: PLC0415

    count = 0
    with whole_file(out) as file:
        for pair in experiment_pairs(experiment_id, database, runs=_names(runs)):
            file.write(dump(pair.to_dict()) + b"\n")
            count += 1
    note(f"wrote {count:,} pairs to {out}")
    return 0


def _names(runs: str) -> Sequence[str]:
    return [name.strip() for name in runs.split(",") if name.strip()]
