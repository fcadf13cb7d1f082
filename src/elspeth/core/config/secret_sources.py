"""``secrets``: variables whose values are kept under other names, or in a vault."""

from collections import ChainMap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from elspeth.contracts.errors import ElspethError
from elspeth.core.config.document import Document, KeyPath
from elspeth.core.config.runtime import SecretsSettings

Fetch = Callable[[SecretsSettings, Mapping[str, str]], Mapping[str, str | ElspethError]]
"""Gets secrets from a vault: for each variable → name in the vault, its value, or why there is none."""

Read = Callable[[Path, Mapping[str, str]], Document]
_SOURCE: KeyPath = ("secrets", "source")
_UNKNOWN = "[secret]"


def with_secrets(
    file: Path, document: Document, environ: Mapping[str, str], read: Read, fetch: Fetch | None
) -> Document:
    """The document, read again with the variables that its ``secrets.mapping`` defines, if it does.

    Only those that the file refers to are fetched. A secret that can't be had is a problem of its line in
    the mapping.
    """
    settings = _settings(document)
    if settings is None or not settings.mapping:
        return document
    wanted = {name: key for name, key in settings.mapping.items() if f"${{{name}" in document.text}
    complaints: list[tuple[KeyPath, str, str]] = []
    if settings.source == "env":
        values: Mapping[str, str | ElspethError] = {
            name: environ[key]
            if key in environ
            else ElspethError(f"the environment variable {key} is not set")
            for name, key in wanted.items()
        }
    elif fetch is None or not wanted:
        values = {}
    else:
        try:
            values = fetch(settings, wanted)
        except ElspethError as error:
            complaints.append((_SOURCE, error.what, error.fix))
            values = dict.fromkeys(wanted, _UNKNOWN)
    for name, value in values.items():
        if isinstance(value, ElspethError):
            complaints.append((("secrets", "mapping", name), value.what, value.fix))
    known = {name: value if isinstance(value, str) else _UNKNOWN for name, value in values.items()}
    again = read(file, ChainMap(known, dict(environ)))
    again.problems += [again.problem(*complaint) for complaint in complaints]
    return again


def _settings(document: Document) -> SecretsSettings | None:
    """The file's ``secrets``, None if there are none or something is wrong with them, which others tell."""
    section: Any = document.data.get("secrets")
    if not isinstance(section, dict):
        return None
    try:
        return SecretsSettings.model_validate(section)
    except ValidationError:
        return None
