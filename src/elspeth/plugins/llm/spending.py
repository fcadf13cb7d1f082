"""What calls may cost, what they did cost, and when a run has to stop."""

from dataclasses import dataclass
from decimal import Decimal

from elspeth.fabric.governor import Budget, PriceTable
from elspeth.plugins.llm.completion import Answer
from elspeth.plugins.llm.errors import Feedback
from elspeth.plugins.llm.work import Ask

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Purse:
    """The budgets that a call has to fit into (its node's, its run's), and the price of the model."""

    budgets: tuple[Budget, ...]
    prices: PriceTable
    model: str
    run_id: str = ""

    def __post_init__(self) -> None:
        """Raises UnknownPriceError for a budget in money without the model's price."""
        if any(budget.max_cost is not None for budget in self.budgets):
            self.prices.require(self.model)

    def reserve(self, ask: Ask) -> bool:
        """Set aside the most that the call can cost. False: there is no room now, but there may be soon.

        Raises BudgetExceededError when there will never be.
        """
        if not self.budgets:
            return True
        tokens_in, tokens_out = ask.tokens_at_most(), ask.query.max_tokens or 0
        price = self.prices.find(self.model)
        cost = price.of(tokens_in, tokens_out) if price else ZERO
        for budget in self.budgets:
            held = budget.reserve(cost, tokens_in + tokens_out)
            if held is None:
                lasting = budget.exhausted()
                self.release(ask)
                if lasting:
                    raise budget.error(self.run_id)
                return False
            ask.reservations.append(held)
        return True

    def release(self, ask: Ask) -> None:
        """The call was not made."""
        for budget, held in zip(self.budgets, ask.reservations, strict=False):
            budget.settle(held, ZERO, 0)
        ask.reservations.clear()

    def cost_of(self, answer: Answer) -> Decimal | None:
        """What a call cost: as the provider says, else by the table; None where nobody knows."""
        if answer.cost is not None:
            return answer.cost
        price = self.prices.find(self.model)
        if price is None or answer.tokens_in is None:
            return None
        return price.of(answer.tokens_in, answer.tokens_out or 0)

    def settle(self, ask: Ask, answer: Answer, cost: Decimal | None) -> None:
        """The call is over. One that may have been answered unseen counts with all that was set aside."""
        unseen = (
            answer.tokens_in is None
            and answer.failure is not None
            and answer.failure.feedback is Feedback.BROKEN
            and answer.failure.status in (None, 200)
        )
        for budget, held in zip(self.budgets, ask.reservations, strict=True):
            used = held.tokens if unseen else (answer.tokens_in or 0) + (answer.tokens_out or 0)
            budget.settle(held, held.cost if unseen else cost or ZERO, used)
        ask.reservations.clear()
