"""One coalesce at work: the branches of a forked row become one row again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from elspeth.contracts.errors import CanonicalError
from elspeth.contracts.plugins import Row
from elspeth.core.canonical import digest, dump_values, row_digest
from elspeth.core.config import CoalesceSettings
from elspeth.core.landscape.paths import Origin
from elspeth.core.landscape.paths import Step as PathStep
from elspeth.engine.executors.source import may_nest
from elspeth.engine.joins import leave
from elspeth.engine.live import JoinGroup, LiveToken
from elspeth.engine.steps import ErrorExit, Held, Step, Workshop


class Door:
    """One branch's way into a coalesce."""

    __slots__ = ("_coalesce", "branch")

    def __init__(self, coalesce: "CoalesceStep", branch: str) -> None:
        self._coalesce = coalesce
        self.branch = branch

    def step(self, token: LiveToken) -> Step | None:
        """The token waits for its siblings, or is late."""
        return self._coalesce.arrive(token, self.branch)


@dataclass(frozen=True, slots=True)
class Merged:
    """A joined row, and of each field the branch that it came from."""

    row: Row
    origins: Mapping[str, str]


class CoalesceStep:
    """One coalesce of a run.

    ``branches`` are the doors, in the order of the settings. A group is merged as soon as its
    policy is satisfied, failed as soon as it can't be any more, and judged by what is there when
    its time is up.
    """

    def __init__(self, workshop: Workshop, settings: CoalesceSettings, edge_id: str) -> None:
        self._workshop = workshop
        self._settings = settings
        self._edge_id = edge_id
        self._joined = PathStep(settings.name, gap=True, ending="joined")
        self._late = PathStep(settings.name, status="late", ending="discarded")
        self.node_id = settings.name
        self.branches = tuple(settings.branches)
        self.groups: dict[tuple[int, int], JoinGroup] = {}
        self.following: Step
        self.failed: ErrorExit

    def arrive(self, token: LiveToken, branch: str) -> Step | None:
        """A token comes through the door of ``branch``."""
        context = token.join
        while context is not None and context.group.plan.joiner is not self:
            context = context.outer
        if context is None:
            what = f"row came to {self.node_id!r} by branch {branch!r}, but from no fork that it joins"
            return self.failed.take(token, {"error": what})
        group = context.group
        leave(token.join, context)
        token.join = context.outer
        if group.closed or branch in group.arrived:
            going = self._not_taken(token, branch, group)
            group.change(context.exit_index, -1)
            return going
        now = self._workshop.clock.ns()
        token.times.append(now)
        group.arrived[branch] = token
        self._workshop.hold(token, Held(self.node_id, branch, context))
        if group.key not in self.groups:
            self.groups[group.key] = group
            if self._settings.timeout_seconds is not None:
                group.deadline = now + int(self._settings.timeout_seconds * 1e9)
                self._workshop.timers.set(group.deadline, self, group.key)
        group.change(context.exit_index, -1)
        return None

    def settle(self, group: JoinGroup) -> None:
        """Merge or fail a group, if that can be decided."""
        if group.closed:
            return
        settings, arrived, reachable = self._settings, len(group.arrived), group.reachable()
        coming = len(reachable)
        needed = {
            "require_all": len(self.branches),
            "quorum": settings.quorum_count or 0,
            "best_effort": arrived + coming if coming else max(arrived, 1),
            "first": 1,
        }[settings.policy]
        if arrived >= needed and arrived:
            self._merge(group)
        elif arrived + coming < needed:
            self._give_up(group, "can't arrive any more", reachable)

    def expire(self, key: tuple[int, int]) -> None:
        """The time of a group is up."""
        group = self.groups.get(key)
        if group is None or group.closed:
            return
        if self._settings.policy == "best_effort" and group.arrived:
            self._merge(group)
        else:
            self._give_up(group, f"did not arrive within {self._settings.timeout_seconds:g} s")

    def finish(self) -> bool:
        """Nothing will come any more: judge the row that has waited longest. False if none waits."""
        for group in self.groups.values():
            group.alive = [0] * len(group.alive)
            self.settle(group)
            return True
        return False

    def _close(self, group: JoinGroup) -> list[LiveToken]:
        group.closed = True
        self.groups.pop(group.key, None)
        tokens = [group.arrived[branch] for branch in self.branches if branch in group.arrived]
        for token in tokens:
            self._workshop.release(token)
        return tokens

    def _give_up(self, group: JoinGroup, why: str, coming: frozenset[str] = frozenset()) -> None:
        """A row can't be joined; branches that are still ``coming`` are not to blame."""
        missing = [branch for branch in self.branches if branch not in group.arrived.keys() | coming]
        tokens = self._close(group)
        noun = "branch" if len(missing) == 1 else "branches"
        reason = {
            "error": f"{noun} {', '.join(map(repr, missing))} of {self.node_id!r} {why}"
            f" (policy: {self._settings.policy})",
            "missing": missing,
        }
        self._fail(group, tokens, reason)

    def _fail(self, group: JoinGroup, tokens: Sequence[LiveToken], reason: Mapping[str, Any]) -> None:
        """What waited goes to the error sink, and so will what comes later."""
        group.failure = reason
        ends = []
        for token in tokens:
            token.times.pop()
            ends.append((token, self.failed.take(token, reason)))
        self._workshop.stack.extend(reversed(ends))

    def _merge(self, group: JoinGroup) -> None:
        tokens = self._close(group)
        named = {branch: group.arrived[branch].row for branch in self.branches if branch in group.arrived}
        try:
            merged = merge(self._settings, named)
            hashed = row_digest(merged.row)
        except (MergeConflict, CanonicalError) as error:
            self._fail(group, tokens, {"error": str(error)})
            return
        now = self._workshop.clock.ns()
        for token in tokens:
            token.path = token.path.grow(self._joined, self._joined)
            token.times.append(now)
            self._workshop.end(token)
        joined = self._child(group, tokens, merged, now)
        joined.hashes = hashed
        self._workshop.stack.append((joined, self.following))
        for token in tokens[1:]:
            leave(token.join)  # the joined token stands for the first of them

    def _child(self, group: JoinGroup, tokens: Sequence[LiveToken], merged: Merged, now: int) -> LiveToken:
        parent = group.parent
        joined = parent.child(merged.row, now)
        joined.parent_no = tokens[0].token_no
        joined.join = tokens[0].join
        joined.branch_name = parent.branch_name
        record = {
            "coalesce": self.node_id,
            "branches": [branch for branch in self.branches if branch in group.arrived],
            "merge": self._settings.merge,
            "origins": merged.origins,
            "policy": self._settings.policy,
        }
        joined.path = self._workshop.book.root(
            Origin(
                parent.path.origin.source_node_id,
                "join",
                parent.branch_name,
                tuple(merged.row),
                max(token.path.step_index for token in tokens) + 1,
                self._edge_id,
                orjson.dumps(record).decode(),
            )
        )
        stored = dump_values(list(merged.row.values()))
        joined.payload = stored.decode()
        joined.nested = may_nest(stored)
        self._workshop.note_parents(joined, tokens)
        return joined

    def _not_taken(self, token: LiveToken, branch: str, group: JoinGroup) -> Step | None:
        """A token for which it is too late; on record, and never merged a second time."""
        if group.closed and group.failure is None:
            token.path = token.path.grow(self._late, self._late)
            token.times.append(self._workshop.clock.ns())
            what = f"late: branch {branch!r} came to {self.node_id!r} when its row had been joined already"
            self._workshop.note_error(token, self.node_id, {"error": what, "branch": branch}, "discard")
            leave(token.join)
            self._workshop.end(token)
            return None
        what = f"branch {branch!r} of {self.node_id!r} has given a row already, and each gives one"
        if group.failure is not None:
            what = f"late: branch {branch!r} came to {self.node_id!r} when {group.failure['error']}"
        return self.failed.take(token, {"error": what, "branch": branch})


class MergeConflict(ValueError):
    """Branches gave a field different values, and the policy says that this must not be."""


def merge(settings: CoalesceSettings, rows: Mapping[str, Row]) -> Merged:
    """One row from the rows of the branches that arrived, which come in the order of the settings.

    ``union`` takes all fields; one that several branches give is taken from the last or the first
    of them, or, with ``fail``, raises MergeConflict unless all values are the same. ``nested``
    makes a field per branch; ``select`` takes one branch's row, and raises MergeConflict without it.
    """
    if settings.merge == "nested":
        return Merged(dict(rows), {branch: branch for branch in rows})
    if settings.merge == "select":
        branch = settings.select_branch or ""
        if branch not in rows:
            raise MergeConflict(f"branch {branch!r} is to be selected by {settings.name!r}, and it was lost")
        return Merged(rows[branch], dict.fromkeys(rows[branch], branch))
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for branch, row in rows.items():
        for name, value in row.items():
            if name not in merged or settings.union_collision_policy == "last_wins":
                merged[name] = value
                origins[name] = branch
            elif settings.union_collision_policy == "fail" and digest(value) != digest(merged[name]):
                raise MergeConflict(
                    f"branches {origins[name]!r} and {branch!r} give {name!r} different values"
                    f" (union_collision_policy of {settings.name!r} is fail)"
                )
    return Merged(merged, origins)
