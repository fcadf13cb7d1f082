"""What calls cost: a table that somebody wrote down; a price that is guessed is a lie in the record."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from elspeth.contracts.errors import UsageError

MILLION = Decimal(1_000_000)


class UnknownPriceError(UsageError):
    """A budget in money needs the price of every model that is called."""


@dataclass(frozen=True, slots=True)
class Price:
    """The price of one model, per million tokens, in the currency of the account."""

    input: Decimal
    output: Decimal

    def of(self, tokens_in: int, tokens_out: int) -> Decimal:
        """The price of one call, exactly."""
        return (self.input * tokens_in + self.output * tokens_out) / MILLION


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Model → price."""

    prices: Mapping[str, Price]

    def find(self, model: str) -> Price | None:
        """The price of ``model``, or None. A model with a date behind its name (``gpt-4o-2024-08-06``)
        has the price of the longest name in the table that it begins with.
        """
        exact = self.prices.get(model)
        if exact is not None:
            return exact
        names = [name for name in self.prices if model.startswith(f"{name}-")]
        return self.prices[max(names, key=len)] if names else None

    def require(self, model: str) -> Price:
        """The price of ``model``. Raises UnknownPriceError."""
        found = self.find(model)
        if found is None:
            raise UnknownPriceError(
                f"there is a budget in money, but no price of the model {model!r}",
                fix=f"add it: prices: {{{model}: {{input: 2.50, output: 10.00}}}} (per million tokens)",
            )
        return found
