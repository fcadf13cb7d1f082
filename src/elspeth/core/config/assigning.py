"""From a unit to its variant."""

from elspeth.core.config.buckets import Bucket, bucket_of, hundredths
from elspeth.core.config.experiments import ExperimentConfig


class Assigner:
    """The variants of one experiment, ready for many units.

    ``variant_at`` maps each of 10,000 fine buckets to the index of its variant.
    """

    __slots__ = ("experiment_id", "exposed_below", "variant_at")

    def __init__(self, experiment: ExperimentConfig) -> None:
        self.experiment_id = experiment.experiment_id
        self.exposed_below = hundredths(experiment.exposure)
        self.variant_at = [
            index
            for index, variant in enumerate(experiment.variants)
            for _ in range(hundredths(variant.weight))
        ]

    def index_of(self, unit: str) -> tuple[int, Bucket]:
        """The index of the unit's variant, and the bucket that decides it."""
        bucket = bucket_of(self.experiment_id, unit)
        return self.variant_at[bucket[0] * 100 + bucket[1]], bucket
