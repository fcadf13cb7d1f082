"""What becomes of a token when a transform has answered: it goes on, splits, or fails."""

from collections.abc import Mapping, Sequence
from typing import Any

from elspeth.contracts.errors import CanonicalError, PluginError
from elspeth.contracts.plugins import Row
from elspeth.contracts.results import TransformResult
from elspeth.core.canonical import dump_values, row_digest
from elspeth.core.landscape.paths import Origin
from elspeth.core.landscape.paths import Step as PathStep
from elspeth.engine.executors.changes import Changes
from elspeth.engine.executors.source import may_nest
from elspeth.engine.joins import spread
from elspeth.engine.live import LiveToken
from elspeth.engine.steps import PLUGIN_BUG, ErrorExit, Step, Workshop


class Outcomes:
    """The answers of one transform, put on the record of their tokens.

    ``waits``: between the step before and this one the token waited, so each attempt has put down
    its start before its end; otherwise only attempts after the first have.
    """

    def __init__(self, workshop: Workshop, node_id: str, edge_id: str, *, waits: bool = False) -> None:
        self._workshop = workshop
        self._node_id = node_id
        self._edge_id = edge_id
        self._waits = waits
        self._changes: dict[int, Changes] = {}
        self._expanded: dict[int, PathStep] = {}
        self._tried: dict[int, PathStep] = {}
        self.following: Step
        self.failed: ErrorExit

    def changes(self, attempt: int = 1) -> Changes:
        """How rows change at this attempt."""
        found = self._changes.get(attempt)
        if found is None:
            gap = self._gap(attempt)
            found = self._changes[attempt] = Changes(self._node_id, self._edge_id, gap=gap, attempt=attempt)
        return found

    def settle(self, token: LiveToken, result: TransformResult, attempt: int = 1) -> Step | None:
        """Where the token goes, now that this attempt is over."""
        if result.status != "success":
            return self.fail(token, result.reason or {"error": "no reason was given"}, attempt)
        try:
            if result.row is not None:
                step = self.changes(attempt).put(token, result.row)
                token.path = token.path.grow(step, step)
                return self.following
            if result.rows is not None:
                self._expand(token, result.rows, attempt)
                return None
        except CanonicalError as error:
            return self.fail(token, {"error": error.what, "field": error.path}, attempt)
        raise self.broken(token, "returned success without a row")

    def fail(self, token: LiveToken, reason: Mapping[str, Any], attempt: int = 1) -> Step:
        """This was the last attempt: the token goes to the error sink."""
        token.times.pop()
        return self.failed.take(token, reason, attempt=attempt, gap=self._gap(attempt))

    def try_again(self, token: LiveToken, result: TransformResult, attempt: int) -> None:
        """Put on record that an attempt failed and that there will be another."""
        step = self._tried.get(attempt)
        if step is None:
            step = self._tried[attempt] = PathStep(
                self._node_id, status="failed", attempt=attempt, gap=self._gap(attempt)
            )
        token.path = token.path.grow(step, step)
        reason = self._workshop.redactor.tree(result.reason or {"error": "no reason was given"})
        self._workshop.note_error(token, self._node_id, reason, "retry", attempt=attempt)

    def broken(self, token: LiveToken, what: str, *, fix: str = "") -> PluginError:
        """The plugin did what it must not do."""
        return PluginError(f"transform {self._node_id!r} {what} (row {token.row_id})", fix=fix or PLUGIN_BUG)

    def _gap(self, attempt: int) -> bool:
        return self._waits or attempt > 1

    def _expand(self, token: LiveToken, rows: Sequence[Row], attempt: int) -> None:
        hashes = [row_digest(row) for row in rows]
        step = self._expanded.get(attempt)
        if step is None:
            step = self._expanded[attempt] = PathStep(
                self._node_id, attempt=attempt, gap=self._gap(attempt), ending="expanded"
            )
        token.path = token.path.grow(step, step)
        self._workshop.end(token)
        children = [
            (self._child(token, row, hashed), self.following)
            for row, hashed in zip(rows, hashes, strict=True)
        ]
        self._workshop.stack.extend(reversed(children))
        spread(token.join, len(children))

    def _child(self, token: LiveToken, row: Row, hashed: bytes) -> LiveToken:
        child = token.child(row, token.times[-1])
        origin = Origin(
            token.path.origin.source_node_id,
            "expand",
            token.branch_name,
            tuple(row),
            token.path.step_index + 1,
            self._edge_id,
        )
        child.branch_name = token.branch_name
        child.join = token.join
        child.path = self._workshop.book.root(origin)
        child.hashes = hashed
        stored = dump_values(list(row.values()))
        child.payload = stored.decode()
        child.nested = may_nest(stored)
        return child
