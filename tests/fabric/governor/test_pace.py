"""Requests wait on our side for as long as a service's own buckets would refuse them."""

import heapq
import random

from elspeth.fabric.governor.pace import Pace
from elspeth.testing.arm.buckets import Buckets


def test_nobody_waits_while_there_is_something_left() -> None:
    pace = Pace({"reads": (5.0, 2.0)})
    assert [pace.take("reads", 0.0) for _ in range(7)] == [0.0] * 5 + [0.5, 1.0]
    assert pace.take("reads", 100.0) == 0.0


def test_a_refusal_empties_the_bucket_and_slows_down_for_a_while() -> None:
    pace = Pace({"reads": (5.0, 2.0)})
    pace.take("reads", 0.0)
    pace.refused("reads", 0.0)
    assert pace.take("reads", 0.0) == 1 / 1.4
    assert pace.take("reads", 200.0) == 0.0
    assert [pace.take("reads", 200.0) for _ in range(5)][-1] == 0.5


def refused(processes: int, requests: int) -> tuple[int, int]:
    """Several processes with one subscription's buckets that know nothing of each other: how many requests
    were refused, and how many eleven times in a row.
    """
    server, paces = Buckets(), [Pace({"reads": (250.0, 25.0)}) for _ in range(processes)]
    chance = random.Random(1)
    events = [(chance.random(), number % processes, 0) for number in range(requests)]
    heapq.heapify(events)
    lost = 0
    while events:
        now, process, tries = heapq.heappop(events)
        if tries % 2 == 0:  # Take a place in the line first, then be sent.
            heapq.heappush(events, (now + paces[process].take("reads", now), process, tries + 1))
            continue
        _, _, wait = server.take("GET", now)
        if wait:
            paces[process].refused("reads", now)
            if tries >= 21:
                lost += 1
            else:
                heapq.heappush(events, (now + wait + chance.random() * 0.1, process, tries + 1))
    return server.refused, lost


def test_one_process_is_not_refused() -> None:
    often, lost = refused(1, 2500)
    assert often <= 1  # sums of floats
    assert lost == 0


def test_four_processes_share_a_subscription_and_lose_nothing() -> None:
    assert refused(4, 2500)[1] == 0
