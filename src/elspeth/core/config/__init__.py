"""Pipeline files: reading them strictly, with a place and a remedy for everything that is wrong."""

from elspeth.core.config.experiments import ExperimentConfig, VariantConfig
from elspeth.core.config.loaded import LoadedPipeline
from elspeth.core.config.loader import load_pipeline
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
    "LoadedPipeline",
    "PipelineSettings",
    "QueueSettings",
    "SinkSettings",
    "SourceSettings",
    "TransformSettings",
    "VariantConfig",
    "load_pipeline",
]
