"""Sums and sums of products of several variables, kept up to date as units change."""

from dataclasses import dataclass
from typing import Any

from elspeth.experiments.statistics.distributions import library
from elspeth.experiments.statistics.sums import Sums, not_noise


@dataclass(slots=True)
class Moments:
    """n, Σz and Σzzᵀ of vectors z, all minus a constant vector; see `sums` for why.

    A unit that comes again is taken out as it was (`change`) and put in as it is.
    """

    width: int
    n: int = 0
    shift: Any = None
    total: Any = None
    products: Any = None

    def change(self, before: Any, after: Any) -> None:
        """Take vectors out, and put others in; both matrices, one vector a line."""
        if self.shift is None:
            if not len(after):
                return
            numpy = library("numpy")
            self.shift = after[0].copy()
            self.total = numpy.zeros(self.width)
            self.products = numpy.zeros((self.width, self.width))
        self.n += len(after) - len(before)
        for vectors, sign in ((before, -1.0), (after, 1.0)):
            if len(vectors):
                moved = vectors - self.shift
                self.total += sign * moved.sum(axis=0)
                self.products += sign * (moved.T @ moved)

    def sums(self, x: int, y: int) -> Sums:
        """The sums of two of the variables."""
        if self.shift is None or not self.n:
            return Sums()
        total, products = self.total, self.products
        return Sums(
            self.n, float(total[x]), float(products[x, x]), float(total[y]), float(products[y, y]),
            float(products[x, y]), float(self.shift[x]), float(self.shift[y]),
        )  # fmt: skip

    def means(self) -> Any:
        """The mean vector; only where n is not 0."""
        return self.shift + self.total / self.n

    def quadratic(self, weights: Any) -> float:
        """Σ (w·(z - z̄))²: what a linear function of z spreads."""
        away = self.total[:, None] * self.total[None, :] / self.n
        size = abs(weights)
        return not_noise(
            float(weights @ (self.products - away) @ weights), float(size @ abs(self.products) @ size)
        )
