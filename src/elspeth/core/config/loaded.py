"""A pipeline file that was read and accepted."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from elspeth.contracts.errors import Location, Problem
from elspeth.core.config.document import Document, KeyPath
from elspeth.core.config.pipeline import PipelineSettings
from elspeth.core.config.translate import problems_of


@dataclass(frozen=True, slots=True)
class LoadedPipeline:
    """Settings with the file they came from.

    Key paths are those of the models (``("sources", "source", "options", "path")``), also where the
    file uses a short form. ``from_environment`` holds the key paths of values that contain
    environment variables: whoever records them must treat them as secrets.
    """

    settings: PipelineSettings
    path: Path
    text: str
    from_environment: frozenset[KeyPath]
    document: Document = field(repr=False, compare=False)

    def locate(self, key_path: KeyPath) -> Location:
        """Where a setting stands; for one that is not there, the nearest thing around it."""
        return self.document.locate(tuple(key_path))

    def problem(self, key_path: KeyPath, what: str, fix: str = "") -> Problem:
        """Something wrong with a setting, to be collected for a ConfigurationError."""
        return self.document.problem(tuple(key_path), what, fix)

    def is_doubtful(self, key_path: KeyPath) -> bool:
        """Whether something is wrong with this setting that was told already: say no more about it."""
        return self.document.is_doubtful(tuple(key_path))

    def problems_of(self, error: ValidationError, model: type[BaseModel], key_path: KeyPath) -> list[Problem]:
        """A pydantic error of validating the data at ``key_path`` (a plugin's options), translated."""
        return problems_of(self.document, error.errors(include_url=False), model, tuple(key_path))

    def resolved(self) -> dict[str, Any]:
        """All settings, defaults filled in, as plain JSON values.

        It contains secrets in clear: replace what ``from_environment`` names before it is stored.
        """
        return self.settings.model_dump(mode="json")
