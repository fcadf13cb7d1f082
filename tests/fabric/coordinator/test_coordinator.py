"""Tasks are claimed once, done once, and taken back from those who die; on both databases."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import create_engine, make_url

from elspeth.contracts.errors import NotFoundError, UsageError
from elspeth.fabric.coordinator import Coordinator, LeaseLostError, NewTask, TaskState


class Clock:
    """Time that stands still until it is told."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def coordinator(landscape_url: str, clock: Clock) -> Iterator[Coordinator]:
    made = Coordinator.from_url(landscape_url, clock=clock, lease_seconds=60.0)
    yield made
    made.close()


def ids(coordinator: Coordinator, worker: str = "w", limit: int = 10) -> list[str]:
    return [claim.task_id for claim in coordinator.claim(worker, limit=limit)]


def test_tasks_are_given_out_by_priority_then_age_and_each_once(coordinator: Coordinator) -> None:
    coordinator.add([NewTask("a"), NewTask("b"), NewTask("urgent", {"n": 1}, priority=5)])
    first = coordinator.claim("one")
    assert [(claim.task_id, claim.payload, claim.attempt, claim.epoch) for claim in first] == [
        ("urgent", {"n": 1}, 1, 1)
    ]
    assert ids(coordinator) == ["a", "b"]
    assert ids(coordinator) == []


def test_what_is_needed_comes_first(coordinator: Coordinator) -> None:
    coordinator.add([NewTask("vm", needs=("nic", "disk")), NewTask("nic"), NewTask("disk")])
    nic, disk = coordinator.claim("w", limit=10)
    assert coordinator.task("vm").waits_for == ("disk", "nic")
    coordinator.complete(nic, {"id": 7})
    assert coordinator.claim("w") == []
    coordinator.complete(disk)
    assert ids(coordinator) == ["vm"]
    assert coordinator.task("nic").result == {"id": 7}
    coordinator.add([NewTask("later", needs=("nic",))])
    assert ids(coordinator) == ["later"]


def test_a_blocker_holds_a_task_until_it_is_taken_away(coordinator: Coordinator) -> None:
    coordinator.add([NewTask("spend", blockers=("approval",)), NewTask("free")])
    coordinator.block("free", "maintenance")
    coordinator.block("free", "maintenance")
    assert ids(coordinator) == []
    assert coordinator.task("spend").waits_for == ("approval",)
    coordinator.unblock("spend", "approval")
    coordinator.unblock("free", "no such reason")
    assert ids(coordinator) == ["spend"]
    coordinator.unblock("free", "maintenance")
    (claim,) = coordinator.claim("w")
    with pytest.raises(UsageError, match="can't be held back"):
        coordinator.block("free", "too late")
    coordinator.complete(claim)


def test_who_lost_the_lease_can_report_nothing(coordinator: Coordinator, clock: Clock) -> None:
    coordinator.add([NewTask("t")])
    (old,) = coordinator.claim("slow")
    clock.seconds += 61
    with pytest.raises(LeaseLostError, match="'slow' no longer has task 't'"):
        coordinator.complete(old)
    (new,) = coordinator.claim("quick")
    assert (new.epoch, new.attempt) == (2, 2)
    for report in (coordinator.complete, coordinator.heartbeat, coordinator.release):
        with pytest.raises(LeaseLostError):
            report(old)
    with pytest.raises(LeaseLostError):
        coordinator.fail(old, "late")
    coordinator.complete(new, "done")
    assert coordinator.task("t").state is TaskState.DONE
    with pytest.raises(LeaseLostError):
        coordinator.complete(new)


def test_a_heartbeat_keeps_the_lease(coordinator: Coordinator, clock: Clock) -> None:
    coordinator.add([NewTask("t")])
    (claim,) = coordinator.claim("w")
    for _ in range(5):
        clock.seconds += 50
        claim = coordinator.heartbeat(claim)
        assert claim.lease_until == clock.seconds + 60
    assert coordinator.claim("other") == []
    coordinator.complete(claim)


def test_a_task_that_fails_too_often_is_a_dead_letter_and_can_be_revived(
    coordinator: Coordinator, clock: Clock
) -> None:
    coordinator.add([NewTask("t", max_attempts=2), NewTask("after", needs=("t",))])
    (claim,) = coordinator.claim("w")
    assert coordinator.fail(claim, "no route") is TaskState.READY
    coordinator.claim("w")
    clock.seconds += 61
    assert coordinator.expire() == 1
    assert [(task.task_id, task.error, task.attempts) for task in coordinator.dead()] == [
        ("t", "the lease ran out", 2)
    ]
    assert coordinator.claim("w") == []
    assert coordinator.counts() == {**dict.fromkeys(TaskState, 0), TaskState.DEAD: 1, TaskState.BLOCKED: 1}
    coordinator.revive("t")
    (again,) = coordinator.claim("w")
    assert again.epoch == 3
    coordinator.complete(again)
    assert ids(coordinator) == ["after"]
    with pytest.raises(UsageError, match="claimed, not dead"):
        coordinator.revive("after")


def test_a_task_given_back_loses_no_attempt(coordinator: Coordinator) -> None:
    coordinator.add([NewTask("t", max_attempts=1)])
    for _ in range(3):
        (claim,) = coordinator.claim("w")
        assert claim.attempt == 1
        coordinator.release(claim)


def test_adding_the_same_plan_twice_is_harmless(coordinator: Coordinator) -> None:
    plan = [NewTask("a", {"x": 1}), NewTask("b", needs=("a",))]
    assert coordinator.add(plan) == 2
    assert coordinator.add(plan) == 0
    with pytest.raises(UsageError, match="another one"):
        coordinator.add([NewTask("c"), NewTask("a", {"x": 2})])
    with pytest.raises(NotFoundError):
        coordinator.task("c")


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ([NewTask("a", needs=("b",)), NewTask("b", needs=("a",))], "in a circle"),
        ([NewTask("a", needs=("ghost",))], "needs 'ghost', which nobody has added"),
        ([NewTask("a"), NewTask("a")], "'a' is there twice"),
        ([NewTask("a", object())], "must be JSON"),
        ([NewTask("a", max_attempts=0)], "at least one attempt"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused_whole(
    coordinator: Coordinator, plan: list[NewTask], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        coordinator.add([NewTask("fine"), *plan])
    assert sum(coordinator.counts().values()) == 0


def test_who_waits_is_woken_by_new_work(landscape_url: str) -> None:
    coordinator = Coordinator.from_url(landscape_url)
    assert not coordinator.wait(timeout=0.05)
    seen: list[bool] = []
    waiter = threading.Thread(target=lambda: seen.append(coordinator.wait(timeout=30.0)))
    waiter.start()
    coordinator.add([NewTask("t")])
    waiter.join(timeout=25)
    assert seen == [True]
    coordinator.close()


def test_other_databases_are_refused() -> None:
    for url in ("mysql://host/db", "sqlite://", "no url at all"):
        with pytest.raises(UsageError, match="sqlite:///path or postgresql"):
            Coordinator.from_url(url)


def work_off(url: str, count: int, claimants: int) -> list[tuple[str, str]]:
    """So many tasks, every third needs the one before; who did which, in all."""
    coordinator = Coordinator.from_url(url)
    coordinator.add(NewTask(f"t{n}", n, needs=(f"t{n - 1}",) if n % 3 == 2 else ()) for n in range(count))
    done: list[tuple[str, str]] = []

    def work(worker: str) -> None:
        while coordinator.counts()[TaskState.DONE] < count:
            for claim in coordinator.claim(worker, limit=5):
                coordinator.complete(claim)
                done.append((claim.task_id, worker))

    threads = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(claimants)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    coordinator.close()
    return done


def test_many_claimants_do_everything_once(landscape_url: str) -> None:
    done = work_off(landscape_url, 200, 8)
    assert sorted(task for task, _ in done) == sorted(f"t{n}" for n in range(200))


@pytest.mark.soak
def test_ten_thousand_tasks_and_sixteen_claimants(postgres_database: Callable[[], str]) -> None:
    done = work_off(postgres_database(), 10_000, 16)
    assert len({task for task, _ in done}) == len(done) == 10_000


def test_completing_and_claiming_in_one_go(coordinator: Coordinator, clock: Clock) -> None:
    coordinator.add([NewTask("a"), NewTask("b"), NewTask("c", needs=("a", "b"))])
    [first] = coordinator.claim("w")
    [second] = coordinator.complete_and_claim(first, {"n": 1})
    assert (first.task_id, second.task_id) == ("a", "b")
    assert coordinator.task("a").result == {"n": 1}
    third = coordinator.complete_and_claim(second) or coordinator.claim("w")
    assert [claim.task_id for claim in third] == ["c"]
    clock.seconds += 61
    coordinator.add([NewTask("d")])
    with pytest.raises(LeaseLostError):
        coordinator.complete_and_claim(third[0])
    assert coordinator.task("d").state is TaskState.READY


def test_two_completions_free_what_needs_both_once(postgres_database: Callable[[], str]) -> None:
    coordinator = Coordinator.from_url(postgres_database())
    pairs = [(f"a{n}", f"b{n}") for n in range(40)]
    coordinator.add(NewTask(name) for pair in pairs for name in pair)
    coordinator.add(NewTask(f"both{n}", needs=pair) for n, pair in enumerate(pairs))
    first, second = (coordinator.claim(worker, limit=80)[:80] for worker in ("v", "w"))
    claims = [*first, *second]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(coordinator.complete, claims))
    assert coordinator.counts() == {**dict.fromkeys(TaskState, 0), TaskState.DONE: 80, TaskState.READY: 40}
    coordinator.close()


def test_connections_that_ended_are_made_anew(postgres_database: Callable[[], str]) -> None:
    url = postgres_database()
    coordinator = Coordinator.from_url(url)
    coordinator.add([NewTask("a"), NewTask("b")])
    (first,) = coordinator.claim("w")
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as other:
        ended = (
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database()"
        )
        other.exec_driver_sql(f"{ended} AND pid <> pg_backend_pid()")
    engine.dispose()
    assert [claim.task_id for claim in coordinator.claim("w")] == ["b"]
    coordinator.complete(first)
    assert coordinator.counts()[TaskState.DONE] == 1
    coordinator.close()
