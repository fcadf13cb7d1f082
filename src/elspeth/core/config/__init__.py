"""Pipeline files: reading them strictly, with a place and a remedy for everything that is wrong."""

from elspeth.core.config.buckets import HASH_VERSION, bucket_of, exposure_bucket
from elspeth.core.config.document import KeyPath
from elspeth.core.config.experiments import ExperimentConfig, JudgeConfig, MetricConfig, VariantConfig
from elspeth.core.config.json_schema import pipeline_json_schema
from elspeth.core.config.loaded import LoadedPipeline
from elspeth.core.config.loader import Draft, draft_pipeline, load_pipeline
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
from elspeth.core.config.reference import SettingDoc, iter_settings

__all__ = [
    "HASH_VERSION",
    "AggregationSettings",
    "CoalesceSettings",
    "Draft",
    "ExperimentConfig",
    "GateSettings",
    "JudgeConfig",
    "KeyPath",
    "LoadedPipeline",
    "MetricConfig",
    "PipelineSettings",
    "QueueSettings",
    "SettingDoc",
    "SinkSettings",
    "SourceSettings",
    "TransformSettings",
    "VariantConfig",
    "bucket_of",
    "draft_pipeline",
    "exposure_bucket",
    "iter_settings",
    "load_pipeline",
    "pipeline_json_schema",
]
