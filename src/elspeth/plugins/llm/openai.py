"""Every server that speaks OpenAI's format: OpenAI itself, vLLM, Ollama, llama.cpp."""

from collections.abc import Mapping

from elspeth.plugins.llm.endpoint import Endpoint, checked_url

BASE_URL = "https://api.openai.com/v1"


def openai_endpoint(
    provider: str, base: str, model: str, api_key: str | None, marks: Mapping[str, str]
) -> Endpoint:
    """``base`` is the URL up to and with the version (``…/v1``)."""
    headers = {} if api_key is None else {"authorization": f"Bearer {api_key}"}
    url = f"{checked_url(base, 'base_url')}/chat/completions"
    return Endpoint(provider, url, model, headers, marks)
