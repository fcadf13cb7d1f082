"""``depends_on``: the pipelines that run before one, found and checked together with it."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from elspeth.api.assemble import Assembled, assemble, assemble_draft
from elspeth.api.vault import fetch_secrets
from elspeth.contracts.enums import RunMode
from elspeth.contracts.errors import ConfigurationError, Problem
from elspeth.core.config import Draft, draft_pipeline


@dataclass(frozen=True, slots=True)
class Prepared:
    """A pipeline that may run, with all that must run before it.

    ``key`` is its file, whatever it was called by; ``names`` are what it depends on, as its file says →
    key. ``again`` assembles it anew, when what it depends on has run.
    """

    key: str
    assembled: Assembled
    again: Callable[[], Assembled]
    before: tuple["Prepared", ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)


def prepare(
    path: str | os.PathLike[str],
    *,
    environ: Mapping[str, str] | None = None,
    database: str | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Prepared:
    """Read and check a pipeline and all that it depends on; nothing is written.

    ``database`` holds for all of them, ``overrides`` for the pipeline itself. A replay runs nothing before
    it. Raises ConfigurationError with every problem of every file.
    """
    return _prepare(Path(path), environ, database, overrides, ())


def in_order(prepared: Prepared) -> Iterator[Prepared]:
    """Everything that has to run, each once, what something depends on before it."""
    yield from {one.key: one for one in _walk(prepared)}.values()


def _walk(prepared: Prepared) -> Iterator[Prepared]:
    for one in prepared.before:
        yield from _walk(one)
    yield prepared


def _prepare(
    path: Path,
    environ: Mapping[str, str] | None,
    database: str | None,
    overrides: Mapping[str, Any] | None,
    above: tuple[str, ...],
) -> Prepared:
    env = os.environ if environ is None else environ
    draft = draft_pipeline(path, environ=env, overrides=overrides, fetch=fetch_secrets)
    above = (*above, str(path))
    before: dict[str, Prepared] = {}
    problems: list[Problem] = []
    for index, name in enumerate(_wanted(draft)):
        assert draft.loaded is not None
        wrong = _wrong(Path(name), above)
        if wrong is not None:
            problems.append(draft.loaded.problem(("depends_on", index), *wrong))
            continue
        try:
            before[name] = _prepare(Path(name), environ, database, None, above)
        except ConfigurationError as error:
            problems += error.problems
    made = {file: pipeline for one in before.values() for file, pipeline in _makes(one).items()}
    again = partial(assemble, path, environ=environ, database=database, overrides=overrides)
    try:
        # Of one with a problem nobody knows what it would make.
        assembled = assemble_draft(draft, env, database, made=made, look_at_inputs=not problems)
    except ConfigurationError as error:
        raise ConfigurationError([*error.problems, *dict.fromkeys(problems)]) from None
    if problems:
        raise ConfigurationError(list(dict.fromkeys(problems)))
    names = {name: one.key for name, one in before.items()}
    return Prepared(str(path.resolve()), assembled, again, tuple(before.values()), names)


def _wanted(draft: Draft) -> list[str]:
    settings = None if draft.loaded is None else draft.loaded.settings
    return [] if settings is None or settings.run_mode is RunMode.REPLAY else settings.depends_on


def _wrong(path: Path, above: tuple[str, ...]) -> tuple[str, str] | None:
    """What keeps a pipeline from running before the last of ``above``, and what to do about it."""
    if not path.is_file():
        fix = f"paths are relative to the working directory ({Path.cwd()})"
        return f"there is no pipeline file {path}", fix
    files = [Path(one).resolve() for one in above]
    if path.resolve() in files:
        circle = [*above[files.index(path.resolve()) :], str(path)]
        return f"pipelines depend on each other in a circle: {' → '.join(circle)}", "take one of them out"
    return None


def _makes(prepared: Prepared) -> dict[str, str]:
    """The files that a pipeline, or one before it, makes → that pipeline."""
    found = {
        str(Path(target).resolve()): prepared.assembled.assembly.pipeline
        for sink in prepared.assembled.assembly.sinks.values()
        for target in sink.targets()
        if "://" not in target
    }
    for one in prepared.before:
        found |= _makes(one)
    return found
