"""``openrouter_llm``: many models behind one gateway."""

import os
from typing import ClassVar

from pydantic import Field

from elspeth.core.secrets import Redactor
from elspeth.plugins.llm.base import BaseLLMTransform
from elspeth.plugins.llm.endpoint import Endpoint, secret_marks
from elspeth.plugins.llm.openai import openai_endpoint
from elspeth.plugins.llm.options import CallOptions

BASE_URL = "https://openrouter.ai/api/v1"


class OpenRouterConfig(CallOptions):
    """Options of ``openrouter_llm``."""

    model: str = Field(min_length=1, description="The model, e.g. `openai/gpt-4o-mini`.")
    api_key: str = Field(min_length=1, repr=False, description="The key, e.g. `${OPENROUTER_API_KEY}`.")
    base_url: str = Field(default=BASE_URL, description="The gateway's address.")
    prompt_template: str | None = Field(
        default=None, min_length=1, description="The prompt, a Jinja2 template over `row` and `lookup`."
    )
    response_field: str = Field(default="llm_response", min_length=1, description="The field for the answer.")


class OpenRouterLLMTransform(BaseLLMTransform):
    """Ask a model behind OpenRouter about each row, with a full pool of calls, each on record."""

    name: ClassVar[str] = "openrouter_llm"
    options_model = OpenRouterConfig
    options: OpenRouterConfig

    def endpoint(self) -> Endpoint:
        options = self.options
        return openrouter_endpoint(options.base_url, options.model, options.api_key)


def openrouter_endpoint(base: str, model: str, api_key: str) -> Endpoint:
    """The gateway, which says itself what each call cost."""
    marks = secret_marks(Redactor.from_environment(os.environ), api_key)
    return openai_endpoint("openrouter", base, model, api_key, marks)
