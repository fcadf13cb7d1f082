"""Reading the landscape. Whatever a face shows of a run comes from here; nothing here writes."""

from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import islice
from typing import Any

import orjson
from sqlalchemy import Connection, func, select

from elspeth.contracts.errors import NotFoundError
from elspeth.core.landscape import ids, leases, runs
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.reading import counts, search
from elspeth.core.landscape.reading.assembling import assemble
from elspeth.core.landscape.reading.lineage import RowLineage, TokenLineage
from elspeth.core.landscape.reading.material import read_errors, read_material
from elspeth.core.landscape.reading.stored import PathCache
from elspeth.core.landscape.records import (
    ArtifactRecord,
    EdgeRecord,
    ErrorGroup,
    ErrorRecord,
    NodeRecord,
    NodeTiming,
    RunCounts,
    RunEvent,
    RunRecord,
)
from elspeth.core.landscape.reproducibility import PurgeRecord, read_purge
from elspeth.core.landscape.tables import runs_table, traces_table

_MAX_EDGE_RUNS = 100


class LandscapeReader:
    """Reads one landscape; cheap to make, keeps what it learns of runs' edges and paths.

    Every ``run`` is a run id or ``latest``. Methods that take one raise NotFoundError, with what
    is meant perhaps, if it is not there, and LandscapeError if the record contradicts itself.
    One row of a million is read by its key, in a few milliseconds.
    """

    def __init__(self, db: LandscapeDB) -> None:
        self._db = db
        self._paths = PathCache()
        self._edges: dict[str, Mapping[str, EdgeRecord]] = {}

    def runs(self, limit: int = 20) -> list[RunRecord]:
        """The newest runs, newest first."""
        with self._db.reading() as connection:
            return runs.read_runs(connection, limit)

    def abandoned(self, now: datetime) -> frozenset[int]:
        """The numbers of runs that nobody works on any more, and that nobody has ended."""
        with self._db.reading() as connection:
            return frozenset(leases.abandoned(connection, now))

    def run(self, run: str) -> RunRecord:
        """One run."""
        with self._db.reading() as connection:
            return runs.read_run(connection, run)

    def nodes(self, run: str) -> list[NodeRecord]:
        """The run's nodes in pipeline order."""
        with self._db.reading() as connection:
            return runs.read_nodes(connection, runs.read_run(connection, run).run_id)

    def edges(self, run: str) -> list[EdgeRecord]:
        """The run's edges."""
        with self._db.reading() as connection:
            return runs.read_edges(connection, runs.read_run(connection, run).run_id)

    def artifacts(self, run: str) -> list[ArtifactRecord]:
        """What the run published; empty while it runs."""
        with self._db.reading() as connection:
            return runs.read_artifacts(connection, runs.read_run(connection, run).run_id)

    def purge(self, run: str) -> PurgeRecord | None:
        """When the contents of the run's rows were taken away; None if they were not."""
        with self._db.reading() as connection:
            return read_purge(connection, runs.read_run(connection, run).run_no)

    def history(self, run: str) -> list[RunEvent]:
        """What happened to the run as a whole (resumed, purged, …), in order."""
        with self._db.reading() as connection:
            return runs.read_history(connection, runs.read_run(connection, run).run_no)

    def depends_on(self, run: str) -> dict[str, str]:
        """The runs that this one was built upon, by pipeline."""
        with self._db.reading() as connection:
            return runs.read_depends_on(connection, runs.read_run(connection, run).run_no)

    def counts(self, run: str) -> RunCounts:
        """How the run's rows and tokens ended. Reads every trace once: about 0.4 s for 10⁶ tokens."""
        with self._db.reading() as connection:
            run_no = runs.read_run(connection, run).run_no
            tokens = counts.path_counts(connection, run_no)
            return counts.summarise(tokens, self._paths.read(connection, run_no, tokens))

    def counts_of(self, run: str, tokens: Mapping[int, int]) -> RunCounts:
        """As `counts`, from tokens per path that were counted already: reads the paths only."""
        with self._db.reading() as connection:
            run_no = runs.read_run(connection, run).run_no
            return counts.summarise(tokens, self._paths.read(connection, run_no, tokens))

    def outcome_counts(self, run: str) -> Mapping[str, int]:
        """Terminal state → tokens; states that nobody reached are left out."""
        return self.counts(run).outcomes

    def sink_counts(self, run: str) -> Mapping[str, int]:
        """Sink → tokens that ended there."""
        return self.counts(run).sinks

    def node_timings(self, run: str) -> Mapping[str, NodeTiming]:
        """How long each node took, from the states of at most 1,000 rows spread evenly over the run."""
        with self._db.reading() as connection:
            run_no = runs.read_run(connection, run).run_no
            sample = counts.sample_times(connection, run_no)
            paths = self._paths.read(connection, run_no, {path_no for path_no, _ in sample})
        durations: dict[str, list[float]] = {}
        for path_no, times_json in sample:
            times = [*orjson.loads(times_json), 0]  # slot -1 is the start
            for step in paths[path_no].steps:
                if step.end_slot is not None:
                    took = (times[step.end_slot] - times[step.start_slot]) / 1000
                    durations.setdefault(step.node_id, []).append(took)
        return {node: counts.timing(values) for node, values in durations.items()}

    def errors(self, run: str, limit: int = 100) -> list[ErrorRecord]:
        """The first errors of the run in row order."""
        with self._db.reading() as connection:
            found = runs.read_run(connection, run)
            return read_errors(connection, (found.run_no, found.run_id), limit)

    def error_groups(self, run: str, limit: int = 10) -> list[ErrorGroup]:
        """The run's most frequent errors, by node and text."""
        with self._db.reading() as connection:
            return counts.error_groups(connection, runs.read_run(connection, run).run_no, limit)

    def row_lineage(self, run: str, row_index: int) -> RowLineage:
        """One source row with all its tokens; ``row_index`` counts from 0."""
        with self._db.reading() as connection:
            found = runs.read_run(connection, run)
            lineage = self._lineage(connection, found, row_index)
            if lineage is None:
                raise _no_row(connection, found, row_index)
            return lineage

    def token_lineage(self, token_id: str) -> TokenLineage:
        """One token, with what became of it (its children)."""
        token = self.row_of_token(token_id).token(token_id)
        if token is None:
            raise _no_token(token_id)
        return token

    def row_of_token(self, token_id: str) -> RowLineage:
        """The row that a token belongs to, with all its tokens. Takes aliases too."""
        with self._db.reading() as connection:
            run_id, row_no = _locate(connection, token_id)
            found = runs.read_run(connection, run_id)
            lineage = self._lineage(connection, found, row_no)
            if lineage is None or lineage.token(token_id) is None:
                raise _no_token(token_id)
            return lineage

    def find_rows(
        self,
        run: str,
        predicate: Callable[[dict[str, Any]], bool],
        *,
        sink: str | None = None,
        limit: int = 10,
    ) -> list[int]:
        """Indexes of the first rows for which ``predicate`` of the row as it was read is true.

        With ``sink``, only rows of which some token ended there. Reads the run's rows in order
        until it has enough: up to some seconds for 10⁶ rows.
        """
        with self._db.reading() as connection:
            run_no = runs.read_run(connection, run).run_no
            return list(islice(search.find_rows(connection, run_no, predicate, sink=sink), limit))

    def rows_in_sink(self, run: str, sink: str, limit: int = 10) -> list[int]:
        """Indexes of the first rows of which some token ended in that sink."""
        with self._db.reading() as connection:
            return search.rows_in_sink(connection, runs.read_run(connection, run).run_no, sink, limit)

    def _lineage(self, connection: Connection, run: RunRecord, row_no: int) -> RowLineage | None:
        edges = self._edges_of(connection, run.run_id)
        material = read_material(connection, (run.run_no, run.run_id), row_no, self._paths, edges)
        return None if material is None else assemble(material)

    def _edges_of(self, connection: Connection, run_id: str) -> Mapping[str, EdgeRecord]:
        if run_id not in self._edges:
            if len(self._edges) >= _MAX_EDGE_RUNS:
                self._edges.clear()
            self._edges[run_id] = {edge.edge_id: edge for edge in runs.read_edges(connection, run_id)}
        return self._edges[run_id]


def _locate(connection: Connection, token_id: str) -> tuple[str, int]:
    alias = (
        select(runs_table.c.run_id, traces_table.c.row_no)
        .join(runs_table, runs_table.c.run_no == traces_table.c.run_no)
        .where(traces_table.c.token_alias == token_id)
        .order_by(traces_table.c.run_no.desc())
        .limit(1)
    )
    key = ids.parse_token_id(token_id)
    if key is not None:
        return key.run_id, key.row_no
    row = connection.execute(alias).one_or_none()
    if row is None:
        raise _no_token(token_id)
    return row.run_id, row.row_no


def _no_token(token_id: str) -> NotFoundError:
    fix = "token ids look like RUN-ROW-TOKEN; `elspeth explain RUN --row N` shows those of a row"
    return NotFoundError(f"there is no token {token_id!r}", fix=fix)


def _no_row(connection: Connection, run: RunRecord, row_index: int) -> NotFoundError:
    last = connection.execute(
        select(func.max(traces_table.c.row_no)).where(traces_table.c.run_no == run.run_no)
    ).scalar()
    if last is None:
        return NotFoundError(
            f"run {run.run_id} has no row {row_index}: it read none", fix="choose another run: elspeth runs"
        )
    return NotFoundError(f"run {run.run_id} has no row {row_index}", fix=f"its rows are 0 to {last}")
