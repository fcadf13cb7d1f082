"""Sufficient statistics of one or two variables: what a GROUP BY gives, and what can be added up.

All sums are of values minus a constant (``shift``): the variance of values like 10⁹ + 0.1 would
else be lost in the digits that Σx² does not have. Source: Chan, Golub and LeVeque, "Algorithms for
computing the sample variance", The American Statistician 37 (1983) 242-247.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import fsum


@dataclass(frozen=True, slots=True)
class Sums:
    """n, Σx, Σx², Σy, Σy², Σxy of pairs (x, y), all of x - shift_x and y - shift_y.

    With one variable y stays 0. Merging is exact up to rounding, also with different shifts.
    """

    n: int = 0
    x: float = 0.0
    xx: float = 0.0
    y: float = 0.0
    yy: float = 0.0
    xy: float = 0.0
    shift_x: float = 0.0
    shift_y: float = 0.0

    @property
    def mean(self) -> float:
        """The mean of x. Raises ZeroDivisionError without values, as do all means here."""
        return self.shift_x + self.x / self.n

    @property
    def mean_y(self) -> float:
        """The mean of y."""
        return self.shift_y + self.y / self.n

    @property
    def variance(self) -> float:
        """The sample variance of x (divided by n - 1); 0 below two values."""
        return _spread(self.n, self.xx, self.x, self.x)

    @property
    def variance_y(self) -> float:
        """The sample variance of y."""
        return _spread(self.n, self.yy, self.y, self.y)

    @property
    def covariance(self) -> float:
        """The sample covariance of x and y; 0 below two pairs."""
        if self.n < 2:
            return 0.0
        return (self.xy - self.x * self.y / self.n) / (self.n - 1)

    def moved(self, shift_x: float, shift_y: float) -> "Sums":
        """The same values, with other shifts."""
        if (shift_x, shift_y) == (self.shift_x, self.shift_y):
            return self
        by_x, by_y = self.shift_x - shift_x, self.shift_y - shift_y
        return Sums(
            self.n,
            self.x + self.n * by_x,
            self.xx + 2 * by_x * self.x + self.n * by_x * by_x,
            self.y + self.n * by_y,
            self.yy + 2 * by_y * self.y + self.n * by_y * by_y,
            self.xy + by_x * self.y + by_y * self.x + self.n * by_x * by_y,
            shift_x,
            shift_y,
        )

    def __add__(self, other: "Sums") -> "Sums":
        if not self.n:
            return other
        moved = other.moved(self.shift_x, self.shift_y)
        return Sums(
            self.n + moved.n,
            self.x + moved.x,
            self.xx + moved.xx,
            self.y + moved.y,
            self.yy + moved.yy,
            self.xy + moved.xy,
            self.shift_x,
            self.shift_y,
        )


def _spread(n: int, squares: float, total: float, other: float) -> float:
    # Rounding may leave -1e-20 where all values are equal.
    return 0.0 if n < 2 else max(0.0, (squares - total * other / n) / (n - 1))


def not_noise(spread: float, size: float) -> float:
    """A variance that came out of subtracting; 0 where it is only what rounding left of terms of this size.

    Else values that do not vary would have a tiny standard error, and so an immense t.
    """
    return spread if spread > 1e-13 * size else 0.0


def sums_of(values: Iterable[float], others: Iterable[float] | None = None) -> Sums:
    """The sums of values (and of as many others), shifted by the first of each."""
    xs = [float(value) for value in values]
    ys = [0.0] * len(xs) if others is None else [float(other) for other in others]
    if not xs:
        return Sums()
    shift_x, shift_y = xs[0], ys[0]
    dx = [value - shift_x for value in xs]
    dy = [other - shift_y for other in ys]
    return Sums(
        len(xs),
        fsum(dx),
        fsum(a * a for a in dx),
        fsum(dy),
        fsum(b * b for b in dy),
        fsum(a * b for a, b in zip(dx, dy, strict=True)),
        shift_x,
        shift_y,
    )
