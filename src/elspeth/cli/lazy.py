"""The commands by name; each one's module is loaded when it is called, and not before."""

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any

from typer.core import TyperGroup
from typer.main import get_command as build

COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "init": "Make a small working pipeline to start from.",
        "validate": "Check a pipeline file, and say everything that is wrong with it.",
        "run": "Take real rows through a pipeline, with everything on record.",
        "resume": "Go on with an interrupted, failed or killed run, from its last commit.",
        "explain": "Tell the story of a row or a machine: what was done, and why.",
        "runs": "List the runs on record, or show how one of them went.",
        "export": "Write a run's record to files that need no database to be read.",
        "verify": "Check that the audit trail is what it was when it was written.",
        "prove": "Write the proof of one row: its records, and the way from each to a signed tree head.",
        "keys": "Make a key pair that signs the heads of the audit trail.",
        "fleet": "Plan, create, watch and destroy machines in Azure, as a file says.",
        "approvals": "Look at plans that need approval; approve or reject them.",
        "manifest": "Show, sign and check what a provider says it can do.",
        "providers": "Show how the services that were called have been, and what they promise.",
        "purge": "Take the contents of old runs' rows and calls away; hashes and everything else stay.",
        "experiment": "Compare the variants of an experiment: which is better, and how sure are we?",
        "tui": "Look at runs, rows and experiments in a terminal that stays open.",
        "plugins": "List the installed plugins, or show one's options.",
        "plugin": "Make a plugin package of your own.",
        "schema": "Print the JSON Schema of pipeline files, for editors.",
        "doctor": "Check this installation and its landscape; upgrade a landscape.",
    }
)
"""Name → what the command does, in one line. The command itself is ``elspeth.cli.commands.<name>.app``."""


class LazyGroup(TyperGroup):
    """The ``elspeth`` command: knows all commands by name, loads the one that is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        # The names must be there for "did you mean"; the commands come from get_command.
        names: Any = dict.fromkeys(COMMANDS)
        self.commands.update(names)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        if self.commands[cmd_name] is None:
            command = build(import_module(f"elspeth.cli.commands.{cmd_name}").app)
            command.name = cmd_name
            self.commands[cmd_name] = command
        return self.commands[cmd_name]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            # Typer would make an exit code of 1 out of it, which says that rows failed.
            raise OutputClosedError from error
        except KeyboardInterrupt as error:
            # Typer would end without a word.
            raise AbortedError from error


class AbortedError(Exception):
    """Somebody pressed Ctrl-C where nothing listens for it, or twice during a run."""


class OutputClosedError(Exception):
    """Nobody reads our output any more (``elspeth explain … | head``)."""
