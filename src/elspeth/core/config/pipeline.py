"""The whole pipeline file as one value."""

from typing import Any

from pydantic import Field, model_validator

from elspeth.contracts.enums import RunMode
from elspeth.core.config.experiments import ExperimentConfig
from elspeth.core.config.models_base import Settings, SinkName, StepName, Text
from elspeth.core.config.nodes import (
    AggregationSettings,
    CoalesceSettings,
    GateSettings,
    QueueSettings,
    SinkSettings,
    SourceSettings,
    TransformSettings,
)
from elspeth.core.config.runtime import (
    BudgetSettings,
    CheckpointSettings,
    ConcurrencySettings,
    LandscapeSettings,
    PayloadStoreSettings,
    RateLimitSettings,
    RetrySettings,
    SecretsSettings,
    TelemetrySettings,
)

ONLY_SOURCE = "source"
"""The name of the node where a file says ``source:`` and not ``sources:``."""


class PipelineSettings(Settings):
    """Everything that a pipeline file may hold."""

    sources: dict[StepName, SourceSettings] = Field(
        min_length=1, description="Named sources; a single one may be written as `source` instead."
    )
    queues: dict[StepName, QueueSettings] = Field(
        default_factory=dict, description="Named points where several producers feed one node."
    )
    transforms: list[TransformSettings] = Field(
        default_factory=list, description="The steps that rows take, in order."
    )
    gates: list[GateSettings] = Field(default_factory=list, description="The decisions on where rows go.")
    aggregations: list[AggregationSettings] = Field(
        default_factory=list, description="The steps that take many rows at once."
    )
    coalesce: list[CoalesceSettings] = Field(
        default_factory=list, description="The joins of rows that were forked."
    )
    sinks: dict[SinkName, SinkSettings] = Field(min_length=1, description="Where rows end, by name.")
    experiments: list[ExperimentConfig] = Field(
        default_factory=list,
        description="Comparisons of variants; a single one may be written as `experiment`.",
    )
    landscape: LandscapeSettings = Field(
        default_factory=lambda: LandscapeSettings(), description="Where the audit record is kept."
    )
    payload_store: PayloadStoreSettings = Field(
        default_factory=lambda: PayloadStoreSettings(), description="Where large contents are kept."
    )
    checkpoint: CheckpointSettings = Field(
        default_factory=lambda: CheckpointSettings(), description="How often state is made durable."
    )
    retry: RetrySettings = Field(
        default_factory=lambda: RetrySettings(), description="How retryable failures are tried again."
    )
    rate_limit: RateLimitSettings = Field(
        default_factory=lambda: RateLimitSettings(), description="How fast outside services are called."
    )
    budget: BudgetSettings = Field(
        default_factory=lambda: BudgetSettings(), description="What the calls of a run may cost."
    )
    concurrency: ConcurrencySettings = Field(
        default_factory=lambda: ConcurrencySettings(), description="How much happens at once."
    )
    run_mode: RunMode = Field(
        RunMode.LIVE,
        strict=False,
        description="`live` makes external calls, `replay` answers them from the record of an earlier run,"
        " `verify` makes them and compares.",
    )
    replay_from: Text | None = Field(
        None, description="The run whose record answers or checks the calls, with `replay` and `verify`."
    )
    secrets: SecretsSettings = Field(
        default_factory=lambda: SecretsSettings(), description="Where secrets come from."
    )
    telemetry: TelemetrySettings = Field(
        default_factory=lambda: TelemetrySettings(), description="Signals about the run for operators."
    )
    depends_on: list[Text] = Field(
        default_factory=list,
        description="Pipeline files that run before this one, in this order, each once; a replay runs none.",
    )

    @model_validator(mode="before")
    @classmethod
    def _plural(cls, data: Any) -> Any:
        """``source`` and ``experiment`` are short for a map and a list of one."""
        if not isinstance(data, dict):
            return data
        data = dict(data)
        if "source" in data and "sources" not in data:
            data["sources"] = {ONLY_SOURCE: data.pop("source")}
        if "experiment" in data and "experiments" not in data:
            data["experiments"] = [data.pop("experiment")]
        return data
