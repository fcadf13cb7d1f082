"""Sample ratio mismatch: did the variants get the shares that they should have?"""

from collections.abc import Sequence
from dataclasses import dataclass

from elspeth.experiments.statistics.distributions import chi_square_tail

SRM_LIMIT = 0.001


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """Counts against what the weights promise. ``ok`` is False below p = 0.001.

    Then units were lost or doubled on the way, not by chance, and no comparison is valid.
    """

    chi_square: float
    p: float
    expected: tuple[float, ...]
    ok: bool


def sample_ratio(counts: Sequence[int], weights: Sequence[float]) -> SampleRatio:
    """χ² goodness of fit. Variants of weight 0 must have no units; without units all is well.

    Source: Fabijan et al., "Diagnosing sample ratio mismatch in online controlled experiments",
    KDD 2019.
    """
    total, whole = sum(counts), sum(weights)
    expected = tuple(total * weight / whole for weight in weights)
    used = [(count, hope) for count, hope in zip(counts, expected, strict=True) if hope > 0]
    stray = any(count for count, hope in zip(counts, expected, strict=True) if hope == 0)
    chi = float(sum((count - hope) ** 2 / hope for count, hope in used))
    p = 0.0 if stray else chi_square_tail(chi, len(used) - 1) if len(used) > 1 and total else 1.0
    return SampleRatio(chi, p, expected, p >= SRM_LIMIT)
