"""What a step did to a row: found, hashed and put on the token's record."""

from typing import NamedTuple

from elspeth.contracts.plugins import Row
from elspeth.core.canonical import dump, dump_values, plain_keys, plain_values, row_digest
from elspeth.core.landscape.paths import Delta
from elspeth.core.landscape.paths import Step as PathStep
from elspeth.engine.executors.source import may_nest
from elspeth.engine.live import LiveToken

_MOST_SHAPES = 256
MISSING = object()
_COMPARABLE = frozenset({str, int, bool, type(None)})


class Change(NamedTuple):
    """One way in which rows change: the fields afterwards, the new ones among them, and their record.

    ``plain``: the names of the fields need no care. Of the changed fields ``renamed`` are pairs of
    a new name and the old one, ``stored`` the others.
    """

    fields: list[str]
    changed: list[str]
    plain: bool
    step: PathStep
    renamed: tuple[tuple[str, str], ...]
    stored: tuple[str, ...]


class Changes:
    """The ways in which one node changes rows. ``last`` is the one of the row before."""

    def __init__(self, node_id: str, edge_id: str, *, gap: bool = False, attempt: int = 1) -> None:
        self._node_id = node_id
        self._edge_id = edge_id
        self._gap = gap
        self._attempt = attempt
        self._known: dict[tuple[object, ...], Change] = {}
        whole = PathStep(node_id, exit_edge=edge_id, delta=Delta(None, None), gap=gap, attempt=attempt)
        self._whole = self.last = Change([], [], plain=False, step=whole, renamed=(), stored=())
        self.nothing = PathStep(node_id, exit_edge=edge_id, gap=gap, attempt=attempt)

    def put(self, token: LiveToken, out: Row) -> PathStep:
        """Make ``out`` the token's row, and return the step to put on its path.

        Raises CanonicalError, with the token as it was, for a row that can't be put on record.
        """
        row = token.row
        if out is row:
            return self.nothing
        # Equal texts and numbers are the same value, if not the same object.
        changed = [key for key, value in out.items() if not _same(row.get(key, MISSING), value)]
        if not changed and tuple(out) == tuple(row):
            return self.nothing
        hashed = row_digest(out)
        change = self._change(row, out, changed)
        values = [out[name] for name in change.stored]
        listed = dump(out) if change is self._whole else dump_values(values)
        self.last = change
        token.plain = token.plain and change.plain and plain_values(values)
        token.nested = token.nested or may_nest(listed)
        token.row = out
        token.hashes += hashed
        stored = listed if change is self._whole else listed[1:-1]
        if stored:
            token.deltas = token.deltas + b"," + stored if token.deltas else stored
        return change.step

    def _change(self, row: Row, out: Row, changed: list[str]) -> Change:
        renamed = _renames(row, out)
        key = (tuple(out), tuple(changed), renamed)
        change = self._known.get(key)
        if change is None:
            if len(self._known) >= _MOST_SHAPES:
                return self._whole
            names = {new for new, _ in renamed}
            stored = tuple(name for name in changed if name not in names)
            step = PathStep(
                self._node_id,
                exit_edge=self._edge_id,
                delta=Delta(tuple(out), stored, renamed),
                attempt=self._attempt,
                gap=self._gap,
            )
            change = Change(list(out), changed, plain_keys(out), step, renamed, stored)
            self._known[key] = change
        return change


def _renames(row: Row, out: Row) -> tuple[tuple[str, str], ...]:
    """Pairs of a new name and the old one in the same place, where the value is the same object.

    Only in the same place: so it does not depend on the values which fields count as renamed.
    """
    return tuple(
        (new, old)
        for new, old in zip(out, row, strict=False)
        if new != old and new not in row and old not in out and out[new] is row[old]
    )


def _same(old: object, new: object) -> bool:
    """Whether two values are surely the same: one object, or equal and of one simple type."""
    if old is new:
        return True
    kind = old.__class__
    return kind is new.__class__ and kind in _COMPARABLE and old == new
