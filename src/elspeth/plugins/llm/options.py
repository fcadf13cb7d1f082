"""What pipeline files say about calls to language models; the same for every provider."""

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from elspeth.core.config.models_base import broken_rule
from elspeth.plugins.transforms.base import Options, TransformOptions

Number = Annotated[Decimal, BeforeValidator(lambda value: str(value) if isinstance(value, float) else value)]
OutputFields = dict[str, str | list[str] | dict[str, Any]]


class PriceOptions(Options):
    """The price of one model, per million tokens."""

    input: Number = Field(ge=0, description="Per million tokens of prompts.")
    output: Number = Field(ge=0, description="Per million tokens of answers.")


class BudgetOptions(Options):
    """What a node may spend in one run."""

    max_cost: Number | None = Field(default=None, gt=0, description="Money; needs `prices` and `max_tokens`.")
    max_tokens: int | None = Field(default=None, gt=0, description="Tokens of prompts and answers together.")


class CacheOptions(Options):
    """Whether a request that an earlier run made is answered from its record."""

    max_age_days: float | None = Field(
        default=None, gt=0, description="Older answers are not taken; default: of any age."
    )
    refresh: bool = Field(
        default=False, description="Make every call, and let later runs take the new answers."
    )


def _switch(value: Any) -> Any:
    return {True: {}, False: None}[value] if isinstance(value, bool) else value


class QueryOptions(Options):
    """One of several questions about a row."""

    template: str | None = Field(default=None, min_length=1, description="The prompt, as a Jinja2 template.")
    template_file: str | None = Field(default=None, description="A file with the prompt.")
    system_prompt: str | None = Field(default=None, description="In the place of the node's system prompt.")
    response_field: str | None = Field(
        default=None, description="The field for the answer; default: the query's name."
    )
    output_fields: OutputFields | None = Field(
        default=None, description="Field → type: the answer is JSON, and each of these becomes a field."
    )
    output_schema: dict[str, Any] | None = Field(
        default=None, description="A JSON Schema; the parsed answer goes into the response field."
    )
    max_tokens: int | None = Field(default=None, gt=0, description="In the place of the node's max_tokens.")


class CallOptions(TransformOptions):
    """What every LLM transform takes, whoever the provider is."""

    model_config = ConfigDict(populate_by_name=True, protected_namespaces=())

    pool_size: int = Field(default=30, ge=1, le=10_000, description="Calls in flight at once, at most.")
    prompt_template_file: str | None = Field(default=None, description="A file with the prompt.")
    system_prompt: str | None = Field(
        default=None, description="The system message; a template like the prompt."
    )
    queries: dict[str, QueryOptions] = Field(
        default_factory=dict, description="Several questions about each row, in the place of one prompt."
    )
    lookup: dict[str, Any] = Field(
        default_factory=dict, description="Constants for templates: `lookup.name`."
    )
    output_fields: OutputFields | None = Field(
        default=None,
        description="Field → type (`str`, `int`, `float`, `bool`, `list`, `object`, `any`; `?` optional),"
        " list of allowed texts, or JSON Schema: the answer is JSON, and each of these becomes a field.",
    )
    output_schema: dict[str, Any] | None = Field(
        default=None, description="A JSON Schema; the parsed answer goes into the response field."
    )
    structured: Literal["auto", "json_schema", "json_object", "prompt"] = Field(
        default="auto", description="How the form is asked for; `auto`: as the provider does it best."
    )
    repair_turns: int = Field(
        default=1, ge=0, le=5, description="How often a model may correct an answer of the wrong form."
    )
    temperature: float | None = Field(default=None, ge=0, le=2, description="Default: the provider's.")
    top_p: float | None = Field(default=None, gt=0, le=1, description="Default: the provider's.")
    max_tokens: int | None = Field(default=None, gt=0, description="The longest answer, in tokens.")
    seed: int | None = Field(default=None, description="For providers that can repeat themselves.")
    stop: list[str] | None = Field(default=None, description="Texts that end an answer.")
    extra_body: dict[str, Any] = Field(
        default_factory=dict, description="More for the request's body, as the provider documents it."
    )
    metadata_fields: bool = Field(
        default=True,
        description="Whether model, finish reason and token counts are put beside each answer.",
    )
    max_attempts: int = Field(
        default=5,
        ge=1,
        le=100,
        description="Attempts per call, the first included; default: `retry.max_attempts` if the file has it,"
        " else 5. Those that the service put off are counted by themselves.",
    )
    max_throttled: int | None = Field(
        default=None,
        ge=0,
        le=1000,
        description="How often a call is made again because the service put it off (429, 503, 529); default:"
        " four times for each attempt behind the first.",
    )
    initial_delay_seconds: float = Field(default=0.5, ge=0, description="Wait before the second attempt.")
    max_delay_seconds: float = Field(default=30.0, gt=0, description="The longest wait between attempts.")
    connect_timeout_seconds: float = Field(default=10.0, gt=0, description="For the connection.")
    first_byte_timeout_seconds: float = Field(
        default=120.0, gt=0, description="For the first byte of the answer, and between any two."
    )
    timeout_seconds: float = Field(default=300.0, gt=0, description="For the whole call.")
    circuit_wait_seconds: float = Field(
        default=120.0, ge=0, description="How long a row waits for a service that does not answer at all."
    )
    service: str | None = Field(
        default=None,
        description="The name under which limits of `rate_limit.services` hold; default: the provider.",
    )
    requests_per_minute: int | None = Field(default=None, gt=0, description="Limit of the service.")
    tokens_per_minute: int | None = Field(default=None, gt=0, description="Limit of the service.")
    prices: dict[str, PriceOptions] = Field(
        default_factory=dict, description="Model → price per million tokens."
    )
    budget: BudgetOptions | None = Field(default=None, description="What this node may spend in one run.")
    cache: Annotated[
        CacheOptions | None, BeforeValidator(_switch, json_schema_input_type=bool | CacheOptions | None)
    ] = Field(
        default=None,
        description="`true`: a request that an earlier run in the same landscape made to the same address is"
        " answered from its record, for nothing; or an object with `max_age_days` and `refresh`.",
    )
    fail_on_drift: bool = Field(
        default=False, description="With `--mode verify`: rows whose answer changed are errors."
    )

    @property
    def most_throttled(self) -> int:
        """How often a call may be put off."""
        return 4 * (self.max_attempts - 1) if self.max_throttled is None else self.max_throttled

    @model_validator(mode="after")
    def _budget_can_be_kept(self) -> "CallOptions":
        if self.budget is not None and self.budget.max_cost is not None and not self.prices:
            raise broken_rule(
                "there is a budget in money, but no price",
                fix="add prices: {MODEL: {input: 2.50, output: 10.00}} (per million tokens)",
                at=("budget",),
            )
        if self.budget is not None and self.max_tokens is None:
            raise broken_rule(
                "a budget needs to know how long an answer can be",
                fix="add max_tokens: 500",
                at=("budget",),
            )
        return self

    @model_validator(mode="after")
    def _one_form(self) -> "CallOptions":
        forms: list[CallOptions | QueryOptions] = [self, *self.queries.values()]
        for form in forms:
            if form.output_fields is not None and form.output_schema is not None:
                raise broken_rule(
                    "output_fields and output_schema are two answers to one question", fix="keep one"
                )
        return self
