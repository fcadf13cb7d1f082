"""``explain --resource``: why does this machine exist, who approved it, what did it cost?"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from elspeth.api.database import default_database_url
from elspeth.api.explain_json import moment
from elspeth.api.resource_life import Life, life_of
from elspeth.contracts.errors import NotFoundError
from elspeth.core.clock import Clock
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.deeds import Deed, EventRecord, known_names, read_deeds, read_operation_events

_ASIDE = frozenset({"observed", "result", "intent", "manifest", "planned", "purged"})


@dataclass(frozen=True, slots=True)
class DeedStory:
    """One deed with what led to it: the plan, and the decisions about that plan, oldest first."""

    deed: Deed
    plan: EventRecord | None
    decisions: tuple[EventRecord, ...]

    @property
    def digest(self) -> str:
        """The plan's digest; empty where there was none."""
        return _digest(self.deed, self.plan)


@dataclass(frozen=True, slots=True)
class ResourceStory:
    """All that is on record of one machine of one fleet."""

    name: str
    subject: str
    deeds: tuple[DeedStory, ...]
    life: Life

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        life = self.life
        return {
            "resource": self.name,
            "subject": self.subject,
            "approved_by": list(dict.fromkeys(_approvers(self.deeds))),
            "status": life.status,
            "hours": round(life.hours, 6),
            "cost": None if life.cost is None else round(life.cost, 6),
            "currency": "USD",
            "billed": [
                {
                    "since": moment(one.since),
                    "until": moment(one.until),
                    "size": one.size,
                    "price_per_hour": one.price,
                }
                for one in life.stretches
            ],
            "deeds": [_deed(story) for story in self.deeds],
        }


def explain_resource(
    name: str, database: str | None = None, now: datetime | None = None
) -> tuple[ResourceStory, ...]:
    """What was done to the machine of this name and why; several only if several fleets have one so called.

    Raises NotFoundError, with what may be meant, for a name that no operation knows.
    """
    db = LandscapeDB.from_url(database or default_database_url(), create=False)
    try:
        deeds = read_deeds(db, name)
        if not deeds:
            raise _unknown(db, name)
        subjects = list(dict.fromkeys(deed.subject for deed in deeds))
        digests = list({str((deed.facts or {}).get("plan", "")) for deed in deeds} - {""})
        events = read_operation_events(db, subjects, digests)
    finally:
        db.close()
    told_at = now or Clock().now()
    return tuple(_story(name, subject, deeds, events, told_at) for subject in subjects)


def _story(
    name: str, subject: str, deeds: Sequence[Deed], events: Sequence[EventRecord], now: datetime
) -> ResourceStory:
    mine = [deed for deed in deeds if deed.subject == subject]
    seen = [event for event in events if event.subject == subject]
    stories = []
    for deed in mine:
        run_id = deed.run.run_id
        plan = next((event for event in events if (event.run_id, event.kind) == (run_id, "planned")), None)
        digest = _digest(deed, plan)
        decisions = tuple(
            event for event in events if event.kind not in _ASIDE and _concerns(event, run_id, digest)
        )
        stories.append(DeedStory(deed, plan, decisions))
    return ResourceStory(name, subject, tuple(stories), life_of(name, mine, seen, now))


def _concerns(event: EventRecord, run_id: str, digest: str) -> bool:
    about = event.detail.get("digest")
    return about == digest if digest and about is not None else event.run_id == run_id


def _digest(deed: Deed, plan: EventRecord | None) -> str:
    said = (deed.facts or {}).get("plan") or (plan.detail.get("digest") if plan is not None else None)
    return str(said or "")


def _approvers(stories: Sequence[DeedStory]) -> list[str]:
    decisions = [decision for story in stories for decision in story.decisions]
    return [str(one.detail["by"]) for one in decisions if one.kind == "approved" and one.detail.get("by")]


def _deed(story: DeedStory) -> dict[str, Any]:
    deed = story.deed
    return {
        "run_id": deed.run.run_id,
        "operation": deed.run.pipeline,
        "action": deed.action,
        "outcome": deed.outcome,
        "started_at": moment(deed.started_at),
        "ended_at": moment(deed.ended_at),
        "facts": None if deed.facts is None else dict(deed.facts),
        "error": deed.token.errors[0].reason.get("error") if deed.token.errors else None,
        "plan": None if story.plan is None else dict(story.plan.detail),
        "decisions": [
            {"kind": one.kind, "at": moment(one.at), "run_id": one.run_id, **one.detail}
            for one in story.decisions
        ],
        "calls": [
            {
                "call_id": call.call_id,
                "request": call.request,
                "response": call.response,
                "status": call.status,
                "error": call.error,
                "latency_ms": call.latency_ms,
                "attempt": call.attempt,
            }
            for call in deed.token.calls
        ],
    }


def _unknown(db: LandscapeDB, name: str) -> NotFoundError:
    known = known_names(db)
    if not known:
        return NotFoundError(
            f"nothing is on record of {name!r}: no fleet was ever changed here",
            fix="name the landscape of the fleet: --database URL",
        )
    close = get_close_matches(name, known, n=1)
    last = f"the last ones that something was done to are {', '.join(known[:5])}"
    return NotFoundError(
        f"nothing is on record of {name!r}", fix=f"did you mean {close[0]}?" if close else last
    )
