"""Plans on record, and who approved which: for exactly that digest, for a while."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select

from elspeth.contracts.errors import NotFoundError, UsageError
from elspeth.fabric.adapter import Plan, PlanRefusedError
from elspeth.fabric.coordinator.database import TaskDatabase
from elspeth.fabric.governor.books import decisions, plans
from elspeth.fabric.planning import plan_from

SHORTEST_DIGEST = 6


class ApprovalMissingError(PlanRefusedError):
    """A plan needs an approval that it does not have: nobody gave one, or it was rejected or has expired.

    ``digest`` is the plan's.
    """

    def __init__(self, what: str, digest: str) -> None:
        super().__init__(what, fix=f"somebody must look at it: elspeth approvals show {digest[:12]}")
        self.digest = digest


@dataclass(frozen=True, slots=True)
class Decision:
    """What somebody decided about a plan. Times in seconds since 1970; ``verdict``: ``approved`` or
    ``rejected``.
    """

    verdict: str
    decided_by: str
    decided_at: float
    expires_at: float | None
    comment: str


@dataclass(frozen=True, slots=True)
class Rules:
    """Why a plan needs approval (if it does), for how long one holds, and whether one's own counts."""

    needs: tuple[str, ...] = ()
    valid_hours: float = 24.0
    own: bool = False


@dataclass(frozen=True, slots=True)
class RecordedPlan:
    """A plan as it was put on record, with what was decided about it, oldest first."""

    plan: Plan
    requested_by: str
    made_at: float
    rules: Rules
    decisions: tuple[Decision, ...]

    def state(self, now: float) -> str:
        """``not needed``, ``pending``, ``approved``, ``rejected`` or ``expired``."""
        if not self.rules.needs:
            return "not needed"
        if not self.decisions:
            return "pending"
        last = self.decisions[-1]
        if last.verdict == "approved" and last.expires_at is not None and last.expires_at <= now:
            return "expired"
        return last.verdict


class Approvals:
    """Plans and decisions in the fabric's database. Nothing is ever changed or removed, only added."""

    def __init__(self, database: TaskDatabase, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self.now = now

    def record(self, plan: Plan, requested_by: str, rules: Rules) -> RecordedPlan:
        """Put a plan on record. The same plan again is left as it is: who asked first is who asked."""
        values = {
            "digest": plan.digest, "fleet": plan.fleet, "content": json.dumps(plan.content()),
            "requested_by": requested_by, "made_at": self.now(), "needs": json.dumps(rules.needs),
            "valid_hours": rules.valid_hours, "own": int(rules.own),
        }  # fmt: skip
        with self._database.writing() as connection:
            known = connection.execute(select(plans.c.digest).where(plans.c.digest == plan.digest))
            if known.one_or_none() is None:
                connection.execute(insert(plans).values(**values))
            return self._read(connection, plan.digest)

    def find(self, digest: str) -> RecordedPlan:
        """The plan with this digest, or the only one that begins so. Raises NotFoundError, UsageError."""
        if len(digest) < SHORTEST_DIGEST:
            raise UsageError(f"{digest!r} is too short for a digest", fix="give six characters of it or more")
        with self._database.writing() as connection:
            query = select(plans.c.digest).where(plans.c.digest.startswith(digest.lower(), autoescape=True))
            found = connection.execute(query.limit(2)).scalars().all()
            if len(found) > 1:
                raise UsageError(f"several plans begin with {digest!r}", fix="give more of the digest")
            if not found:
                raise NotFoundError(
                    f"there is no plan {digest!r} on record", fix="make one: elspeth fleet plan FILE"
                )
            return self._read(connection, found[0])

    def all(self, *, only_open: bool = False) -> list[RecordedPlan]:
        """The plans on record, newest first; ``only_open``: those that wait for a decision."""
        with self._database.writing() as connection:
            digests = connection.execute(select(plans.c.digest).order_by(plans.c.made_at.desc())).scalars()
            found = [self._read(connection, digest) for digest in digests.all()]
        return [one for one in found if not only_open or one.state(self.now()) in ("pending", "expired")]

    def decide(self, digest: str, verdict: str, by: str, comment: str = "") -> RecordedPlan:
        """Approve or reject a plan. The last decision counts.

        Raises UsageError if the plan needs no approval, and PlanRefusedError if who made it approves it
        where that is not allowed.
        """
        found = self.find(digest)
        if not found.rules.needs:
            raise UsageError(f"plan {found.plan.digest[:12]} needs no approval", fix="apply it")
        if verdict == "approved" and by == found.requested_by and not found.rules.own:
            raise PlanRefusedError(
                f"{by} made this plan, and can't approve it", fix="let somebody else look at it"
            )
        moment = self.now()
        expires = moment + found.rules.valid_hours * 3600 if verdict == "approved" else None
        with self._database.writing() as connection:
            connection.execute(
                insert(decisions).values(
                    digest=found.plan.digest, verdict=verdict, decided_by=by, decided_at=moment,
                    expires_at=expires, comment=comment,
                )
            )  # fmt: skip
            return self._read(connection, found.plan.digest)

    def require(self, recorded: RecordedPlan) -> Decision | None:
        """The approval that lets a plan be applied; None if it needs none. Raises ApprovalMissingError."""
        state = recorded.state(self.now())
        if state == "not needed":
            return None
        if state == "approved":
            return recorded.decisions[-1]
        digest = recorded.plan.digest
        why = "; ".join(recorded.rules.needs)
        told = {
            "pending": f"plan {digest[:12]} needs approval: {why}",
            "expired": f"the approval of plan {digest[:12]} has expired",
        }
        if state == "rejected":
            last = recorded.decisions[-1]
            said = f": {last.comment}" if last.comment else ""
            raise ApprovalMissingError(f"{last.decided_by} rejected plan {digest[:12]}{said}", digest)
        raise ApprovalMissingError(told[state], digest)

    def _read(self, connection: Connection, digest: str) -> RecordedPlan:
        row: Any = connection.execute(select(plans).where(plans.c.digest == digest)).one()
        plan = plan_from(json.loads(row.content))
        if plan.digest != digest:
            raise PlanRefusedError(f"plan {digest[:12]} was altered in the database", fix="make a new one")
        query = select(decisions).where(decisions.c.digest == digest).order_by(decisions.c.decision_no)
        made = tuple(
            Decision(one.verdict, one.decided_by, one.decided_at, one.expires_at, one.comment)
            for one in connection.execute(query)
        )
        rules = Rules(tuple(json.loads(row.needs)), row.valid_hours, bool(row.own))
        return RecordedPlan(plan, row.requested_by, row.made_at, rules, made)
