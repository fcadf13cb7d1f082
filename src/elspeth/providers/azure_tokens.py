"""Bearer tokens of the machine's Azure identity, for services that are called over plain HTTP."""

from collections.abc import Callable

from elspeth.contracts.errors import UsageError


def token_provider(
    scope: str, without: str = "without an api_key, Azure OpenAI needs azure-identity"
) -> Callable[[], str]:
    """A function that gives a valid token for ``scope`` whenever it is called; one is kept until it runs out.

    Safe to call from all threads. The identity is found as `DefaultAzureCredential` does it: variables, a
    managed identity, the Azure CLI. Raises UsageError, which says ``without``, if azure-identity is not
    installed.
    """
    try:
        from azure.identity import DefaultAzureCredential, get_bearer_token_provider  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise UsageError(without, fix='pip install "elspeth[azure]"') from error
    return get_bearer_token_provider(DefaultAzureCredential(), scope)
