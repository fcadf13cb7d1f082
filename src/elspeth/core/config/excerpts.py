"""The line of a file that a message shows, without the secrets that may stand in it."""

import re

MAX_WIDTH = 160

_SECRET_VALUE = re.compile(
    r"""(?ix)
    (?P<key> \b [\w.-]*
        (?: password | passwd | secret | token | credentials? | authorization | connection_?string | sas_?url
          | (?: api | access | account | private | signing ) _? key )
        ["']? \s* : \s+ )
    (?P<value> "[^"]*" | '[^']*' | [^\s,}\]\#] [^,}\]]* )"""
)
_URL_PASSWORD = re.compile(r"(?P<key>\w://[^\s/@:]*:)(?P<value>[^\s@]+)(?=@)")


def excerpt(line: str, column: int = 0) -> str:
    """``line`` for display: same columns, secrets as asterisks, cut behind the interesting part.

    References to variables (``${API_KEY}``) stay readable.
    """
    shown = line.rstrip().replace("\t", " ")
    shown = _URL_PASSWORD.sub(_masked, _SECRET_VALUE.sub(_masked, shown))
    limit = max(MAX_WIDTH, column + 40)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def _masked(match: re.Match[str]) -> str:
    value = match["value"]
    if "${" in value:
        return match[0]
    return match["key"] + "*" * len(value)
