"""``elspeth approvals``: plans that wait for somebody, and who decided what."""

from datetime import UTC, datetime
from typing import Any

from elspeth.api.fleet_desk import Kept, open_fleet_books
from elspeth.api.operations import recorded, somebody
from elspeth.core.landscape.operations import OperationStart
from elspeth.fabric.governor.approvals import RecordedPlan


def list_approvals(*, everything: bool = False, kept: Kept | None = None) -> list[dict[str, Any]]:
    """Plans that wait for a decision, newest first; ``everything``: all plans on record."""
    with open_fleet_books((kept or Kept()).fabric) as books:
        now = books.approvals.now()
        return [_summary(one, now) for one in books.approvals.all(only_open=not everything)]


def show_approval(digest: str, *, kept: Kept | None = None) -> dict[str, Any]:
    """One plan, with what was decided about it. ``digest`` may be its beginning. Raises NotFoundError."""
    with open_fleet_books((kept or Kept()).fabric) as books:
        return _whole(books.approvals.find(digest), books.approvals.now())


def decide_approval(
    digest: str, verdict: str, *, by: str | None = None, comment: str = "", kept: Kept | None = None
) -> dict[str, Any]:
    """Say ``approved`` or ``rejected`` of exactly the plan with this digest, as ``by`` (default: the user of
    this process). The decision is on record in the landscape too.

    Raises NotFoundError, UsageError if it needs no approval, PlanRefusedError for one's own plan.
    """
    where = kept or Kept()
    with open_fleet_books(where.fabric) as books:
        plan = books.approvals.find(digest).plan
        settings = {"fleet": plan.fleet, "digest": plan.digest}
        kind = "approvals approve" if verdict == "approved" else "approvals reject"
        with recorded(OperationStart(kind, plan.fleet, settings, "fabric"), where.landscape) as record:
            found = books.approvals.decide(plan.digest, verdict, by or somebody(), comment)
            told = {"digest": plan.digest, "by": found.decisions[-1].decided_by, "reason": comment}
            record.note(verdict, told)
            return _whole(found, books.approvals.now())


def _summary(recorded: RecordedPlan, now: float) -> dict[str, Any]:
    plan = recorded.plan
    return {
        "digest": plan.digest,
        "fleet": plan.fleet,
        "state": recorded.state(now),
        "needs": list(recorded.rules.needs),
        "requested_by": recorded.requested_by,
        "made_at": _moment(recorded.made_at),
    }


def _whole(recorded: RecordedPlan, now: float) -> dict[str, Any]:
    decisions = [
        {
            "verdict": one.verdict,
            "by": one.decided_by,
            "at": _moment(one.decided_at),
            "expires_at": None if one.expires_at is None else _moment(one.expires_at),
            "comment": one.comment,
        }
        for one in recorded.decisions
    ]
    return {**_summary(recorded, now), "decisions": decisions, "plan": recorded.plan.content()}


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
