"""Pipeline files: reading them strictly, with a place and a remedy for everything that is wrong."""

from elspeth.core.config.experiments import ExperimentConfig, VariantConfig
from elspeth.core.config.nodes import (
    AggregationSettings,
    CoalesceSettings,
    GateSettings,
    QueueSettings,
    SinkSettings,
    SourceSettings,
    TransformSettings,
)
from elspeth.core.config.pipeline import PipelineSettings

__all__ = [
    "AggregationSettings",
    "CoalesceSettings",
    "ExperimentConfig",
    "GateSettings",
    "PipelineSettings",
    "QueueSettings",
    "SinkSettings",
    "SourceSettings",
    "TransformSettings",
    "VariantConfig",
]
