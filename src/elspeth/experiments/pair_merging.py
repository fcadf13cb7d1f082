"""Pairs that grow: a row's answers by several variants come one by one, and count when all are there."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from elspeth.experiments.metrics import Metric
from elspeth.experiments.statistics.distributions import library
from elspeth.experiments.statistics.moments import Moments
from elspeth.experiments.statistics.paired import Discordance
from elspeth.experiments.totals import PairTotals, has_spread
from elspeth.experiments.unit_book import UnitBook

Answers = Sequence[tuple[Any, Any]]
"""Per metric value and weight."""


@dataclass(slots=True)
class _MergedPair:
    """One metric of one variant against the control.

    Of each unit: differences, pairs, and for a ratio value and weight of both.
    """

    metric: Metric
    pairs: int = 0
    wins: int = 0
    ties: int = 0
    losses: int = 0
    table: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    single: bool = True
    moments: Moments = field(init=False)

    def __post_init__(self) -> None:
        self.moments = Moments(self.width)

    @property
    def width(self) -> int:
        return 6 if has_spread(self.metric) else 2

    def count(self, difference: Any, ours: Any, theirs: Any) -> None:
        self.pairs += len(difference)
        self.wins += int((difference > 0).sum())
        self.ties += int((difference == 0).sum())
        self.losses += int((difference < 0).sum())
        yes_c, yes_v = theirs > 0, ours > 0
        for place, here in enumerate((yes_c & yes_v, ~yes_c & yes_v, yes_c & ~yes_v, ~yes_c & ~yes_v)):
            self.table[place] += int(here.sum())

    def change(self, before: Any, after: Any, added: Any) -> None:
        touched = added[:, 1] > 0
        before, after = before[touched], after[touched]
        self.single = self.single and bool((after[:, 1] == 1).all())
        self.moments.change(before[before[:, 1] > 0], after)

    def totals(self) -> PairTotals:
        table = Discordance(*self.table) if self.metric.config.type == "proportion" else None
        return PairTotals(
            self.pairs, self.moments.sums(0, 1), self.single, self.wins, self.ties, self.losses, table,
            self._spread(),
        )  # fmt: skip

    def _spread(self) -> float | None:
        n = self.moments.n
        if not has_spread(self.metric) or n < 2:
            return None
        numpy = library("numpy")
        _, _, x_v, y_v, x_c, y_c = (float(part) * n for part in self.moments.means())
        if not y_v or not y_c:
            return None
        w_v, w_c = y_v / self.pairs, y_c / self.pairs
        weights = numpy.array([0.0, 0.0, 1 / w_v, -x_v / y_v / w_v, -1 / w_c, x_c / y_c / w_c])
        return self.moments.quadratic(weights) / (n - 1) * n / self.pairs**2


class MergedPairs:
    """All pairs of one experiment in one run, as far as it has come."""

    def __init__(self, metrics: Sequence[Metric], variants: int, control: int) -> None:
        self._np = library("numpy")
        self._count, self._control = variants, control
        self._open: tuple[Any, Any, Any, Answers] | None = None
        self._of = {
            index: [_MergedPair(metric) for metric in metrics]
            for index in range(variants)
            if index != control
        }
        self._books = {index: UnitBook(sum(one.width for one in of)) for index, of in self._of.items()}

    @property
    def complete(self) -> bool:
        """False once too many units came again."""
        return all(book.complete for book in self._books.values())

    def add(self, pair: Any, variant: Any, unit: Any, values: Answers) -> None:
        """Answers that came; those whose pair is not whole wait for the others."""
        np = self._np
        if self._open is not None:
            old_pair, old_variant, old_unit, old_values = self._open
            pair, variant = np.concatenate([old_pair, pair]), np.concatenate([old_variant, variant])
            unit = np.concatenate([old_unit, unit])
            values = [
                (np.concatenate([old[0], new[0]]), np.concatenate([old[1], new[1]]))
                for old, new in zip(old_values, values, strict=True)
            ]
        order = np.lexsort((variant, pair))
        _, first, counts = np.unique(pair[order], return_index=True, return_counts=True)
        whole = first[counts == self._count]
        if len(whole):
            at = {index: order[whole + index] for index in range(self._count)}
            for index, mine in self._of.items():
                self._take(mine, self._books[index], unit[at[index]], values, (at[self._control], at[index]))
        rest = np.ones(len(pair), dtype=bool)
        for index in range(self._count):
            rest[order[whole + index]] = False
        self._open = None
        if rest.any():
            left = [(value[rest], weight[rest]) for value, weight in values]
            self._open = (pair[rest], variant[rest], unit[rest], left)

    def _take(
        self, mine: list[_MergedPair], book: UnitBook, unit: Any, values: Answers, at: tuple[Any, Any]
    ) -> None:
        np = self._np
        keys, code = np.unique(unit, return_inverse=True)
        parts = []
        for one, (value, weight) in zip(mine, values, strict=True):
            there = ~np.isnan(value[at[0]]) & ~np.isnan(value[at[1]])
            c, v, codes = at[0][there], at[1][there], code[there]
            difference = value[v] - value[c]
            one.count(difference, value[v], value[c])
            columns = [difference, np.ones(len(c))]
            if one.width > 2:
                columns += [value[v], weight[v], value[c], weight[c]]
            parts += [np.bincount(codes, column, len(keys)) for column in columns]
        added = np.column_stack(parts) if parts else np.zeros((len(keys), 0))
        book.repeated = book.repeated or len(keys) < len(unit)
        before = book.add(keys, added)
        after, start = before + added, 0
        for one in mine:
            where = slice(start, start + one.width)
            one.change(before[:, where], after[:, where], added[:, where])
            start += one.width

    def totals(self, index: int) -> dict[str, PairTotals]:
        """Per metric; nothing for the control."""
        return {one.metric.config.name: one.totals() for one in self._of.get(index, ())}
