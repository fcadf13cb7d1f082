"""The same with the landscape in PostgreSQL, whose server may also end a connection."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event, make_url, text

from elspeth.api.verify import verify
from elspeth.contracts.errors import LandscapeError
from elspeth.engine import processor

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "postgresql.md"
ENOUGH_FOR_NO_SINK = 9_000


@pytest.fixture
def files_in_postgres(files: Any, postgres_url: str, make_scene: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The pipeline that writes files, with its record in PostgreSQL."""
    monkeypatch.setattr(processor, "GROUP_TOKENS", 100)
    monkeypatch.setattr(processor, "LOOK_NS", 0)
    return type(files)(files.directory, files.nursery, postgres_url)


@pytest.mark.parametrize(("point", "count"), [("sinks.flushed", 4), ("commit.end", 5), ("publish.begin", 1)])
def test_killed_and_resumed(
    files_in_postgres: Any, undisturbed: dict[str, Any], point: str, count: int
) -> None:
    assert files_in_postgres.kill(point, count) != 0
    files_in_postgres.resume()
    assert files_in_postgres.outcome() == undisturbed["files"]
    assert verify(database=files_in_postgres.url).ok


def test_a_sink_whose_disk_is_full_stops_a_run_that_can_go_on(
    files_in_postgres: Any, undisturbed: dict[str, Any]
) -> None:
    code, _ = files_in_postgres.victim(largest=ENOUGH_FOR_NO_SINK)
    assert code == 1
    assert ".part cannot be written" in files_in_postgres.said()
    files_in_postgres.resume()
    assert files_in_postgres.outcome() == undisturbed["files"]


def end_connections(url: str) -> None:
    """What an administrator, or a server that is started anew, does."""
    admin = create_engine(url)
    with admin.connect() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    admin.dispose()


def test_a_connection_that_ends_between_two_commits_is_made_anew(
    files_in_postgres: Any, undisturbed: dict[str, Any]
) -> None:
    files_in_postgres.run(watch=lambda _progress: end_connections(files_in_postgres.url))
    assert files_in_postgres.outcome() == undisturbed["files"]


def test_a_connection_that_ends_in_a_commit_stops_a_run_that_can_go_on(
    files_in_postgres: Any, undisturbed: dict[str, Any]
) -> None:
    commits: list[bool] = []

    def interrupt(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("UPDATE checkpoints"):
            commits.append(True)
            if len(commits) == 4:
                end_connections(files_in_postgres.url)

    event.listen(Engine, "before_cursor_execute", interrupt)
    try:
        with pytest.raises(LandscapeError, match=r"can't be written: .*terminat"):
            files_in_postgres.run()
    finally:
        event.remove(Engine, "before_cursor_execute", interrupt)
    files_in_postgres.resume()
    assert files_in_postgres.outcome() == undisturbed["files"]
    assert verify(database=files_in_postgres.url).ok


def test_the_rights_in_the_guide_are_enough_for_a_run_and_a_resume(
    files_in_postgres: Any, undisturbed: dict[str, Any], postgres_database: Callable[[], str]
) -> None:
    """As the guide's writer, with exactly the guide's grants; nothing else may be rewritten."""
    from elspeth.core.landscape.database import LandscapeDB  # noqa: PLC0415

    url = files_in_postgres.url
    LandscapeDB.from_url(url).close()
    grants = re.findall(r"GRANT [^;`]*? TO elspeth_writer", GUIDE.read_text(encoding="utf-8"))
    owner = create_engine(url)
    with owner.begin() as connection:
        connection.execute(text("DROP ROLE IF EXISTS elspeth_writer"))
        connection.execute(text("CREATE ROLE elspeth_writer LOGIN"))
        for grant in grants:
            connection.execute(text(grant))
    writer = make_url(url).set(username="elspeth_writer").render_as_string(hide_password=False)
    scene = type(files_in_postgres)(files_in_postgres.directory, files_in_postgres.nursery, writer)
    try:
        assert scene.kill("commit.end", 4) != 0
        scene.resume()
        assert scene.outcome() == undisturbed["files"]
        as_writer = create_engine(writer)
        with as_writer.connect() as connection, pytest.raises(Exception, match="permission denied"):
            connection.execute(text("UPDATE traces SET hashes = ''"))
        as_writer.dispose()
    finally:
        with owner.begin() as connection:
            connection.execute(text("DROP OWNED BY elspeth_writer"))
            connection.execute(text("DROP ROLE elspeth_writer"))
        owner.dispose()
