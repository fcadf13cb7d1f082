"""One transform at work: run it, see what it changed, put that on the token's path."""

from collections.abc import Sequence

from elspeth.contracts.errors import CanonicalError, ElspethError, PluginError
from elspeth.contracts.plugins import PluginContext, Row, Transform
from elspeth.contracts.results import TransformResult
from elspeth.core.canonical import dump, dump_values, row_digest
from elspeth.core.landscape.paths import Delta, Origin
from elspeth.core.landscape.paths import Step as PathStep
from elspeth.engine.executors.source import may_nest
from elspeth.engine.live import LiveToken
from elspeth.engine.steps import ErrorExit, Step, Workshop

_MOST_DELTAS = 256
_MISSING = object()
_COMPARABLE = frozenset({str, int, bool, type(None)})


class TransformStep:
    """One transform of a run."""

    def __init__(
        self, workshop: Workshop, node_id: str, plugin: Transform, ctx: PluginContext, edge_id: str
    ) -> None:
        self._workshop = workshop
        self._ns = workshop.clock.ns
        self._node_id = node_id
        self._process = plugin.process
        self._ctx = ctx
        self._edge_id = edge_id
        self._unchanged = PathStep(node_id, exit_edge=edge_id)
        self._expanded = PathStep(node_id, ending="expanded")
        self._deltas: dict[tuple[tuple[str, ...], tuple[str, ...]], PathStep] = {}
        self._whole = PathStep(node_id, exit_edge=edge_id, delta=Delta(None, None))
        self.following: Step
        self.failed: ErrorExit

    def step(self, token: LiveToken) -> Step | None:
        """Run the transform on the token's row."""
        row = token.row
        before = list(row.values())
        self._ctx.token = token
        try:
            result = self._process(row, self._ctx)
        except ElspethError:
            raise
        except Exception as error:
            raise self._broken(token, f"raised {type(error).__name__}: {error}") from error
        token.times.append(self._ns())
        # Comparing identical objects takes 0.1 µs; a transform that changes its input in place
        # would put a false input on record for every step before it.
        if list(row.values()) != before or (token.nested and row_digest(row) != token.hashes[-1]):
            raise self._broken(token, "changed its input in place", fix="build a new dict: {**row, 'x': 1}")
        if result.__class__ is not TransformResult:
            raise self._broken(token, f"returned {type(result).__name__}, not a TransformResult")
        if result.status != "success":
            token.times.pop()
            return self.failed.take(token, result.reason or {"error": "no reason was given"})
        if result.row is not None:
            return self._go_on(token, row, result.row)
        if result.rows is not None:
            return self._expand(token, result.rows)
        raise self._broken(token, "returned success without a row")

    def _go_on(self, token: LiveToken, row: Row, out: Row) -> Step:
        step = self._unchanged
        if out is not row:
            get = row.get
            changed = [key for key, value in out.items() if get(key, _MISSING) is not value]
            if changed:
                # Equal texts and numbers are the same value, if not the same object.
                changed = [key for key in changed if not _same(get(key, _MISSING), out[key])]
            if changed or len(out) != len(row) or tuple(out) != tuple(row):
                try:
                    hashed = row_digest(out)
                except CanonicalError as error:
                    token.times.pop()
                    return self.failed.take(token, {"error": error.what, "field": error.path})
                step = self._changed(token, out, changed)
                token.hashes.append(hashed)
                token.row = out
        path = token.path.children.get(step)
        if path is None:
            path = token.path.grow(step, step)
        token.path = path
        return self.following

    def _changed(self, token: LiveToken, out: Row, changed: list[str]) -> PathStep:
        key = (tuple(out), tuple(changed))
        step = self._deltas.get(key)
        if step is None:
            if len(self._deltas) < _MOST_DELTAS:
                step = self._deltas[key] = PathStep(self._node_id, exit_edge=self._edge_id, delta=Delta(*key))
            else:
                step = self._whole
        stored = dump(out) if step is self._whole else dump_values([out[name] for name in changed])
        if token.deltas is None:
            token.deltas = [stored]
        else:
            token.deltas.append(stored)
        if not token.nested:
            token.nested = stored.find(b"[", 1) >= 0 or stored.find(b"{", 1) >= 0
        return step

    def _expand(self, token: LiveToken, rows: Sequence[Row]) -> Step | None:
        try:
            hashes = [row_digest(row) for row in rows]
        except CanonicalError as error:
            token.times.pop()
            return self.failed.take(token, {"error": error.what, "field": error.path})
        now = token.times[-1]
        token.path = token.path.grow(self._expanded, self._expanded)
        self._workshop.pending.tokens.append(token)
        children = []
        for row, hashed in zip(rows, hashes, strict=True):
            child = token.child(row, now)
            origin = Origin(
                token.path.origin.source_node_id,
                "expand",
                token.branch_name,
                tuple(row),
                token.path.step_index + 1,
                self._edge_id,
            )
            child.branch_name = token.branch_name
            child.path = self._workshop.book.root(origin)
            child.hashes.append(hashed)
            child.payload = dump_values(list(row.values())).decode()
            child.nested = may_nest(child.payload)
            children.append((child, self.following))
        self._workshop.stack.extend(reversed(children))
        return None

    def _broken(self, token: LiveToken, what: str, *, fix: str = "") -> PluginError:
        return PluginError(
            f"transform {self._node_id!r} {what} (row {token.row_id})",
            fix=fix
            or "this is a bug in the plugin: an expected failure is returned as TransformResult.error(reason)",
        )


def _same(old: object, new: object) -> bool:
    """Whether two values that are not one object are surely the same: same type, equal, and no container."""
    kind = old.__class__
    return kind is new.__class__ and kind in _COMPARABLE and old == new
