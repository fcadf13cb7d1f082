"""Bringing a landscape to the version that this release writes, with Alembic.

Alembic is imported nowhere else: it takes longer to load than most commands take to run.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, make_url, text

from elspeth.contracts.errors import LandscapeVersionError, NotFoundError
from elspeth.core.landscape.database import raw_connection


def upgrade(url: str, *, create: bool = False) -> str:
    """Upgrade the landscape at ``url`` in one transaction and return its version, old or new.

    With ``create`` an empty database gets the tables too, made by the migrations. Nothing is
    changed if it fails. Raises NotFoundError where there is no landscape, LandscapeVersionError for
    a database of another program or of a newer release, UsageError or LandscapeError where it
    can't be opened.
    """
    parsed = make_url(url) if url.startswith("sqlite") else None
    if parsed is not None and parsed.database and not create and not Path(parsed.database).exists():
        raise NotFoundError(
            f"there is no landscape at {parsed.database}", fix="see to the path in --database"
        )
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    scripts = ScriptDirectory.from_config(config)
    with raw_connection(url) as connection:
        _check(connection, scripts, create=create)
        connection.rollback()
        if connection.dialect.name == "sqlite":
            # The driver begins no transaction for CREATE and ALTER by itself.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
        return _version(connection) or ""


def _check(connection: Connection, scripts: ScriptDirectory, *, create: bool) -> None:
    where = connection.engine.url.render_as_string(hide_password=True)
    tables = set(inspect(connection).get_table_names())
    if not tables:
        if create:
            return
        raise NotFoundError(f"there is no landscape at {where}: the database is empty")
    version = _version(connection) if "alembic_version" in tables else None
    if version is None or "traces" not in tables:
        raise LandscapeVersionError(
            f"{where} is a database of another program, not a landscape",
            fix="nothing was changed; choose the landscape's own database",
        )
    known = {script.revision for script in scripts.walk_revisions()}
    if version not in known:
        raise LandscapeVersionError(
            f"{where} has landscape version {version}, which this release does not know "
            f"(its newest is {scripts.get_current_head()})",
            fix="nothing was changed; use the release that wrote it, or a newer one",
        )


def _version(connection: Connection) -> str | None:
    version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if version is None else str(version)
