"""A provider's operation that fails again and again is left alone, and the others are not."""

import pytest

from elspeth.fabric.governor.breakers import Breakers, ServiceShutError


class Clock:
    now = 1000.0


def call(breakers: Breakers, error: Exception | None = None, region: str = "here") -> None:
    with breakers.guarding("cloud", region, "create"):
        if error is not None:
            raise error


def test_each_kind_of_call_has_its_own_breaker() -> None:
    clock = Clock()
    breakers = Breakers(lambda: clock.now, lambda error: isinstance(error, OSError), open_s=30.0)
    for _ in range(4):
        with pytest.raises(OSError, match="down"):
            call(breakers, OSError("down"))
    with pytest.raises(ValueError, match="full"):
        call(breakers, ValueError("full"))  # What was asked for was wrong: that is an answer, too.
    assert breakers.open() == []
    with pytest.raises(OSError, match="down"):
        call(breakers, OSError("down"))
    assert breakers.open() == [("cloud", "here", "create")]
    with pytest.raises(ServiceShutError, match=r"cloud fails to create in here .* left alone for 30 s"):
        call(breakers)
    call(breakers, region="there")
    clock.now += 31
    with pytest.raises(OSError, match="still"):
        call(breakers, OSError("still"))
    clock.now += 31
    with pytest.raises(ServiceShutError):
        call(breakers)
    clock.now += 31
    call(breakers)
    assert breakers.open() == []
