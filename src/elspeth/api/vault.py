"""``secrets: {source: keyvault}``: the secrets that a pipeline file names, from its vault."""

from collections.abc import Mapping

from elspeth.contracts.errors import ElspethError
from elspeth.core.config.runtime import SecretsSettings


def fetch_secrets(settings: SecretsSettings, wanted: Mapping[str, str]) -> dict[str, str | ElspethError]:
    """Variable → value of its secret, or why there is none; ``wanted`` is variable → name in the vault.

    The identity is the machine's. Raises ElspethError if there is no vault to be asked.
    """
    # Neither is needed by the pipelines that have no vault.
    from elspeth.providers.azure_tokens import token_provider  # noqa: PLC0415
    from elspeth.providers.azure_vault import SCOPE, read_secrets  # noqa: PLC0415

    assert settings.vault_url is not None
    token = token_provider(SCOPE, "secrets.source: keyvault needs azure-identity")
    found = read_secrets(settings.vault_url, wanted.values(), token)
    return {name: found[key] for name, key in wanted.items()}
