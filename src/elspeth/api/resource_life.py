"""How long a machine was billed, and what that cost, as far as the record knows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from elspeth.core.landscape.deeds import Deed, EventRecord
from elspeth.core.landscape.records import RunRecord

_SEEN = frozenset({"observed", "result"})


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time in which a machine was billed at one price (US dollars per hour; None: nobody said which).

    ``until`` is None where it still is.
    """

    since: datetime
    until: datetime | None
    size: str
    price: float | None

    def hours(self, now: datetime) -> float:
        """How long, in hours."""
        return ((self.until or now) - self.since).total_seconds() / 3600


@dataclass(frozen=True, slots=True)
class Life:
    """When a machine came to be and went, and when it was billed.

    ``status``: ``running``, ``stopped`` (not billed), ``gone``, or ``never`` (it never came to be), when last
    seen. A stretch begins when the creation did and ends when somebody saw that it had: the cost is what it
    was at most, of the machine alone, without disks, addresses and traffic.
    """

    status: str
    stretches: tuple[Stretch, ...]
    told_at: datetime

    @property
    def hours(self) -> float:
        """Hours that were billed."""
        return sum(stretch.hours(self.told_at) for stretch in self.stretches)

    @property
    def cost(self) -> float | None:
        """US dollars; None where a price is not on record."""
        if any(stretch.price is None for stretch in self.stretches):
            return None
        return sum(stretch.hours(self.told_at) * (stretch.price or 0.0) for stretch in self.stretches)


@dataclass(frozen=True, slots=True)
class _Moment:
    """From then on: ``running``, ``stopped``, ``gone``, or ``perhaps`` running (the process died creating
    it).
    """

    at: datetime
    status: str
    size: str = ""
    price: float | None = None


def life_of(name: str, deeds: Iterable[Deed], events: Iterable[EventRecord], now: datetime) -> Life:
    """The life of a machine, from what was done to it and from when it was seen.

    ``events`` are those of the operations on its fleet.
    """
    deeds = list(deeds)
    prices = {deed.run.run_id: deed.run for deed in deeds}
    last = deeds[-1].run if deeds else None
    events = list(events)
    moments = [moment for deed in deeds for moment in _done(deed, _planned(name, deed, events))]
    for event in events:
        moments += _seen(name, event, prices.get(event.run_id) or last)
    return _lived(sorted(moments, key=lambda moment: moment.at), now)


def price_of(run: RunRecord, size: str, said: object = None, *, members: object = None) -> float | None:
    """What a machine, or a set of ``members``, costs per hour: as its own facts say, else the fleet file as
    it was then.
    """
    if isinstance(said, int | float):
        return float(said)
    known = orjson.loads(run.settings_json).get("prices")
    price = known.get(size) if isinstance(known, dict) else None
    if not isinstance(price, int | float):
        return None
    return float(price) * (members if isinstance(members, int) else 1)


def _planned(name: str, deed: Deed, events: Iterable[EventRecord]) -> Mapping[str, Any]:
    """What the plan says of a machine whose own facts were purged: events are not."""
    for event in events:
        if deed.facts is None and (event.run_id, event.kind) == (deed.run.run_id, "planned"):
            for unit in (*event.detail.get("creates", ()), *event.detail.get("changes", ())):
                if unit.get("name") == name:
                    return dict(unit)
    return {}


def _done(deed: Deed, planned: Mapping[str, Any]) -> list[_Moment]:
    facts = planned if deed.facts is None else deed.facts
    size = str(facts.get("size", ""))
    price = price_of(deed.run, size, facts.get("price_per_hour"), members=facts.get("members"))
    ended = deed.ended_at or deed.started_at
    if deed.outcome == "unfinished":
        return [_Moment(deed.started_at, "perhaps", size, price)] if deed.action == "create" else []
    if deed.outcome == "failed":
        return []
    if deed.action == "delete":
        return [_Moment(ended, "gone")]
    return [_Moment(deed.started_at if deed.action == "create" else ended, "running", size, price)]


def _seen(name: str, event: EventRecord, run: RunRecord | None) -> list[_Moment]:
    machines = event.detail.get("machines")
    if event.kind not in _SEEN or not isinstance(machines, list) or run is None:
        return []
    for machine in machines:
        if machine.get("name") == name:
            size = str(machine.get("size", ""))
            stopped = machine.get("status") == "deallocated"
            price = price_of(run, size, machine.get("price_per_hour"), members=machine.get("members"))
            return [_Moment(event.at, "stopped" if stopped else "running", size, price)]
    return [_Moment(event.at, "gone")]


def _lived(moments: list[_Moment], now: datetime) -> Life:
    stretches: list[Stretch] = []
    current: _Moment | None = None
    perhaps: _Moment | None = None
    status = "never"
    for moment in moments:
        if moment.status == "perhaps":
            perhaps = perhaps or moment
            continue
        if moment.status == "gone" and status == "never":
            continue  # seen before it came to be
        if moment.status == "running":
            if current is not None and (current.size, current.price) == (moment.size, moment.price):
                continue
            begin = perhaps.at if perhaps is not None and current is None else moment.at
            if current is not None:
                stretches.append(Stretch(current.at, moment.at, current.size, current.price))
            current = _Moment(begin, "running", moment.size, moment.price)
        elif current is not None:
            stretches.append(Stretch(current.at, moment.at, current.size, current.price))
            current = None
        status, perhaps = moment.status, None
    if current is not None:
        stretches.append(Stretch(current.at, None, current.size, current.price))
    return Life(status, tuple(stretches), now)
