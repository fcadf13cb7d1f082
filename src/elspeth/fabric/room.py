"""How much room there is: quotas, counted down as a plan takes from them."""

from collections.abc import Sequence

from elspeth.fabric.adapter import Market, NoRoomError, Offer, Quote, Unit

_UNKNOWN = Quote(refused="nothing is known of it")


class Room:
    """A market while a plan is made; everything that is placed takes its cores."""

    def __init__(self, market: Market) -> None:
        self._quotes = market.quotes
        self._quotas = market.quotas
        self._left = {name: limit - used for name, (used, limit) in market.quotas.items()}
        self._needed: dict[str, int] = {}

    def refused(self, offer: Offer) -> str:
        """Why an offer can't be had at all; empty if it can."""
        quote = self._quotes.get(offer, _UNKNOWN)
        unknown = [name for name in quote.quotas if name not in self._left]
        if not quote.refused and (unknown or not quote.quotas or quote.cores < 1):
            return f"nothing is known of its quota {unknown[0]}" if unknown else _UNKNOWN.refused
        return quote.refused

    def give_back(self, unit: Unit) -> None:
        """A unit will be deleted first: its cores are free again."""
        quote = self._quotes.get(unit.offer, _UNKNOWN)
        for name in quote.quotas:
            if name in self._left:
                self._left[name] += quote.cores * unit.machines

    def place(self, offers: Sequence[Offer], machines: int) -> Offer:
        """The first offer that has room, which is taken. Raises NoRoomError."""
        for offer in offers:
            if not self.refused(offer) and not self._short(offer, machines):
                self._take(self._quotes[offer], self._quotes[offer].cores * machines)
                return offer
        raise self._none(offers, machines)

    def resize(self, unit: Unit, offers: Sequence[Offer]) -> Offer:
        """The first offer to which a unit can be resized; only what it has more of is taken."""
        before = self._quotes.get(unit.offer, _UNKNOWN)
        self.give_back(unit)
        offer = self.place(offers, unit.machines)
        # What is asked for is the difference, where both count in one quota.
        for name in set(before.quotas) & set(self._quotes[offer].quotas):
            self._needed[name] -= before.cores * unit.machines
        return offer

    def needed(self) -> dict[str, int]:
        """Cores that were taken, by quota."""
        return {name: cores for name, cores in sorted(self._needed.items()) if cores > 0}

    def left_out(self, offers: Sequence[Offer]) -> list[tuple[Offer, str]]:
        """The offers that can't be had, and why."""
        return [(offer, why) for offer in offers if (why := self.refused(offer))]

    def _take(self, quote: Quote, cores: int) -> None:
        for name in quote.quotas:
            self._left[name] -= cores
            self._needed[name] = self._needed.get(name, 0) + cores

    def _short(self, offer: Offer, machines: int) -> str:
        quote = self._quotes[offer]
        for name in quote.quotas:
            needed = quote.cores * machines
            if needed > self._left[name]:
                used, limit = self._quotas[name]
                return f"{needed} more of {name} are needed, and {self._told(name, used, limit)}"
        return ""

    def _told(self, name: str, used: int, limit: int) -> str:
        planned = self._needed.get(name, 0)
        return f"{used} of {limit} are in use" + (f", {planned} planned" if planned else "")

    def _none(self, offers: Sequence[Offer], machines: int) -> NoRoomError:
        reasons = [f"{offer}: {self.refused(offer) or self._short(offer, machines)}" for offer in offers]
        return NoRoomError(
            "there is no room: " + "; ".join(reasons),
            fix="name more regions or sizes, plan fewer machines, or ask for more quota "
            "(portal: Usage + quotas)",
        )
