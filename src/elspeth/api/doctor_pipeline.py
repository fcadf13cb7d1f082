"""Can the services that a pipeline names be reached, and may we do there what the pipeline will do?"""

import os
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from elspeth.api.anchors import is_url, probe_anchor
from elspeth.api.doctor import Check, Verdict
from elspeth.api.vault import fetch_secrets
from elspeth.contracts.errors import ElspethError
from elspeth.core.config import load_pipeline
from elspeth.plugins.registry import PluginCatalog, load_catalog


def examine_pipeline(path: str | os.PathLike[str], environ: Mapping[str, str] | None = None) -> list[Check]:
    """Ask each source and sink that has a ``probe()`` whether it could work. No data is read or written.

    What can't be reached or is refused is a `Check`. Raises ConfigurationError if the file can't be read.
    """
    settings = load_pipeline(path, environ=environ, fetch=fetch_secrets).settings
    catalog = load_catalog()
    return [
        *_probe(catalog, "source", settings.sources),
        *_probe(catalog, "sink", settings.sinks),
        *_probe_anchor(settings.landscape.anchor),
    ]


def _probe_anchor(setting: str | None) -> Iterator[Check]:
    if setting is None or not is_url(setting):
        return
    try:
        yield Check("landscape.anchor", Verdict.OK, probe_anchor(setting))
    except ElspethError as error:
        yield Check("landscape.anchor", Verdict.FAIL, error.what, error.fix)


def _probe(catalog: PluginCatalog, kind: Any, nodes: Mapping[str, Any]) -> Iterator[Check]:
    for name, node in nodes.items():
        what = f"{kind} {name}"
        try:
            plugin = catalog.load(kind, node.plugin)(dict(node.options))
            probe = getattr(plugin, "probe", None)
            if probe is not None:
                yield Check(what, Verdict.OK, probe())
        except ValidationError:
            yield Check(what, Verdict.FAIL, "its options are wrong", "elspeth validate tells which")
        except ElspethError as error:
            yield Check(what, Verdict.FAIL, error.what, error.fix)
