"""Keeping secrets out of the record: what looks like one, or may be one, is replaced before it is stored."""

import hmac
import re
from collections.abc import Collection, Mapping
from hashlib import sha256
from typing import Any

FINGERPRINT_VARIABLE = "ELSPETH_FINGERPRINT_KEY"
REDACTED = "[redacted]"

# Keys whose values are secret whatever they hold. `max_tokens` and `token_count` are not.
_SECRET_KEY = re.compile(
    r"(?:^|[_\-.])(?:api_?key|account_?key|access_?key|private_?key|secret(?:_key)?|client_?secret|password|passwd|pwd"
    r"|token|sas(?:_token)?|credentials?|authorization|auth|connection_?string|cookie)$",
    re.IGNORECASE,
)
# Secrets inside other texts: a URL's password, a connection string's key, a SAS signature, a bearer token.
_SECRET_PARTS = (
    re.compile(r"(?<=://)(?P<user>[^/@:\s]*):(?P<secret>[^@/\s]+)(?=@)"),
    re.compile(
        r"(?P<user>AccountKey|SharedAccessSignature|sig|password|pwd)=(?P<secret>[^;&\s]+)", re.IGNORECASE
    ),
    re.compile(r"(?P<user>Bearer|Basic)\s+(?P<secret>[A-Za-z0-9._~+/\-]{8,}=*)", re.IGNORECASE),
)
KeyPath = tuple[str | int, ...]


class Redactor:
    """Replaces secrets by fingerprints (HMAC-SHA-256 under a key of the user's) or, without a key, by a mark.

    With the key, equal secrets have equal fingerprints, so that an auditor can see that two runs
    used the same credential; without it nothing can be told, and nothing can be guessed.
    """

    def __init__(self, key: str | None) -> None:
        self._key = key.encode() if key else None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Redactor":
        """A redactor with the key in ``ELSPETH_FINGERPRINT_KEY``, if there is one."""
        return cls(environ.get(FINGERPRINT_VARIABLE))

    def fingerprint(self, secret: str) -> str:
        """What stands for ``secret`` in the record."""
        if self._key is None:
            return REDACTED
        return "hmac-sha256:" + hmac.new(self._key, secret.encode(), sha256).hexdigest()[:32]

    def text(self, text: str) -> str:
        """``text`` without the secrets that can be told by their form."""
        for pattern in _SECRET_PARTS:
            text = pattern.sub(self._part, text)
        return text

    def tree(self, value: Any, secret_paths: Collection[KeyPath] = (), at: KeyPath = ()) -> Any:
        """A copy of JSON-like ``value`` without those at ``secret_paths`` and those of keys that say so."""
        if isinstance(value, Mapping):
            return {key: self._entry(key, item, secret_paths, (*at, key)) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.tree(item, secret_paths, (*at, index)) for index, item in enumerate(value)]
        if at in secret_paths:
            return self.fingerprint(str(value))
        return self.text(value) if isinstance(value, str) else value

    def _entry(self, key: Any, item: Any, secret_paths: Collection[KeyPath], at: KeyPath) -> Any:
        if isinstance(item, str | int | float) and item != "" and _SECRET_KEY.search(str(key)):
            return self.fingerprint(str(item))
        return self.tree(item, secret_paths, at)

    def _part(self, match: re.Match[str]) -> str:
        whole, secret = match.group(0), match.group("secret")
        return whole[: len(whole) - len(secret)] + self.fingerprint(secret)
