"""The settings of everything around the graph: record, checkpoints, retries, limits, secrets."""

from typing import Any, Literal

from pydantic import Field, model_validator

from elspeth.core.config.models_base import Settings, SinkName, Text, broken_rule


class ExportSettings(Settings):
    """A copy of the run's record, written when the run is over; `elspeth export` writes the same.

    OpenLineage events are sent as the run begins too.
    """

    enabled: bool = Field(False, description="Whether the record is exported at the end of the run.")
    path: Text | None = Field(
        None, description="The file or directory that the export goes to; for openlineage also an endpoint."
    )
    sink: SinkName | None = Field(None, description="The sink that the exported records go to.")
    format: Literal["jsonl", "json", "csv", "parquet", "prov", "openlineage"] = Field(
        "jsonl", description="The form of the exported records."
    )
    sign: bool = Field(False, description="Whether the export carries a signature.")

    @model_validator(mode="after")
    def _one_target(self) -> "ExportSettings":
        if self.path is not None and self.sink is not None:
            raise broken_rule(
                "an export goes to a path or to a sink, not to both", fix="keep one", at=("sink",)
            )
        if self.enabled and self.path is None and self.sink is None:
            raise broken_rule(
                "the export is enabled but has no target", fix="add `path: audit/run.jsonl`", at=("enabled",)
            )
        return self


class LandscapeSettings(Settings):
    """Where the audit record is kept."""

    url: Text = Field(
        "sqlite:///.elspeth/landscape.db",
        description="The database of the audit record, as an SQLAlchemy URL (SQLite or PostgreSQL).",
    )
    enabled: bool = Field(
        True, description="Whether runs are recorded; false keeps the record in memory only."
    )
    signing_key: Text | None = Field(
        None,
        description="The private key that signs the heads of the record (`elspeth keys new`); default: the"
        " path in `ELSPETH_SIGNING_KEY`, if any.",
    )
    anchor: Text | None = Field(
        None,
        description="Where each head also goes, outside the database: a file (it is appended to), `stdout`,"
        " or the URL of an Azure container (`https://ACCOUNT.blob.core.windows.net/CONTAINER/PREFIX`).",
    )
    export: ExportSettings = Field(
        default_factory=lambda: ExportSettings(), description="A copy of the record after each run."
    )


class PayloadStoreSettings(Settings):
    """Where large row contents are kept, and for how long."""

    base_path: Text = Field(
        ".elspeth/payloads",
        description="The directory of the store, relative to the working directory. Default: beside the"
        " landscape.",
    )
    threshold_bytes: int = Field(
        4096, ge=256, description="Row contents with more characters than this go to the store, compressed."
    )
    retention_days: int | None = Field(
        None,
        gt=0,
        description="Days after which `elspeth purge` may remove payloads; default: kept for ever.",
    )


class CheckpointSettings(Settings):
    """How often a run's state is made durable, so that `elspeth resume` can go on from there."""

    enabled: bool = Field(True, description="Whether an interrupted run can be resumed.")
    frequency: Literal["every_row", "every_n", "aggregation_only"] = Field(
        "every_n",
        description="After every row, every `checkpoint_interval` rows, or every batch;"
        " at the latest after 8,192 tokens or 250 ms.",
    )
    checkpoint_interval: int | None = Field(
        None,
        gt=0,
        description="Rows between checkpoints with `frequency: every_n`; default: the engine's commit group.",
    )

    @model_validator(mode="after")
    def _interval_needs_every_n(self) -> "CheckpointSettings":
        if self.checkpoint_interval is not None and self.frequency != "every_n":
            raise broken_rule(
                f"checkpoint_interval has no meaning with frequency: {self.frequency}",
                fix="write `frequency: every_n`, or take checkpoint_interval out",
                at=("checkpoint_interval",),
            )
        return self


class RetrySettings(Settings):
    """How retryable failures are tried again: exponential back-off with jitter."""

    max_attempts: int = Field(3, ge=1, description="Attempts in all, the first included; 1 means no retry.")
    initial_delay_seconds: float = Field(1.0, ge=0, description="Seconds before the second attempt.")
    max_delay_seconds: float = Field(
        60.0, ge=0, description="The longest wait between two attempts, in seconds."
    )
    exponential_base: float = Field(
        2.0, ge=1, description="The factor by which each wait is longer than the last."
    )

    @model_validator(mode="after")
    def _delays_in_order(self) -> "RetrySettings":
        if self.max_delay_seconds < self.initial_delay_seconds:
            raise broken_rule(
                f"max_delay_seconds ({self.max_delay_seconds:g}) is less than"
                f" initial_delay_seconds ({self.initial_delay_seconds:g})",
                fix=f"raise max_delay_seconds to {self.initial_delay_seconds:g} or more",
                at=("max_delay_seconds",) if "max_delay_seconds" in self.model_fields_set else (),
            )
        return self


class ServiceRateLimit(Settings):
    """The limits of one service."""

    requests_per_minute: int | None = Field(None, gt=0, description="Requests per minute to this service.")
    tokens_per_minute: int | None = Field(None, gt=0, description="LLM tokens per minute to this service.")


class RateLimitSettings(Settings):
    """How fast outside services are called."""

    enabled: bool = Field(True, description="Whether the limits below hold.")
    default_requests_per_minute: int | None = Field(
        None, gt=0, description="Requests per minute to each service that has no limit of its own."
    )
    services: dict[str, ServiceRateLimit] = Field(
        default_factory=dict, description="Service name → its own limits."
    )


class PriceSettings(Settings):
    """The price of one model."""

    input: float = Field(ge=0, description="Per million tokens of prompts.")
    output: float = Field(ge=0, description="Per million tokens of answers.")


class BudgetSettings(Settings):
    """What all calls of a run together may cost; it stops, resumably, before it spends more."""

    max_cost: float | None = Field(
        None, gt=0, description="Money, in the currency of the prices; every model that is called needs one."
    )
    max_tokens: int | None = Field(None, gt=0, description="Tokens of prompts and answers together.")
    prices: dict[str, PriceSettings] = Field(
        default_factory=dict, description="Model → price per million tokens, for all nodes."
    )


class ConcurrencySettings(Settings):
    """How much happens at once."""

    max_workers: int = Field(
        4,
        ge=1,
        le=1024,
        description="Rows in work at once, for each concurrent transform that has no `pool_size`.",
    )


class SecretsSettings(Settings):
    """Where secrets come from."""

    source: Literal["env", "keyvault"] = Field(
        "env", description="`env`: environment variables; `keyvault`: an Azure Key Vault."
    )
    vault_url: Text | None = Field(None, description="The vault's URL, needed with `source: keyvault`.")
    mapping: dict[str, Text] = Field(
        default_factory=dict,
        description="Variable, as in `${NAME}` → its secret's name in the vault; with `env`: another one.",
    )

    @model_validator(mode="after")
    def _vault_is_known(self) -> "SecretsSettings":
        if self.source == "keyvault" and self.vault_url is None:
            raise broken_rule(
                "secrets come from a key vault, but vault_url is missing",
                fix="add `vault_url: https://NAME.vault.azure.net`",
                at=("source",),
            )
        if self.source == "keyvault" and not self.mapping:
            raise broken_rule(
                "secrets come from a key vault, but mapping names none",
                fix="add `mapping: {API_KEY: name-in-the-vault}`, and write ${API_KEY} where it is needed",
            )
        if self.source == "env" and self.vault_url is not None:
            raise broken_rule(
                "vault_url has no meaning with source: env", fix="write `source: keyvault`", at=("vault_url",)
            )
        return self


_OTLP_OPTIONS: dict[str, tuple[type | tuple[type, ...], str]] = {
    "endpoint": (str, "a web address"),
    "headers": (dict, "a mapping of names to texts"),
    "timeout_seconds": ((int, float), "a number"),
}


class ExporterSettings(Settings):
    """One receiver of telemetry."""

    name: Literal["otlp", "console"] = Field(
        description="`otlp`: an OpenTelemetry receiver, over HTTP; `console`: stderr, as JSON lines."
    )
    options: dict[str, Any] = Field(
        default_factory=dict,
        description="For `otlp`: `endpoint` (default: what `OTEL_EXPORTER_OTLP_ENDPOINT` says), `headers`"
        " and `timeout_seconds` (5).",
    )

    @model_validator(mode="after")
    def _options_are_known(self) -> "ExporterSettings":
        known = _OTLP_OPTIONS if self.name == "otlp" else {}
        for name, value in self.options.items():
            if name not in known:
                raise broken_rule(
                    f"the exporter {self.name!r} has no option {name!r}",
                    fix=f"known here: {', '.join(known) or 'none'}",
                    at=("options", name),
                )
            wanted, words = known[name]
            if not isinstance(value, wanted) or isinstance(value, bool):
                raise broken_rule(f"{name} must be {words}", fix="", at=("options", name))
        return self


class TelemetrySettings(Settings):
    """Signals about the run for operators; the audit record does not depend on it."""

    enabled: bool = Field(False, description="Whether telemetry is sent.")
    granularity: Literal["lifecycle", "rows", "full"] = Field(
        "lifecycle", description="`lifecycle`: runs and nodes; `rows`: each row as well; `full`: calls too."
    )
    content: bool = Field(
        False, description="Whether the spans of calls hold prompts and answers (`granularity: full`)."
    )
    exporters: list[ExporterSettings] = Field(default_factory=list, description="Who receives it.")

    @model_validator(mode="after")
    def _somebody_receives_it(self) -> "TelemetrySettings":
        if self.enabled and not self.exporters:
            raise broken_rule(
                "telemetry is enabled, but nobody receives it",
                fix="add `exporters: [{name: otlp, options: {endpoint: http://localhost:4318/v1/traces}}]`",
                at=("enabled",),
            )
        return self
