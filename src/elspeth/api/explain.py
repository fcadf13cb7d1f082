"""The story of rows: what they were, what each step made of them, who decided, and where they ended."""

from datetime import datetime
from difflib import get_close_matches
from typing import Any

from elspeth.api.database import landscape_reader
from elspeth.api.explain_html import story_html
from elspeth.api.explain_json import story_dict
from elspeth.api.story import Story
from elspeth.contracts.errors import NotFoundError, UsageError
from elspeth.core.expressions import EVALUATION_ERRORS, compile_expression, describe
from elspeth.core.landscape import ids
from elspeth.core.landscape.reader import LandscapeReader
from elspeth.core.landscape.records import ArtifactRecord, NodeRecord, RunRecord, by_sink
from elspeth.core.landscape.runs import LATEST


class Explanation(Story):
    """One or more rows of one run, each with its whole lineage; see `Story` for what it holds."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values; what JSON lacks in its tagged form, ``{"$elspeth": [type, text]}``."""
        return story_dict(self)

    def _repr_html_(self) -> str:
        return story_html(self)


def explain(  # noqa: PLR0913 — the questions that people ask, by their names
    run: str = LATEST,
    *,
    row: int | str | None = None,
    token: str | None = None,
    where: str | None = None,
    sink: str | None = None,
    database: str | None = None,
    limit: int = 10,
) -> Explanation:
    """Tell what happened to a row, and why.

    Say which: ``row`` (its index from 0, or its row id), ``token`` (a token id, which also names the
    run), ``where`` (an expression over the row as it was read, such as ``row['customer_id'] == 'X'``)
    or ``sink`` (rows of which something ended there); the last two may be combined, and give at most
    ``limit`` rows. ``run`` is a run id or ``latest``, ``database`` a landscape's URL (default:
    ``ELSPETH_LANDSCAPE__URL``, else ``.elspeth/landscape.db``).

    Raises UsageError for a question that can't be answered as put, NotFoundError for an unknown run,
    row, token or sink or if nothing matches, ExpressionError for ``where``, LandscapeError if the
    record contradicts itself.
    """
    asked = [name for name, value in (("row", row), ("token", token)) if value is not None]
    if where is not None or sink is not None:
        asked.append("where/sink")
    if len(asked) != 1:
        raise UsageError(
            "say which row is meant" if not asked else f"{' and '.join(asked)} can't be combined",
            fix="give one of --row N, --token ID, --where EXPRESSION or --sink NAME (or both of the last)",
        )
    if limit < 1:
        raise UsageError(f"the limit must be 1 or more, it is {limit}")
    with landscape_reader(database) as reader:
        if token is not None:
            return _explain_token(reader, run, token)
        found = reader.run(run)
        if row is not None:
            return _explanation(reader, found, [row_index(found, row)])
        wanted = _matching(reader, found, where, sink, limit + 1)
        return _explanation(reader, found, wanted[:limit], more=len(wanted) > limit)


def _explain_token(reader: LandscapeReader, run: str, token: str) -> Explanation:
    lineage = reader.row_of_token(token)
    if run not in (LATEST, lineage.run_id):
        raise NotFoundError(f"run {run} has no token {token!r}", fix=f"it belongs to run {lineage.run_id}")
    found = reader.run(lineage.run_id)
    around = _surroundings(reader, found)
    return Explanation(found, (lineage,), *around, token_id=token, purged_at=_purged_at(reader, found))


def _explanation(
    reader: LandscapeReader, run: RunRecord, indexes: list[int], *, more: bool = False
) -> Explanation:
    rows = tuple(reader.row_lineage(run.run_id, index) for index in indexes)
    return Explanation(run, rows, *_surroundings(reader, run), more=more, purged_at=_purged_at(reader, run))


def _purged_at(reader: LandscapeReader, run: RunRecord) -> datetime | None:
    purge = reader.purge(run.run_id)
    return None if purge is None else purge.at


def _surroundings(
    reader: LandscapeReader, run: RunRecord
) -> tuple[dict[str, NodeRecord], dict[str, ArtifactRecord]]:
    nodes = {node.node_id: node for node in reader.nodes(run.run_id)}
    return nodes, by_sink(reader.artifacts(run.run_id))


def row_index(run: RunRecord, row: int | str) -> int:
    """The index of a row that is asked for by index or id. Raises NotFoundError for anything else."""
    if isinstance(row, int):
        return row
    key = ids.parse_row_id(row)
    if key is not None and key.run_id == run.run_id:
        return key.row_no
    if row.isascii() and row.isdigit():
        return int(row)
    raise NotFoundError(
        f"run {run.run_id} has no row {row!r}", fix="give the row's index, counted from 0, or its row id"
    )


def _matching(
    reader: LandscapeReader, run: RunRecord, where: str | None, sink: str | None, limit: int
) -> list[int]:
    if sink is not None:
        _check_sink(reader, run, sink)
    if where is None:
        indexes = reader.rows_in_sink(run.run_id, sink or "", limit)
        if not indexes:
            raise NotFoundError(f"no row of run {run.run_id} ended in {sink!r}")
        return indexes
    condition = _Condition(where)
    indexes = reader.find_rows(run.run_id, condition, sink=sink, limit=limit)
    if not indexes:
        ended = f" and ended in {sink!r}" if sink else ""
        raise NotFoundError(f"no row of run {run.run_id} matches {where}{ended}", fix=condition.advice())
    return indexes


class _Condition:
    """A ``where``: a row on which it fails does not match, and the first failure is kept to be told."""

    def __init__(self, text: str) -> None:
        self._expression = compile_expression(text)
        self._failures = 0
        self._first = ""

    def __call__(self, row: dict[str, Any]) -> bool:
        try:
            return bool(self._expression.fn(row))
        except EVALUATION_ERRORS as error:
            if not self._failures:
                self._first = describe(error, self._expression, row)
            self._failures += 1
            return False

    def advice(self) -> str:
        if not self._failures:
            return "the condition is asked of the rows as they were read, before any transform"
        return f"it failed on {self._failures} rows, first with: {self._first}"


def _check_sink(reader: LandscapeReader, run: RunRecord, sink: str) -> None:
    sinks = [node.node_id for node in reader.nodes(run.run_id) if node.node_type == "sink"]
    if sink in sinks:
        return
    close = get_close_matches(sink, sinks, n=1)
    fix = f"did you mean {close[0]}?" if close else f"its sinks are {', '.join(sinks)}"
    raise NotFoundError(f"run {run.run_id} has no sink {sink!r}", fix=fix)
