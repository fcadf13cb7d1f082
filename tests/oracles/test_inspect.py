"""The clustered standard error of Inspect (inspect_ai), in an environment of its own: `make oracles`."""

import random

import pytest
from inspect_ai.scorer import SampleScore, Score, stderr

from elspeth.experiments.statistics.paired import paired_clusters
from elspeth.experiments.statistics.ratios import ratio_of, ratio_variance
from elspeth.experiments.statistics.sums import sums_of


def drawn(seed: int) -> list[list[float]]:
    """Scores by cluster."""
    source = random.Random(seed)
    clusters = []
    for _ in range(source.randint(5, 60)):
        share = source.random()
        clusters.append([float(source.random() < share) for _ in range(source.randint(1, 8))])
    return clusters


def theirs(clusters: list[list[float]], cluster: str | None = "unit") -> float:
    scores = [
        SampleScore(score=Score(value=value), sample_metadata={"unit": unit})
        for unit, values in enumerate(clusters)
        for value in values
    ]
    return float(stderr(cluster=cluster)(scores))


@pytest.mark.parametrize("seed", range(20))
def test_a_mean_over_clusters(seed: int) -> None:
    clusters = drawn(seed)
    ours = sums_of([sum(values) for values in clusters], [len(values) for values in clusters])
    assert ratio_variance(ours) ** 0.5 == pytest.approx(theirs(clusters), rel=1e-6)
    rows = [value for values in clusters for value in values]
    assert ratio_of(ours) == pytest.approx(sum(rows) / len(rows))


@pytest.mark.parametrize("seed", range(20))
def test_paired_differences_over_clusters(seed: int) -> None:
    source = random.Random(seed)
    clusters = [[value - float(source.random() < 0.4) for value in values] for values in drawn(seed)]
    effect = paired_clusters(
        sums_of([sum(values) for values in clusters], [len(values) for values in clusters])
    )
    assert effect.se == pytest.approx(theirs(clusters), rel=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_rows_that_are_their_own_clusters(seed: int) -> None:
    rows = [value for values in drawn(seed) for value in values]
    sums = sums_of(rows)
    assert (sums.variance / sums.n) ** 0.5 == pytest.approx(theirs([[row] for row in rows], None), rel=1e-6)
