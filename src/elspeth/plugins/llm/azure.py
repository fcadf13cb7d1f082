"""``azure_llm``: models deployed in Azure OpenAI."""

import os
from collections.abc import Callable
from typing import ClassVar
from urllib.parse import quote

from pydantic import AliasChoices, Field

from elspeth.contracts.errors import UsageError
from elspeth.core.secrets import Redactor
from elspeth.plugins.llm.base import BaseLLMTransform
from elspeth.plugins.llm.endpoint import Endpoint, checked_url, secret_marks
from elspeth.plugins.llm.options import CallOptions

API_VERSION = "2024-10-21"
TOKEN_SCOPE = "https://cognitiveservices.azure.com/.default"


class AzureOpenAIConfig(CallOptions):
    """Options of ``azure_llm``."""

    deployment_name: str = Field(min_length=1, description="The deployment's name in the resource.")
    endpoint: str = Field(description="The resource: `https://NAME.openai.azure.com`.")
    api_key: str | None = Field(
        default=None,
        repr=False,
        description="The resource's key, e.g. `${AZURE_OPENAI_API_KEY}`; without one the machine's Azure"
        " identity is used (`DefaultAzureCredential`).",
    )
    api_version: str = Field(default=API_VERSION, description="The version of the API.")
    user_prompt_template: str | None = Field(
        default=None,
        min_length=1,
        validation_alias=AliasChoices("user_prompt_template", "prompt_template"),
        description="The prompt, a Jinja2 template over `row` and `lookup`; also as `prompt_template`.",
    )
    output_key: str = Field(
        default="llm_response",
        min_length=1,
        validation_alias=AliasChoices("output_key", "response_field"),
        description="The field for the answer; also as `response_field`.",
    )


class AzureLLMTransform(BaseLLMTransform):
    """Ask a model in Azure OpenAI about each row, with a full pool of calls, each on record.

    Usable from Python too: ``AzureLLMTransform(config=AzureOpenAIConfig(…))``.
    """

    name: ClassVar[str] = "azure_llm"
    options_model = AzureOpenAIConfig
    options: AzureOpenAIConfig

    def prompt(self) -> str | None:
        return self.options.user_prompt_template

    def response_field(self) -> str:
        return self.options.output_key

    def endpoint(self) -> Endpoint:
        options = self.options
        return azure_endpoint(options.endpoint, options.deployment_name, options.api_version, options.api_key)


def azure_endpoint(base: str, deployment: str, api_version: str, api_key: str | None) -> Endpoint:
    """Azure's own URL scheme; the key in a header of its own, or a bearer token."""
    if api_key == "":
        raise UsageError("the api_key is empty", fix="set the variable that it comes from")
    url = (
        f"{checked_url(base, 'endpoint')}/openai/deployments/{quote(deployment, safe='')}"
        f"/chat/completions?api-version={quote(api_version, safe='')}"
    )
    headers = {} if api_key is None else {"api-key": api_key}
    marks = secret_marks(Redactor.from_environment(os.environ), api_key)
    bearer = _identity() if api_key is None else None
    return Endpoint("azure", url, deployment, headers, marks, "json_schema", bearer)


def _identity() -> Callable[[], str]:
    """Tokens of the machine's Azure identity, asked for when the first call is made."""
    made: list[Callable[[], str]] = []

    def token() -> str:
        if not made:
            from elspeth.providers.azure_tokens import token_provider  # noqa: PLC0415  # azure, which most don't have

            made.append(token_provider(TOKEN_SCOPE))
        return made[0]()

    return token
