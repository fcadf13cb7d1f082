"""The installed plugins, and a start for one's own."""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from elspeth.contracts.errors import NotFoundError
from elspeth.plugins.registry import KINDS, Kind, PluginDescription, load_catalog
from elspeth.plugins.scaffold import ScaffoldKind, scaffold_plugin

__all__ = ["KINDS", "PluginDescription", "PluginSummary", "inspect_plugin", "list_plugins", "new_plugin"]


@dataclass(frozen=True, slots=True)
class PluginSummary:
    """One installed plugin, by what can be told without loading it."""

    kind: str
    name: str
    summary: str


def list_plugins(kind: str | None = None) -> list[PluginSummary]:
    """All plugins (of a kind) by kind and name; loads none of them.

    Raises NotFoundError for a kind that there is not, PluginError if an installed package is broken.
    """
    catalog = load_catalog()
    kinds = KINDS if kind is None else (_kind(kind),)
    return [
        PluginSummary(one, name, catalog.summary(one, name)) for one in kinds for name in catalog.names(one)
    ]


def inspect_plugin(kind: str, name: str) -> PluginDescription:
    """All that can be told of one plugin, its options as JSON Schema included; loads it.

    Raises NotFoundError for an unknown kind or name, UsageError where an optional dependency is missing.
    """
    return load_catalog().describe(_kind(kind), name)


def new_plugin(name: str, directory: Path, kind: str = "transform") -> list[Path]:
    """Write the package ``elspeth-NAME`` below ``directory`` and return its files.

    Raises UsageError, and writes nothing, for a name or kind that can't be used and where the
    folder is there already.
    """
    return scaffold_plugin(name, directory, cast(ScaffoldKind, kind))


def _kind(kind: str) -> Kind:
    if kind not in KINDS:
        singular = kind.removesuffix("s")
        fix = f"did you mean {singular}?" if singular in KINDS else f"the kinds are {', '.join(KINDS)}"
        raise NotFoundError(f"there are no plugins of kind {kind!r}", fix=fix)
    return kind
