"""What a fleet costs: set aside before anything is created, settled by what came of it."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update

from elspeth.fabric.adapter import PlanRefusedError, Unit, World
from elspeth.fabric.coordinator.database import TaskDatabase
from elspeth.fabric.governor.books import alone, machines

HOUR = 3600.0
DAY = 24 * HOUR
_CENT = 1e-6


class FleetBudgetError(PlanRefusedError):
    """A plan would cost more than a budget has left. Nothing was set aside. ``budget``: ``hour``, ``day`` or
    ``total``.
    """

    def __init__(self, budget: str, what: str) -> None:
        super().__init__(what, fix="wait, destroy machines, take fewer or cheaper ones, or raise the budget")
        self.budget = budget


@dataclass(frozen=True, slots=True)
class Limits:
    """Budgets in US dollars, None for no limit; ``hours``: for how long a machine's cost is set aside."""

    per_hour: float
    per_day: float | None = None
    total: float | None = None
    hours: float = 24.0


@dataclass(frozen=True, slots=True)
class Spent:
    """How a fleet's money stands, in US dollars: the rate, today (UTC), in all; ``ahead``: set aside."""

    per_hour: float
    today: float
    today_ahead: float
    total: float
    total_ahead: float


@dataclass(frozen=True, slots=True)
class _Item:
    name: str
    price: float
    held_at: float
    hours: float
    billed_from: float | None
    billed_to: float | None

    def spent(self, since: float, until: float, now: float) -> float:
        """What was spent on it in a span of time."""
        if self.billed_from is None:
            return 0.0
        end = now if self.billed_to is None else self.billed_to
        return self.price * _overlap(self.billed_from, end, since, until) / HOUR

    def ahead(self, until: float, now: float) -> float:
        """What it will cost until then, if it lives as long as was set aside for."""
        if self.billed_to is not None:
            return 0.0
        end = (self.held_at if self.billed_from is None else self.billed_from) + self.hours * HOUR
        return self.price * _overlap(now, end, now, until) / HOUR


class Spending:
    """One fleet's machines and what they cost, in the fabric's database.

    The sum of what was spent and what is set aside never passes a limit when something is set aside; one
    transaction decides, so two applies can't both take the last of it.
    """

    def __init__(self, database: TaskDatabase, fleet: str, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._fleet = fleet
        self._now = now

    def reserve(self, digest: str, wanted: Mapping[str, float], limits: Limits) -> list[str]:
        """Set aside the most that each of these may cost per hour, by name; what is set aside for it already
        counts. The names for which something was.

        Raises FleetBudgetError; then nothing is changed.
        """
        with self._database.writing() as connection:
            alone(self._database, connection, self._fleet)
            new = self._fitting(connection, wanted, limits)
            for one in new:
                connection.execute(
                    insert(machines).values(
                        fleet=self._fleet, digest=digest, name=one.name, offer="", price=one.price,
                        state="held", held_at=one.held_at, hours=one.hours,
                    )
                )  # fmt: skip
        return [one.name for one in new]

    def check(self, wanted: Mapping[str, float], limits: Limits) -> None:
        """Raise what `reserve` would raise now, and set nothing aside."""
        with self._database.writing() as connection:
            self._fitting(connection, wanted, limits)

    def settle(self, world: World, prices: Mapping[str, float], *, under_way: bool = False) -> None:
        """Put down what is there: from now on it is billed at its own price, and what is gone no more.

        What was set aside and did not come to be is released, unless an apply is ``under_way``. A
        deallocated machine is not billed (its disks are, which nobody counts here).
        """
        now = self._now()
        there = {
            unit.name: unit
            for unit in world.units
            if unit.status != "deallocated" or unit.members is not None
        }
        with self._database.writing() as connection:
            alone(self._database, connection, self._fleet)
            query = select(machines).where(machines.c.fleet == self._fleet, machines.c.state != "closed")
            known: dict[str, list[Any]] = {name: [] for name in there}
            for row in connection.execute(query.order_by(machines.c.machine_no)):
                known.setdefault(row.name, []).append(row)
            for name, rows in known.items():
                self._settle(connection, there.get(name), rows, prices, now, under_way=under_way)

    def release(self, names: Iterable[str]) -> None:
        """Give back what was set aside for these."""
        held = (machines.c.fleet == self._fleet, machines.c.state == "held")
        with self._database.writing() as connection:
            connection.execute(
                update(machines).where(*held, machines.c.name.in_(list(names)))
                .values(state="closed", billed_to=self._now())
            )  # fmt: skip

    def stand(self) -> Spent:
        """How the money stands now."""
        now = self._now()
        with self._database.writing() as connection:
            items = self._items(connection)
        today = now - now % DAY
        return Spent(
            sum(one.price for one in items if one.billed_to is None),
            sum(one.spent(today, today + DAY, now) for one in items),
            sum(one.ahead(today + DAY, now) for one in items),
            sum(one.spent(0.0, now, now) for one in items),
            sum(one.ahead(float("inf"), now) for one in items),
        )

    def cost_of(self, name: str) -> float:
        """What a machine has cost so far, in US dollars, under this name in all its lives."""
        now = self._now()
        with self._database.writing() as connection:
            items = self._items(connection)
        return sum(one.spent(0.0, now, now) for one in items if one.name == name)

    def _fitting(self, connection: Connection, wanted: Mapping[str, float], limits: Limits) -> list[_Item]:
        now, items = self._now(), self._items(connection)
        open_at: dict[str, float] = {}
        for one in items:
            if one.billed_to is None:
                open_at[one.name] = open_at.get(one.name, 0.0) + one.price
        new = [
            _Item(name, price - open_at.get(name, 0.0), now, limits.hours, None, None)
            for name, price in sorted(wanted.items())
            if price > open_at.get(name, 0.0) + _CENT
        ]
        self._check([*items, *new], new, limits, now)
        return new

    def _check(self, items: list[_Item], new: list[_Item], limits: Limits, now: float) -> None:
        if not new:
            return
        rate = sum(one.price for one in items if one.billed_to is None)
        tomorrow = now - now % DAY + DAY
        today = sum(one.spent(tomorrow - DAY, tomorrow, now) + one.ahead(tomorrow, now) for one in items)
        total = sum(one.spent(0.0, now, now) + one.ahead(float("inf"), now) for one in items)
        for name, amount, limit in (
            ("hour", rate, limits.per_hour),
            ("day", today, limits.per_day),
            ("total", total, limits.total),
        ):
            if limit is not None and amount > limit + _CENT:
                span = {"hour": "per hour", "day": "today", "total": "in all"}[name]
                raise FleetBudgetError(
                    name,
                    f"the budget of fleet {self._fleet} allows ${limit:.2f} {span}; with this plan it could "
                    f"be ${amount:.2f}",
                )

    def _items(self, connection: Connection) -> list[_Item]:
        rows = connection.execute(select(machines).where(machines.c.fleet == self._fleet))
        return [
            _Item(row.name, row.price, row.held_at, row.hours, row.billed_from, row.billed_to) for row in rows
        ]

    def _settle(
        self,
        connection: Connection,
        unit: Unit | None,
        rows: list[Any],
        prices: Mapping[str, float],
        now: float,
        *,
        under_way: bool,
    ) -> None:
        held = [row for row in rows if row.state == "held"]
        if unit is None and under_way:
            rows = [row for row in rows if row not in held]
        if unit is not None:
            reserved = sum(row.price for row in rows)
            price = prices[unit.size] * unit.machines if unit.size in prices else reserved
            if rows and not held and abs(reserved - price) < _CENT:
                return
        numbers = [row.machine_no for row in rows]
        connection.execute(
            update(machines).where(machines.c.machine_no.in_(numbers)).values(state="closed", billed_to=now)
        )
        if unit is not None:
            values = {
                "fleet": self._fleet, "digest": rows[-1].digest if rows else "", "name": unit.name,
                "offer": str(unit.offer), "price": price, "state": "billed", "held_at": now,
                "hours": rows[-1].hours if rows else 0.0, "billed_from": now,
            }  # fmt: skip
            connection.execute(insert(machines).values(**values))


def _overlap(start: float, end: float, since: float, until: float) -> float:
    return max(0.0, min(end, until) - max(start, since))
