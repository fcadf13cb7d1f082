"""Where rows become tokens."""

from hashlib import sha256
from typing import Any, NamedTuple

import orjson

from elspeth.contracts.errors import CanonicalError, PluginError
from elspeth.contracts.plugins import Quarantined, Row
from elspeth.core.canonical import (
    PLAIN_OPTIONS,
    digest,
    dump,
    dump_values,
    plain_keys,
    plain_values,
    row_digest,
)
from elspeth.core.landscape.paths import Origin, Path
from elspeth.core.landscape.paths import Step as PathStep
from elspeth.engine.live import LiveToken
from elspeth.engine.steps import ErrorExit, Step, Workshop

_MOST_SHAPES = 256


class _Shape(NamedTuple):
    """Rows with the same fields: where they start, and whether their names need no care."""

    path: Path
    plain: bool


class SourceStep:
    """One source of a run: makes a token of each row that the plugin yields."""

    def __init__(
        self, workshop: Workshop, node_id: str, edge_id: str, following: Step, failed: ErrorExit
    ) -> None:
        self._workshop = workshop
        self._run_id = workshop.run_id
        self._node_id = node_id
        self._step = PathStep(node_id, exit_edge=edge_id)
        self._failed = failed
        self._shapes: dict[tuple[str, ...], _Shape] = {}
        self._any_shape = _Shape(self._path(None), plain=False)
        self._following = following

    def admit(self, row: Row | Quarantined, row_no: int, now: int) -> tuple[LiveToken, Step]:
        """The token of a row as the plugin yielded it, and where it goes first."""
        if row.__class__ is not dict:
            if isinstance(row, Quarantined):
                return self._refuse(row, row_no, now)
            raise PluginError(
                f"source {self._node_id!r} yielded {type(row).__name__}",
                fix="yield a dict, or Quarantined(…)",
            )
        token = LiveToken(self._run_id, row_no, row, now)
        shape = self._shapes.get(tuple(row))
        if shape is None:
            shape = self._learn(tuple(row))
        token.path = shape.path
        token.times.append(now)
        if shape.plain and plain_values(row.values()):
            try:
                token.hashes = sha256(orjson.dumps(row, None, PLAIN_OPTIONS)).digest()
            except orjson.JSONEncodeError:
                return self._admit_with_care(token, row, now)
            token.payload = orjson.dumps(list(row.values())).decode()
            token.plain = True
            return token, self._following
        return self._admit_with_care(token, row, now)

    def _refuse(self, item: Quarantined, row_no: int, now: int) -> tuple[LiveToken, Step]:
        raw = item.raw
        try:
            hashed = digest(raw)
        except CanonicalError:
            # Not even storable (a NaN, half a surrogate pair): keep what it looks like.
            raw = {"_raw": ascii(raw)}
            hashed = digest(raw)
        token = LiveToken(self._run_id, row_no, raw, now)
        token.path = self._workshop.book.root(Origin(self._node_id))
        token.hashes = hashed
        token.payload = dump(raw).decode()
        reason: dict[str, Any] = {"error": item.reason}
        if item.field is not None:
            reason["field"] = item.field
        if item.line is not None:
            reason["line"] = item.line
        return token, self._failed.take(token, reason, kind="validation")

    def _admit_with_care(self, token: LiveToken, row: Row, now: int) -> tuple[LiveToken, Step]:
        try:
            token.hashes = row_digest(row)
        except CanonicalError as error:
            return self._refuse(Quarantined(row, error.what, error.path or None), token.row_no, now)
        stored = dump(row) if token.path is self._any_shape.path else dump_values(list(row.values()))
        token.payload = stored.decode()
        token.nested = may_nest(stored)
        return token, self._following

    def _learn(self, fields: tuple[str, ...]) -> _Shape:
        # Rows of JSON may have any fields: past a number of shapes the names go with each row.
        if len(self._shapes) >= _MOST_SHAPES:
            return self._any_shape
        if not all(type(name) is str for name in fields):
            return self._any_shape  # row_digest will refuse the row
        shape = self._shapes[fields] = _Shape(self._path(fields), plain_keys(fields))
        return shape

    def _path(self, fields: tuple[str, ...] | None) -> Path:
        return self._workshop.book.root(Origin(self._node_id, shape=fields)).grow(self._step, self._step)


def may_nest(stored: bytes) -> bool:
    """Whether a stored row may hold lists or dicts (a bracket in a text counts too: it only costs time)."""
    return stored.find(b"[", 1) >= 0 or stored.find(b"{", 1) >= 0
