"""Options that several commands share: one name, one meaning, one help text."""

from typing import Annotated

import typer

from elspeth.cli.completion import complete_runs

AsJson = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON document on stdout; everything else goes to stderr."),
]
Database = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="URL",
        help="The landscape: sqlite:///PATH or postgresql://…"
        "  [default: ELSPETH_LANDSCAPE__URL, else .elspeth/landscape.db]",
        show_default=False,
    ),
]
Fabric = Annotated[
    str | None,
    typer.Option(
        "--fabric",
        metavar="URL",
        help="Where plans, approvals and budgets are kept: sqlite:///PATH or postgresql://…"
        "  [default: .elspeth/fabric.db]",
        show_default=False,
    ),
]
By = Annotated[
    str | None,
    typer.Option("--by", metavar="NAME", help="Who asks.  [default: you, as user@host]", show_default=False),
]
RunId = Annotated[
    str,
    typer.Argument(metavar="RUN", help="A run id, or `latest`.", autocompletion=complete_runs),
]


def examples(lines: str) -> str:
    """The examples under a command's help, one per line."""
    shown = "\n".join(f"  {line.strip()}" for line in lines.strip().splitlines())
    return f"\b\nExamples:\n{shown}"


def command_app(epilog: str | None = None) -> typer.Typer:
    """A Typer app for the file of one command; ``epilog`` is for commands that have others below them."""
    return typer.Typer(
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        epilog=epilog,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
