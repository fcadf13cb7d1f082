"""Keeping secrets out of the record: what looks like one, or may be one, is replaced before it is stored."""

import hmac
import re
from collections.abc import Collection, Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import unquote

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
# What a text holds that one of these fits, in lower case: to look for it takes a tenth of the time.
_SIGNS = (("://",), ("key=", "signature=", "sig=", "password=", "pwd="), ("bearer", "basic"))
_SHORTEST = 6
KeyPath = tuple[str | int, ...]


class Redactor:
    """Replaces secrets by fingerprints (HMAC-SHA-256 under a key of the user's) or, without a key, by a mark.

    With the key, equal secrets have equal fingerprints, so that an auditor can see that two runs
    used the same credential; without it nothing can be told, and nothing can be guessed.
    """

    def __init__(self, key: str | None, known: Collection[str] = ()) -> None:
        self._key = key.encode() if key else None
        # The longest first: one secret may be a part of another.
        long_enough = {secret for secret in known if len(secret) >= _SHORTEST}
        self._known = sorted(long_enough, key=lambda secret: (-len(secret), secret))

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Redactor":
        """A redactor with the key in ``ELSPETH_FINGERPRINT_KEY``, if there is one."""
        return cls(environ.get(FINGERPRINT_VARIABLE))

    def fingerprint(self, secret: str) -> str:
        """What stands for ``secret`` in the record."""
        if self._key is None:
            return REDACTED
        return "hmac-sha256:" + hmac.new(self._key, secret.encode(), sha256).hexdigest()[:32]

    def knowing(self, value: Any, secret_paths: Collection[KeyPath] = ()) -> "Redactor":
        """One that also replaces the secrets in JSON-like ``value`` wherever they turn up in a text.

        Those are the values at ``secret_paths``, those of keys that say so, and passwords in URLs and
        the like. Values of fewer than 6 characters are not looked for: they would be found everywhere.
        """
        found = set(self._known)
        _collect(value, frozenset(secret_paths), (), found)
        made = Redactor(None, found)
        made._key = self._key
        return made

    def text(self, text: str) -> str:
        """``text`` without the secrets that are known, or can be told by their form."""
        for secret in self._known:
            if secret in text:
                text = text.replace(secret, self.fingerprint(secret))
        folded = _folded(text)
        for pattern, signs in zip(_SECRET_PARTS, _SIGNS, strict=True):
            if any(sign in folded for sign in signs):
                text = pattern.sub(self._part, text)
        return text

    def scrub(self, error: BaseException) -> None:
        """Take known secrets out of an exception's texts, and out of those of the exceptions behind it."""
        seen: set[int] = set()
        current: BaseException | None = error
        while current is not None and id(current) not in seen:
            seen.add(id(current))
            current.args = tuple(self.text(a) if isinstance(a, str) else a for a in current.args)
            for name in ("what", "fix"):
                told = getattr(current, name, None)
                if isinstance(told, str):
                    setattr(current, name, self.text(told))
            current = current.__cause__ or current.__context__

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


def _folded(text: str) -> str:
    """In lower case, as `re.IGNORECASE` sees it, to which an i without its dot is an i too."""
    if text.isascii():
        return text.lower()
    return text.casefold().replace("\u0131", "i").replace("i\u0307", "i")


def names_a_secret(name: str) -> bool:
    """Whether a key, or a variable, says by its name that its value is a secret."""
    return _SECRET_KEY.search(name) is not None


def _collect(value: Any, secret_paths: Collection[KeyPath], at: KeyPath, found: set[str]) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if isinstance(item, str) and names_a_secret(str(key)):
                found.add(item)
            _collect(item, secret_paths, (*at, key), found)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _collect(item, secret_paths, (*at, index), found)
    elif isinstance(value, str):
        if at in secret_paths:
            found.add(value)
        for pattern in _SECRET_PARTS:
            for match in pattern.finditer(value):
                found |= {match["secret"], unquote(match["secret"])}
