"""Where calls go to, and how they show who they are."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from elspeth.contracts.errors import UsageError
from elspeth.core.secrets import Redactor


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One chat-completions URL. ``model`` is what the body asks for, and what prices are found by.

    ``headers`` hold the key; ``secrets`` are all texts that must never be written down, with what
    stands for them on record. ``bearer`` gives a token that is asked for anew at each call (it
    keeps its own until it runs out). ``structured`` is the provider's best way to ask for JSON.
    """

    provider: str
    url: str
    model: str
    headers: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    structured: str = "json_schema"
    bearer: Callable[[], str] | None = None

    def clean(self, text: str) -> str:
        """``text`` without secrets: some servers send the key back."""
        for secret, mark in self.secrets.items():
            if secret in text:
                text = text.replace(secret, mark)
        return text


def checked_url(url: str, key: str) -> str:
    """A base URL without its last slash. Raises UsageError."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise UsageError(f"{key} is no web address", fix=f"write {key}: https://HOST")
    return url.rstrip("/")


def secret_marks(redactor: Redactor, *secrets: str | None) -> dict[str, str]:
    """Secret → what stands for it on record. Short ones are left out: they would be found everywhere."""
    return {secret: redactor.fingerprint(secret) for secret in secrets if secret and len(secret) >= 8}
