"""Secrets from an Azure Key Vault, over its REST interface."""

import json
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from elspeth.contracts.errors import ElspethError, UsageError

SCOPE = "https://vault.azure.net/.default"
_VERSION = "7.4"
_ATTEMPTS = 4
_TIMEOUT_S = 20
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class _NoRedirects(HTTPRedirectHandler):
    """A redirect would carry the token to whoever the answer names."""

    def redirect_request(self, *_: Any) -> None:
        return None


def read_secrets(
    vault_url: str,
    names: Iterable[str],
    token: Callable[[], str],
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, str | ElspethError]:
    """The newest version of each secret, or why it can't be had.

    ``token`` gives a bearer token for `SCOPE`. What may pass (429, 5xx, no answer) is tried again, in all
    four times. Raises UsageError for a URL at which nobody should ask for a secret, ElspethError if the
    vault can't be reached.
    """
    parts = urlsplit(vault_url)
    if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        raise UsageError(
            f"a vault is asked over https only, not at {vault_url}", fix="write https://NAME.vault.azure.net"
        )
    return {name: _read(vault_url.rstrip("/"), name, token, sleep) for name in dict.fromkeys(names)}


def _read(
    vault_url: str, name: str, token: Callable[[], str], sleep: Callable[[float], None]
) -> str | ElspethError:
    url = f"{vault_url}/secrets/{quote(name, safe='')}?api-version={_VERSION}"
    for attempt in range(1, _ATTEMPTS + 1):
        request = Request(url, headers={"Authorization": f"Bearer {token()}"})
        try:
            with build_opener(_NoRedirects).open(request, timeout=_TIMEOUT_S) as answer:
                value = json.load(answer)["value"]
        except HTTPError as error:
            if (error.code != 429 and error.code < 500) or attempt == _ATTEMPTS:
                return _refused(vault_url, name, error.code)
        except (URLError, TimeoutError, OSError) as error:
            if attempt == _ATTEMPTS:
                reason = getattr(error, "reason", error)
                raise ElspethError(
                    f"the key vault {vault_url} can't be reached: {reason}",
                    fix="check vault_url and the network",
                ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise ElspethError(
                f"what answers at {vault_url} is no key vault", fix="check secrets.vault_url"
            ) from error
        else:
            return str(value)
        sleep(2 ** (attempt - 1))
    raise AssertionError("the last attempt returns or raises")


def _refused(vault_url: str, name: str, code: int) -> ElspethError:
    if code == 404:
        return ElspethError(
            f"the vault {vault_url} has no secret {name!r}", fix="check its name, or set it there"
        )
    if code in (401, 403):
        return ElspethError(
            f"this identity may not read the secret {name!r} in {vault_url} ({code})",
            fix="give it the role `Key Vault Secrets User`",
        )
    return ElspethError(
        f"the vault {vault_url} answered {code} for the secret {name!r}", fix="try again later"
    )
