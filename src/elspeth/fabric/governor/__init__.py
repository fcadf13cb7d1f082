"""How fast, how much at once and for how much money outside services are called, for all callers."""

from elspeth.fabric.governor.adaptive import LONGEST_PAUSE_S, AdaptiveLimit
from elspeth.fabric.governor.breaker import BreakerState, CircuitBreaker
from elspeth.fabric.governor.buckets import Bucket
from elspeth.fabric.governor.budget import Budget, BudgetExceededError, Reservation
from elspeth.fabric.governor.prices import Price, PriceTable, UnknownPriceError
from elspeth.fabric.governor.service import Governor, ServiceGovernor, ServiceLimits, ServiceState

__all__ = [
    "LONGEST_PAUSE_S",
    "AdaptiveLimit",
    "BreakerState",
    "Bucket",
    "Budget",
    "BudgetExceededError",
    "CircuitBreaker",
    "Governor",
    "Price",
    "PriceTable",
    "Reservation",
    "ServiceGovernor",
    "ServiceLimits",
    "ServiceState",
    "UnknownPriceError",
]
