"""From a file to settings, or to everything that is wrong with it at once."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from elspeth.contracts.errors import ConfigurationError, Location, Problem
from elspeth.core.config.checks import cross_checks
from elspeth.core.config.document import Document, construct
from elspeth.core.config.loaded import LoadedPipeline
from elspeth.core.config.overrides import apply_environment, apply_overrides
from elspeth.core.config.pipeline import PipelineSettings
from elspeth.core.config.salvage import Salvage
from elspeth.core.config.secret_sources import Fetch, with_secrets
from elspeth.core.config.short_forms import adopt_model_paths
from elspeth.core.config.translate import problems_of
from elspeth.core.config.yaml_errors import BadYaml
from elspeth.core.config.yaml_tree import MAX_BYTES, compose

MINIMAL = "see `elspeth init` for a small pipeline to begin with"


@dataclass(frozen=True, slots=True)
class Draft:
    """A pipeline file as far as it can be understood, and everything that is wrong with it so far.

    With problems, ``loaded`` is only good for finding more of them (see `salvage`), or None if
    nothing can be made of the file; ``wired`` says whether its wiring is what the author wrote.
    """

    loaded: LoadedPipeline | None
    problems: tuple[Problem, ...] = ()
    wired: bool = True


def load_pipeline(
    path: str | os.PathLike[str],
    *,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    fetch: Fetch | None = None,
) -> LoadedPipeline:
    """Read, expand, override and validate a pipeline file.

    ``environ`` replaces the process's environment, ``overrides`` maps dotted keys to values and
    wins over both. Raises ConfigurationError with every problem, in file order; only text that is
    not YAML ends the search at its first problem.
    """
    draft = draft_pipeline(path, environ=environ, overrides=overrides, fetch=fetch)
    if draft.problems or draft.loaded is None:
        raise ConfigurationError(draft.problems)
    return draft.loaded


def draft_pipeline(
    path: str | os.PathLike[str],
    *,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    fetch: Fetch | None = None,
) -> Draft:
    """The same for those who will look for problems of other kinds too.

    ``fetch`` gets secrets from a vault; without it their variables are those of the environment.
    Raises ConfigurationError only for what is not a mapping in YAML.
    """
    environment = os.environ if environ is None else environ
    file = Path(path)
    document = read_document(file, environment)
    document = with_secrets(file, document, environment, read_document, fetch)
    apply_environment(document, environment)
    apply_overrides(document, overrides or {})
    adopt_model_paths(document)
    errors: list[ErrorDetails] = []
    settings: PipelineSettings | None = None
    try:
        settings = PipelineSettings.model_validate(document.data)
    except ValidationError as error:
        errors = error.errors(include_url=False)
    document.problems += problems_of(document, errors, PipelineSettings)
    document.problems += cross_checks(document, document.data)
    wired = True
    if document.problems:
        salvage = Salvage(document)
        settings = salvage.settings(errors)
        document.problems += salvage.problems
        wired = salvage.wired
    problems = tuple(_in_file_order(document.problems))
    if settings is None:
        return Draft(None, problems, wired)
    origins = frozenset(document.from_environment)
    return Draft(LoadedPipeline(settings, file, document.text, origins, document), problems, wired)


def read_document(file: Path, environ: Mapping[str, str]) -> Document:
    """The data of a YAML file with positions. Raises ConfigurationError if there is no mapping in it."""
    text = _read_text(file)
    document = Document(str(file), text)
    try:
        root = compose(text)
    except BadYaml as bad:
        problem = document.problem_at(document.location(bad.mark), bad.what, bad.fix)
        raise ConfigurationError([problem]) from None
    if root is None:
        raise _refused(file, "the file is empty", MINIMAL)
    construct(document, root, environ)
    if not isinstance(document.data, dict):
        what = "a pipeline file must be a mapping of keys to values"
        if document.data is None:
            raise _refused(file, "the file is empty", MINIMAL)
        raise ConfigurationError([document.problem((), what, "begin with `source:`")])
    return document


def _read_text(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise _refused(file, "there is no such file", _nearby(file)) from None
    except IsADirectoryError:
        raise _refused(file, "this is a directory, not a pipeline file", _inside(file)) from None
    except PermissionError:
        raise _refused(file, "this file may not be read", "change its permissions") from None
    except OSError as error:
        raise _refused(file, f"this file cannot be read: {error.strerror}", "") from None
    if len(data) > MAX_BYTES:
        raise _refused(
            file, "the file is larger than 10 MB", "a pipeline is a few hundred lines; is it data?"
        )
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        raise _refused(file, "the file is UTF-16, not UTF-8", "save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        what = f"this line is not UTF-8 (byte 0x{data[error.start]:02x})"
        raise ConfigurationError(
            [Problem(what, "save the file as UTF-8", Location(str(file), line))]
        ) from None


def _refused(file: Path, what: str, fix: str) -> ConfigurationError:
    return ConfigurationError([Problem(what, fix, Location(str(file)))])


def _nearby(file: Path) -> str:
    candidates = _yaml_files(file.parent)
    return (
        f"here are: {', '.join(candidates)}" if candidates else "check the path, or begin with `elspeth init`"
    )


def _inside(directory: Path) -> str:
    candidates = _yaml_files(directory)
    return f"name a file in it: {', '.join(candidates)}" if candidates else "name a file"


def _yaml_files(directory: Path) -> list[str]:
    try:
        return sorted(str(found) for suffix in ("yaml", "yml") for found in directory.glob(f"*.{suffix}"))[:5]
    except OSError:
        return []


def _in_file_order(problems: list[Problem]) -> list[Problem]:
    """By position, what the file did not say last; a problem that two aliases share comes once."""

    def position(problem: Problem) -> tuple[bool, int, int]:
        where = problem.location or Location("")
        return (where.line == 0, where.line, where.column)

    unique = {(problem.location, problem.what): problem for problem in problems}
    return sorted(unique.values(), key=position)
