"""``elspeth``: the entry of every command, and the one place where exceptions become exit codes.

0 done · 1 done, with failed or quarantined rows · 2 usage or configuration · 3 internal · 130 interrupted
"""

import errno
import gc
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.main import get_command

from elspeth.cli.errors import INTERNAL, INTERRUPTED, USAGE, report, report_usage
from elspeth.cli.lazy import AbortedError, LazyGroup, OutputClosedError
from elspeth.cli.output import emit_json, note, prepare_streams, say, silence
from elspeth.contracts.errors import ElspethError
from elspeth.contracts.version import __version__

CLOSED = 141
"""The exit code of a program that was ended because nobody reads its output (128 + SIGPIPE)."""

_FEW_COLLECTIONS = 50_000
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO})

app = typer.Typer(
    cls=LazyGroup,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    invoke_without_command=True,
    epilog="\b\nStart here:\n"
    "  elspeth init demo && cd demo\n"
    "  elspeth run pipeline.yaml\n"
    "  elspeth explain latest --row 0",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def root(
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    as_json: Annotated[bool, typer.Option("--json", hidden=True)] = False,
) -> None:
    """Auditable pipelines: every row's way, every decision and its reason, on record."""
    if version:
        if as_json:
            emit_json({"version": __version__})
        else:
            say(f"elspeth {__version__}")
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        say(ctx.get_help())
        raise typer.Exit(USAGE)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line (default: this process's) and return its exit code; raises nothing."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    own_process = argv is None
    if own_process:
        # What imports leave behind stays for good: looking at it again and again takes 8 % of the start.
        gc.set_threshold(_FEW_COLLECTIONS)
    prepare_streams()
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()
        if own_process:
            gc.freeze()  # the end of a process looks for cycles too, which nobody needs any more
    except (OutputClosedError, BrokenPipeError):
        silence(sys.stdout)
        return CLOSED
    except OSError as error:
        silence(sys.stdout)
        note(f"error: what was found can't be shown: {error.strerror}; what was done is on record")
        return INTERNAL
    return code


def _dispatch(arguments: list[str]) -> int:
    as_json = "--json" in arguments
    group: Any = get_command(app)
    try:
        code = group.main(arguments, prog_name="elspeth", standalone_mode=False)
    except ElspethError as error:
        return report(error, as_json=as_json)
    except typer.TyperException as error:
        return _usage(error, as_json=as_json)
    except (AbortedError, KeyboardInterrupt):
        note("aborted; what was committed before is on record")
        return INTERRUPTED
    except SystemExit as error:
        # Shell completion ends this way.
        return error.code if isinstance(error.code, int) else 0
    except (OutputClosedError, BrokenPipeError):
        raise
    except Exception as error:  # the last resort: nobody is above us
        if isinstance(error, OSError) and error.errno in _FULL and error.filename is None:
            raise  # of stdout: files have names, or errors of ours around them
        return report(error, as_json=as_json)
    return code if isinstance(code, int) else 0


def _usage(error: typer.TyperException, *, as_json: bool) -> int:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "elspeth"
    return report_usage(error.format_message(), f"see `{command} --help`", as_json=as_json)


if __name__ == "__main__":
    sys.exit(main())
