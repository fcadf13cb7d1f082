"""A package for a new plugin, with a contract test that passes."""

import keyword
import re
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Literal

from elspeth.contracts.errors import UsageError
from elspeth.plugins.registry import load_catalog
from elspeth.plugins.scaffold_templates import (
    PROJECT,
    SINK,
    SINK_TEST,
    SOURCE,
    SOURCE_TEST,
    TRANSFORM,
    TRANSFORM_TEST,
)

ScaffoldKind = Literal["transform", "source", "sink"]

_TEMPLATES: Mapping[str, tuple[str, str]] = {
    "transform": (TRANSFORM, TRANSFORM_TEST),
    "source": (SOURCE, SOURCE_TEST),
    "sink": (SINK, SINK_TEST),
}
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def scaffold_plugin(name: str, directory: Path, kind: ScaffoldKind = "transform") -> list[Path]:
    """Write the package ``elspeth-NAME`` into a new folder below ``directory``; return its files.

    ``name`` is the plugin's name in pipeline files: lower-case letters, digits, underscores.

    Raises UsageError, and writes nothing, for a name that cannot be used or is taken, a kind that
    there is no template for, and a folder that is already there.
    """
    if kind not in _TEMPLATES:
        raise UsageError(
            f"there is no template for a {kind}",
            fix=f"choose one of {', '.join(_TEMPLATES)}; elspeth.testing has contract tests for all",
        )
    _check_name(name, kind)
    package = directory / f"elspeth-{name.replace('_', '-')}"
    if package.exists():
        raise UsageError(f"{package} is already there", fix="choose another name or directory")
    module, test = _TEMPLATES[kind]
    names = {
        "name": name,
        "distribution": package.name,
        "module": f"elspeth_{name}",
        "cls": "".join(part.capitalize() for part in name.split("_")),
    }
    contents = {
        "pyproject.toml": PROJECT,
        f"elspeth_{name}.py": module,
        f"test_elspeth_{name}.py": test,
    }
    package.mkdir(parents=True)
    written = []
    for file_name, template in contents.items():
        path = package / file_name
        path.write_text(Template(template).substitute(names), encoding="utf-8")
        written.append(path)
    return written


def _check_name(name: str, kind: ScaffoldKind) -> None:
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        better = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_0123456789")
        hint = f", such as '{better}'" if _NAME.fullmatch(better) and not keyword.iskeyword(better) else ""
        raise UsageError(
            f"'{name}' cannot be the name of a plugin",
            fix=f"use lower-case letters, digits and underscores, a letter first{hint}",
        )
    if name in load_catalog().names(kind):
        raise UsageError(f"there is a {kind} '{name}' already", fix="choose another name")
