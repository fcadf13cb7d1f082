"""Money, plans, approvals and turns of fleets, on both databases."""

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from sqlalchemy import text, update

from elspeth.contracts.errors import ElspethError, NotFoundError
from elspeth.fabric.adapter import Intent as Wanted
from elspeth.fabric.adapter import Market, Offer, Plan, PlanRefusedError, Quote, Step, Unit, World
from elspeth.fabric.applying import LEASE_SECONDS, ApplyUnderWayError, Round, SharedCrew, StepEnd, Turns
from elspeth.fabric.coordinator import Coordinator
from elspeth.fabric.coordinator.database import TaskDatabase
from elspeth.fabric.governor.approvals import ApprovalMissingError, Approvals, Rules
from elspeth.fabric.governor.books import applies, open_books
from elspeth.fabric.governor.spending import FleetBudgetError, Limits, Spending
from elspeth.fabric.planning import make_plan

HERE = Offer("here", "S")
PRICES = {"S": 1.0, "L": 3.0}
NOON = 20_000 * 86_400.0 + 12 * 3600


class Clock:
    """Time that stands still until it is told."""

    seconds = NOON

    def __call__(self) -> float:
        return self.seconds

    def wait(self, hours: float) -> None:
        self.seconds += hours * 3600


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(landscape_url: str, clock: Clock) -> Iterator[TaskDatabase]:
    opened = open_books(landscape_url, clock)
    yield opened
    opened.close()


@pytest.fixture
def spending(database: TaskDatabase, clock: Clock) -> Spending:
    return Spending(database, "web", clock)


def unit(name: str, size: str = "S", status: str = "running") -> Unit:
    return Unit(name, size, "here", status=status)


def plan(count: int = 1) -> Plan:
    market = Market({HERE: Quote(1, ("cores",))}, {"cores": (0, 100)})
    return make_plan(Wanted("web", count, (HERE,), PRICES), World(()), market)


def test_the_most_is_set_aside_and_what_came_of_it_is_billed(spending: Spending, clock: Clock) -> None:
    limits = Limits(per_hour=6.0, hours=4.0)
    assert spending.reserve("d", {"a": 3.0, "b": 3.0}, limits) == ["a", "b"]
    assert spending.stand().per_hour == 6.0
    with pytest.raises(FleetBudgetError, match=r"allows \$6.00 per hour; with this plan it could be \$7.00"):
        spending.reserve("e", {"c": 1.0}, limits)
    assert spending.reserve("d", {"a": 3.0, "b": 3.0}, limits) == []
    spending.settle(World((unit("a"),)), PRICES)
    assert spending.stand().per_hour == 1.0
    clock.wait(2)
    stand = spending.stand()
    assert (stand.today, stand.total, stand.total_ahead) == (2.0, 2.0, 2.0)
    spending.settle(World((unit("a", "L"),)), PRICES)
    clock.wait(1)
    spending.settle(World((unit("a", "L", "stopped"),)), PRICES)
    clock.wait(1)  # switched off, and billed all the same
    spending.settle(World((unit("a", "L", "deallocated"),)), PRICES)
    clock.wait(5)
    assert (spending.stand().per_hour, spending.stand().total) == (0.0, 8.0)
    assert spending.cost_of("a") == 8.0
    assert spending.cost_of("b") == 0.0


def test_a_day_ends_at_midnight(spending: Spending, clock: Clock) -> None:
    limits = Limits(per_hour=10.0, per_day=12.0, hours=24.0)
    spending.reserve("d", {"a": 1.0}, limits)  # twelve hours are left today
    with pytest.raises(FleetBudgetError, match="today") as caught:
        spending.reserve("d", {"b": 0.1}, limits)
    assert caught.value.budget == "day"
    spending.settle(World((unit("a"),)), PRICES)
    clock.wait(11)
    assert spending.stand().today == 11.0
    clock.wait(2)
    assert spending.stand().today == 1.0
    assert spending.stand().total == 13.0
    with pytest.raises(FleetBudgetError, match=r"allows \$20.00 in all"):
        spending.reserve("d", {"b": 1.0}, replace(limits, per_day=None, total=20.0))


def test_what_is_held_for_an_apply_under_way_is_not_released_by_others(spending: Spending) -> None:
    limits = Limits(per_hour=5.0)
    spending.reserve("d", {"a": 1.0, "b": 1.0}, limits)
    spending.settle(World((unit("a"),)), PRICES, under_way=True)
    assert spending.stand().per_hour == 2.0
    spending.release(["b"])
    assert spending.stand().per_hour == 1.0
    spending.settle(World(()), PRICES)
    assert spending.stand().per_hour == 0.0


def test_a_machine_that_nobody_planned_is_billed_when_it_is_seen(spending: Spending, clock: Clock) -> None:
    spending.settle(World((unit("x"),)), PRICES)
    clock.wait(3)
    assert spending.stand().total == 3.0


def test_a_larger_size_needs_the_difference(spending: Spending) -> None:
    limits = Limits(per_hour=3.0)
    spending.reserve("d", {"a": 1.0}, limits)
    spending.settle(World((unit("a"),)), PRICES)
    spending.reserve("e", {"a": 3.0}, limits)
    assert spending.stand().per_hour == 3.0
    spending.settle(World((unit("a", "L"),)), PRICES)
    assert spending.stand().per_hour == 3.0


def test_an_approval_is_for_one_digest_and_a_while(database: TaskDatabase, clock: Clock) -> None:
    approvals = Approvals(database, clock)
    rules = Rules(("it is dear",), valid_hours=2.0)
    asked = approvals.record(plan(), "ada", rules)
    assert approvals.record(plan(), "eve", Rules()).requested_by == "ada"
    with pytest.raises(ApprovalMissingError, match="needs approval: it is dear"):
        approvals.require(asked)
    with pytest.raises(PlanRefusedError, match="ada made this plan"):
        approvals.decide(asked.plan.digest, "approved", "ada")
    approvals.decide(asked.plan.digest[:8], "approved", "bob")
    decision = approvals.require(approvals.find(asked.plan.digest))
    assert decision is not None
    assert (decision.decided_by, decision.expires_at) == ("bob", NOON + 7200)
    other = approvals.record(plan(2), "ada", rules)
    with pytest.raises(ApprovalMissingError):
        approvals.require(other)
    assert [one.plan for one in approvals.all(only_open=True)] == [other.plan]
    clock.wait(2)
    with pytest.raises(ApprovalMissingError, match="has expired"):
        approvals.require(approvals.find(asked.plan.digest))
    assert len(approvals.all()) == 2
    with pytest.raises(NotFoundError, match="there is no plan"):
        approvals.find("0" * 64)


def test_a_plan_that_needs_none_has_none(database: TaskDatabase, clock: Clock) -> None:
    approvals = Approvals(database, clock)
    assert approvals.require(approvals.record(plan(), "ada", Rules())) is None


def test_ones_own_plan_may_be_approved_where_that_is_allowed(database: TaskDatabase, clock: Clock) -> None:
    approvals = Approvals(database, clock)
    digest = approvals.record(plan(), "ada", Rules(("x",), own=True)).plan.digest
    assert approvals.decide(digest, "approved", "ada").state(clock()) == "approved"


def test_a_plan_that_was_altered_in_the_database_is_noticed(database: TaskDatabase, clock: Clock) -> None:
    approvals = Approvals(database, clock)
    digest = approvals.record(plan(), "ada", Rules()).plan.digest
    with database.writing() as connection:
        connection.execute(text("UPDATE fabric_plans SET content = replace(content, '\"S\"', '\"L\"')"))
    with pytest.raises(PlanRefusedError, match="was altered in the database"):
        approvals.find(digest)


def test_one_plan_at_a_time(database: TaskDatabase, clock: Clock) -> None:
    turns = Turns(database, clock)
    with turns.taken("web", "one") as first:
        assert turns.under_way("web")
        with turns.taken("web", "one") as joined:
            assert joined.number == first.number
        with turns.taken("other", "two"), pytest.raises(ApplyUnderWayError, match="being worked on: one"):
            turns.taken("web", "two").__enter__()
    with turns.taken("web", "two") as second:
        assert second.number != first.number
    assert not turns.under_way("web")


def test_who_died_or_fell_silent_has_no_turn(database: TaskDatabase, clock: Clock) -> None:
    turns = Turns(database, clock)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for holder, wait in ((f"{socket.gethostname()}:{dead.pid}:x", 0.0), ("elsewhere:1:x", LEASE_SECONDS)):
        with turns.taken("web", "one"):
            with database.writing() as connection:
                connection.execute(update(applies).values(holder=holder))
            clock.wait(wait / 3600)
            with turns.taken("web", "two"):
                pass


def crew(database: TaskDatabase, told: Callable[[StepEnd], None] | None = None) -> SharedCrew:
    return SharedCrew(Coordinator(database, lease_seconds=30.0), Round("web", "d", "r1", "h:1:x"), 3, told)


def test_each_step_is_done_once_by_those_who_share_the_work(database: TaskDatabase) -> None:
    done: list[str] = []
    told: list[tuple[str, str | None]] = []
    steps = [Step("create", unit(f"web-{number}")) for number in range(6)]
    share = crew(database, lambda end: told.append((end.step.unit.name, end.error)))
    share(steps, lambda step: done.append(step.unit.name))
    crew(database)(steps, lambda step: done.append("again"))
    assert sorted(done) == [f"web-{number}" for number in range(6)]
    assert sorted(told) == [(name, None) for name in sorted(done)]


def test_an_error_of_one_step_is_everybodys(database: TaskDatabase) -> None:
    steps = [Step("create", unit("good")), Step("create", unit("bad"))]
    done = []

    def do(step: Step) -> None:
        if step.unit.name == "bad":
            raise ElspethError("no room")
        done.append(step.unit.name)

    with pytest.raises(ElspethError, match="no room"):
        crew(database)(steps, do)
    assert done == ["good"]
    with pytest.raises(ElspethError, match="create bad: no room"):
        crew(database)(steps, do)
