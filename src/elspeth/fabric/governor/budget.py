"""Money and tokens that may be spent: set aside before a call is made, settled when it is over."""

import threading
from dataclasses import dataclass
from decimal import Decimal

from elspeth.contracts.errors import RunInterruptedError

ZERO = Decimal(0)


class BudgetExceededError(RunInterruptedError):
    """The next call might cost more than is left. Nothing was overspent; the run can be resumed.

    ``name`` is whose budget it is (a node, or ``run``).
    """

    exit_code = 3

    def __init__(self, name: str, text: str, run_id: str = "") -> None:
        Exception.__init__(self, text)
        self.run_id = run_id
        self.name = name
        self.what = text
        self.fix = "raise the budget in the pipeline file, then go on with `elspeth resume --accept-changes`"


@dataclass(frozen=True, slots=True)
class Reservation:
    """The most that one call can cost, set aside until it is settled."""

    cost: Decimal
    tokens: int


class Budget:
    """A limit in money, in tokens, or both; safe to use from all threads.

    The sum of what was spent and what is set aside never passes the limit. So a call for which
    there is no room *now* may fit when others settle for less than was set aside for them:
    `reserve` says None, and `exhausted` says whether there is nothing left to hope for.
    """

    def __init__(self, name: str, *, max_cost: Decimal | None = None, max_tokens: int | None = None) -> None:
        self.name = name
        self.max_cost = max_cost
        self.max_tokens = max_tokens
        self._lock = threading.Lock()
        self._spent, self._tokens = ZERO, 0
        self._held, self._held_tokens, self._open = ZERO, 0, 0

    @property
    def spent(self) -> Decimal:
        """Money spent so far."""
        return self._spent

    @property
    def tokens(self) -> int:
        """Tokens used so far."""
        return self._tokens

    def start_from(self, cost: Decimal, tokens: int) -> None:
        """A run goes on: this much was spent before."""
        with self._lock:
            self._spent += cost
            self._tokens += tokens

    def reserve(self, cost: Decimal, tokens: int) -> Reservation | None:
        """Set aside what a call may cost at most; None if there is no room for it now."""
        with self._lock:
            if self.max_cost is not None and self._spent + self._held + cost > self.max_cost:
                return None
            if self.max_tokens is not None and self._tokens + self._held_tokens + tokens > self.max_tokens:
                return None
            self._held += cost
            self._held_tokens += tokens
            self._open += 1
        return Reservation(cost, tokens)

    def settle(self, reservation: Reservation, cost: Decimal, tokens: int) -> None:
        """The call is over and cost this much."""
        with self._lock:
            self._held -= reservation.cost
            self._held_tokens -= reservation.tokens
            self._open -= 1
            self._spent += cost
            self._tokens += tokens

    def exhausted(self) -> bool:
        """Nothing is set aside, so what did not fit will never fit."""
        return self._open == 0

    def error(self, run_id: str = "") -> BudgetExceededError:
        """Why the run has to stop."""
        limits = []
        if self.max_cost is not None:
            limits.append(f"{self._spent.normalize():f} of {self.max_cost:f} spent")
        if self.max_tokens is not None:
            limits.append(f"{self._tokens} of {self.max_tokens} tokens used")
        return BudgetExceededError(
            self.name,
            f"the budget of {self.name!r} has no room for another call: {', '.join(limits)}",
            run_id,
        )
