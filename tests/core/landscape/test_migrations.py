"""A landscape made by the migrations is the landscape that `LandscapeDB.create` makes."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, inspect, text

from elspeth.contracts.errors import LandscapeError, LandscapeVersionError, NotFoundError, UsageError
from elspeth.core.landscape.database import LandscapeDB, raw_connection
from elspeth.core.landscape.reader import LandscapeReader
from elspeth.core.landscape.schema import SCHEMA_VERSION
from elspeth.core.landscape.upgrade import upgrade


def described(url: str) -> dict[str, Any]:
    """Everything that an inspector sees, and the text of every view."""
    engine = create_engine(url)
    seen: dict[str, Any] = {}
    inspector = inspect(engine)
    for table in inspector.get_table_names():
        if table == "alembic_version":
            continue  # Alembic gives its primary key a name of its own
        seen[table] = {
            "columns": [
                {**column, "type": str(column["type"].compile(engine.dialect))}
                for column in inspector.get_columns(table)
            ],
            "pk": inspector.get_pk_constraint(table),
            "fks": sorted(inspector.get_foreign_keys(table), key=str),
            "unique": sorted(inspector.get_unique_constraints(table), key=str),
            "indexes": sorted(({**index} for index in inspector.get_indexes(table)), key=lambda i: i["name"]),
            "options": inspector.get_table_options(table),
        }
        for index in seen[table]["indexes"]:
            options = index.get("dialect_options", {})
            index["dialect_options"] = {name: str(value) for name, value in options.items()}
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            query = text("SELECT sql FROM sqlite_master WHERE name = 'traces'")
            seen["traces as written"] = connection.execute(query).scalar()
    for view in inspector.get_view_names():
        seen[view] = re.sub(r"\s+", " ", inspector.get_view_definition(view))
    engine.dispose()
    return seen


@pytest.fixture
def two_urls(landscape_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> tuple[str, str]:
    if landscape_url.startswith("sqlite"):
        return landscape_url, f"sqlite:///{tmp_path / 'second.db'}"
    return landscape_url, request.getfixturevalue("postgres_database")()


def execute(url: str, *statements: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def test_migrations_make_the_same_schema_as_create(two_urls: tuple[str, str]) -> None:
    made, migrated = two_urls
    LandscapeDB.from_url(made).close()
    assert upgrade(migrated, create=True) == SCHEMA_VERSION
    assert described(migrated) == described(made)


def test_a_migrated_landscape_can_be_used(landscape_url: str, record_orders: Callable[..., Any]) -> None:
    upgrade(landscape_url, create=True)
    db = LandscapeDB.from_url(landscape_url, create=False)
    record_orders(db)
    assert LandscapeReader(db).counts("latest").read == 6
    db.close()


def test_upgrading_a_landscape_of_this_version_changes_nothing(
    landscape_url: str, record_orders: Callable[..., Any]
) -> None:
    db = LandscapeDB.from_url(landscape_url)
    record_orders(db)
    before = described(landscape_url)
    assert upgrade(landscape_url) == SCHEMA_VERSION
    assert described(landscape_url) == before
    assert LandscapeReader(db).counts("latest").read == 6
    db.close()


def test_a_database_of_another_program_is_refused(landscape_url: str) -> None:
    execute(landscape_url, "CREATE TABLE customers (id INTEGER)")
    for attempt in (lambda: upgrade(landscape_url, create=True), lambda: LandscapeDB.from_url(landscape_url)):
        with pytest.raises(LandscapeVersionError, match="database of another program, not a landscape"):
            attempt()
    assert described(landscape_url).keys() - {"traces as written"} == {"customers"}


def test_another_program_that_uses_alembic_too_is_refused(sqlite_url: str) -> None:
    execute(
        sqlite_url,
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)",
        f"INSERT INTO alembic_version VALUES ('{SCHEMA_VERSION}')",
    )
    with pytest.raises(LandscapeVersionError, match="another program"):
        upgrade(sqlite_url, create=True)


def test_a_newer_landscape_is_refused_with_what_to_do(landscape_url: str) -> None:
    LandscapeDB.from_url(landscape_url).close()
    execute(landscape_url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(LandscapeVersionError) as caught:
        upgrade(landscape_url)
    assert "has landscape version 9999, which this release does not know" in str(caught.value)
    assert "nothing was changed; use the release that wrote it, or a newer one" in str(caught.value)
    with pytest.raises(LandscapeVersionError, match=f"this release needs {SCHEMA_VERSION}"):
        LandscapeDB.from_url(landscape_url)


def test_nothing_is_made_where_there_is_nothing(tmp_path: Path, postgres_url: str) -> None:
    missing = tmp_path / "missing.db"
    with pytest.raises(NotFoundError, match=r"there is no landscape at .*missing\.db"):
        upgrade(f"sqlite:///{missing}")
    assert not missing.exists()
    with pytest.raises(NotFoundError, match="the database is empty"):
        upgrade(postgres_url)
    assert described(postgres_url) == {}


def test_a_migration_that_fails_leaves_nothing_behind(landscape_url: str) -> None:
    execute(landscape_url, "CREATE VIEW rows AS SELECT 1 AS x")
    with pytest.raises(LandscapeError):
        upgrade(landscape_url, create=True)
    assert described(landscape_url).keys() - {"traces as written"} == {"rows"}


def test_a_raw_connection_says_what_is_wrong_without_the_password() -> None:
    with pytest.raises(UsageError, match="can't live in 'mysql'"), raw_connection("mysql://x/y"):
        pass
    url = "postgresql://me:secret@localhost:1/db?connect_timeout=2"
    with pytest.raises(LandscapeError, match="can't be reached") as caught, raw_connection(url):
        pass
    assert "secret" not in str(caught.value)
