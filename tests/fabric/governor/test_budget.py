"""Money: set aside before, settled after, never more than the limit."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elspeth.fabric.governor import Budget, BudgetExceededError, Price, PriceTable, UnknownPriceError

TABLE = PriceTable(
    {"gpt-4o": Price(Decimal("2.5"), Decimal(10)), "gpt-4o-mini": Price(Decimal("0.15"), Decimal("0.6"))}
)


def test_a_price_is_exact_and_found_by_the_longest_name() -> None:
    assert TABLE.require("gpt-4o").of(1000, 200) == Decimal("0.0045")
    assert TABLE.find("gpt-4o-mini-2024-07-18") == TABLE.find("gpt-4o-mini")
    assert TABLE.find("gpt-4o-2024-08-06") == TABLE.find("gpt-4o")
    assert TABLE.find("gpt-4") is None


def test_an_unknown_price_is_an_error_that_says_what_to_write() -> None:
    with pytest.raises(UnknownPriceError, match=r"no price of the model 'o9'") as caught:
        TABLE.require("o9")
    assert "prices: {o9:" in caught.value.fix


def test_what_is_set_aside_counts() -> None:
    budget = Budget("ask", max_cost=Decimal(1))
    first = budget.reserve(Decimal("0.6"), 10)
    assert first is not None
    assert budget.reserve(Decimal("0.6"), 10) is None
    assert not budget.exhausted()
    budget.settle(first, Decimal("0.1"), 5)
    assert (budget.spent, budget.tokens) == (Decimal("0.1"), 5)
    second = budget.reserve(Decimal("0.9"), 10)
    assert second is not None
    budget.settle(second, Decimal("0.9"), 10)
    assert budget.reserve(Decimal("0.0001"), 1) is None
    assert budget.exhausted()
    error = budget.error("run-1")
    assert isinstance(error, BudgetExceededError)
    assert str(error).startswith("the budget of 'ask' has no room for another call: 1 of 1 spent")
    assert (error.run_id, error.name) == ("run-1", "ask")
    assert "resume" in error.fix


def test_tokens_are_a_budget_too_and_a_resumed_run_remembers() -> None:
    budget = Budget("run", max_tokens=100)
    budget.start_from(Decimal(0), 90)
    assert budget.reserve(Decimal(0), 11) is None
    assert budget.reserve(Decimal(0), 10) is not None


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 50), st.floats(0, 1), st.booleans()), max_size=80))
def test_it_is_never_overspent(calls: list[tuple[int, float, bool]]) -> None:
    budget, held = Budget("x", max_cost=Decimal(100)), []
    for most, share, settle_now in calls:
        reservation = budget.reserve(Decimal(most), 0)
        if reservation is not None:
            held.append((reservation, (Decimal(most) * Decimal(str(share)))))
        if settle_now and held:
            reservation, cost = held.pop(0)
            budget.settle(reservation, cost, 0)
        assert budget.spent <= 100
    for reservation, cost in held:
        budget.settle(reservation, cost, 0)
    assert budget.spent <= 100
