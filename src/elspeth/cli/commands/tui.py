"""``elspeth tui``."""

from importlib import import_module

from elspeth.cli.options import Database, command_app, examples
from elspeth.contracts.errors import UsageError

app = command_app()


@app.command(epilog=examples("elspeth tui\nelspeth tui --database sqlite:///.elspeth/landscape.db"))
def tui(database: Database = None) -> int:
    """Look at runs, rows and experiments in a terminal that stays open.

    Live while a run goes on. `/` searches, `?` shows the keys.
    """
    try:
        face = import_module("elspeth.tui.app")
    except ModuleNotFoundError as error:
        raise UsageError(
            f"Textual is needed for this, and can't be loaded ({error})", fix="pip install 'elspeth[tui]'"
        ) from error
    face.main(database)
    return 0
