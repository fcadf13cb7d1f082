"""``llm``: any provider, named in the options."""

import os
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from elspeth.core.config.models_base import broken_rule
from elspeth.core.secrets import Redactor
from elspeth.plugins.llm import azure, openai, openrouter
from elspeth.plugins.llm.base import BaseLLMTransform
from elspeth.plugins.llm.endpoint import Endpoint, secret_marks
from elspeth.plugins.llm.options import CallOptions


class LLMOptions(CallOptions):
    """Options of ``llm``."""

    provider: Literal["azure", "openrouter", "openai"] = Field(
        default="openai", description="`openai`: every server that speaks its format, at `base_url`."
    )
    model: str | None = Field(
        default=None, min_length=1, description="The model; with Azure the deployment counts."
    )
    base_url: str | None = Field(default=None, description="The server, up to and with `/v1`.")
    api_key: str | None = Field(default=None, repr=False, description="The key, e.g. `${OPENAI_API_KEY}`.")
    endpoint: str | None = Field(default=None, description="Azure: the resource's address.")
    deployment_name: str | None = Field(default=None, min_length=1, description="Azure: the deployment.")
    api_version: str = Field(default=azure.API_VERSION, description="Azure: the version of the API.")
    prompt_template: str | None = Field(
        default=None, min_length=1, description="The prompt, a Jinja2 template over `row` and `lookup`."
    )
    response_field: str = Field(default="llm_response", min_length=1, description="The field for the answer.")

    @model_validator(mode="after")
    def _provider_has_what_it_needs(self) -> "LLMOptions":
        needed = {
            "azure": ("endpoint", "deployment_name"),
            "openrouter": ("model", "api_key"),
            "openai": ("model",),
        }[self.provider]
        for key in needed:
            if not getattr(self, key):
                raise broken_rule(
                    f"provider {self.provider!r} needs {key}", fix=f"add {key}: …", at=("provider",)
                )
        if self.provider == "openai" and self.base_url is None and not self.api_key:
            raise broken_rule(
                "OpenAI needs an api_key, another server its base_url",
                fix="add api_key: ${OPENAI_API_KEY}, or base_url: http://localhost:8000/v1",
                at=("provider",),
            )
        return self


class LLMTransform(BaseLLMTransform):
    """Ask a language model about each row, with a full pool of calls, each on record."""

    name: ClassVar[str] = "llm"
    options_model: ClassVar[type[CallOptions]] = LLMOptions
    options: LLMOptions

    def endpoint(self) -> Endpoint:
        o = self.options
        if o.provider == "azure":
            return azure.azure_endpoint(o.endpoint or "", o.deployment_name or "", o.api_version, o.api_key)
        if o.provider == "openrouter":
            return openrouter.openrouter_endpoint(
                o.base_url or openrouter.BASE_URL, o.model or "", o.api_key or ""
            )
        marks = secret_marks(Redactor.from_environment(os.environ), o.api_key)
        return openai.openai_endpoint(
            "openai", o.base_url or openai.BASE_URL, o.model or "", o.api_key or None, marks
        )
