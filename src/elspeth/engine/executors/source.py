"""Where rows become tokens."""

from typing import Any

from elspeth.contracts.errors import CanonicalError
from elspeth.contracts.plugins import Quarantined, Row
from elspeth.core.canonical import digest, dump, dump_values, row_digest
from elspeth.core.landscape.paths import Origin, Path
from elspeth.core.landscape.paths import Step as PathStep
from elspeth.engine.live import LiveToken
from elspeth.engine.steps import ErrorExit, Step, Workshop

_MOST_SHAPES = 256


class SourceStep:
    """One source of a run: makes a token of each row that the plugin yields."""

    def __init__(
        self, workshop: Workshop, node_id: str, edge_id: str, following: Step, failed: ErrorExit
    ) -> None:
        self._workshop = workshop
        self._node_id = node_id
        self._step = PathStep(node_id, exit_edge=edge_id)
        self._failed = failed
        self._paths: dict[tuple[str, ...], Path] = {}
        self._open_path = self._path(None)
        self.following = following

    def admit(self, row: Row, row_no: int, now: int) -> tuple[LiveToken, Step]:
        """The token of a good row, and where it goes first."""
        token = LiveToken(self._workshop.run_id, row_no, row, now)
        try:
            hashed = row_digest(row)
        except CanonicalError as error:
            return self.refuse(Quarantined(row, error.what, error.path), row_no, now)
        path = self._paths.get(tuple(row))
        if path is None:
            path = self._path_of_shape(tuple(row))
        token.path = path
        token.hashes.append(hashed)
        token.times.append(now)
        payload = dump_object(row) if path is self._open_path else dump_values(list(row.values())).decode()
        token.payload = payload
        token.nested = may_nest(payload)
        return token, self.following

    def refuse(self, item: Quarantined, row_no: int, now: int) -> tuple[LiveToken, Step]:
        """The token of a row that doesn't fit, and the end that it goes to."""
        raw = item.raw
        try:
            hashed = digest(raw)
        except CanonicalError:
            # Not even storable (a NaN, half a surrogate pair): keep what it looks like.
            raw = {"_raw": ascii(raw)}
            hashed = digest(raw)
        token = LiveToken(self._workshop.run_id, row_no, raw, now)
        token.path = self._workshop.book.root(Origin(self._node_id))
        token.hashes.append(hashed)
        token.payload = dump_object(raw)
        reason: dict[str, Any] = {"error": item.reason}
        if item.field is not None:
            reason["field"] = item.field
        if item.line is not None:
            reason["line"] = item.line
        return token, self._failed.take(token, reason, kind="validation")

    def _path_of_shape(self, shape: tuple[str, ...]) -> Path:
        # Rows of JSON may have any keys: past a number of shapes the names go with each row.
        path = self._path(shape) if len(self._paths) < _MOST_SHAPES else self._open_path
        if path is not self._open_path:
            self._paths[shape] = path
        return path

    def _path(self, shape: tuple[str, ...] | None) -> Path:
        return self._workshop.book.root(Origin(self._node_id, shape=shape)).grow(self._step, self._step)


def may_nest(payload: str) -> bool:
    """Whether a stored row may hold lists or dicts (a bracket in a text counts too: it only costs time)."""
    return payload.find("[", 1) >= 0 or payload.find("{", 1) >= 0


def dump_object(row: Row) -> str:
    """The stored form of a whole row, names included."""
    return dump(row).decode()
