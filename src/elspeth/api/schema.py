"""The JSON Schema of pipeline files as this installation reads them."""

from typing import Any

from elspeth.contracts.errors import UsageError
from elspeth.core.config import pipeline_json_schema
from elspeth.plugins.registry import KINDS, PluginCatalog, load_catalog


def json_schema() -> dict[str, Any]:
    """A draft-7 schema for editors, with the options of every plugin that can be loaded here.

    The options of a plugin whose optional dependency is missing are left open. Raises PluginError if
    an installed package is broken.
    """
    catalog = load_catalog()
    return pipeline_json_schema(
        {kind: {name: _options(catalog, kind, name) for name in catalog.names(kind)} for kind in KINDS}
    )


def _options(catalog: PluginCatalog, kind: Any, name: str) -> dict[str, Any]:
    try:
        return dict(catalog.describe(kind, name).options)
    except UsageError:
        return {"type": "object"}
