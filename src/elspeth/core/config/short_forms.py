"""A file may say things shorter than the models do."""

from elspeth.core.config.document import Document
from elspeth.core.config.pipeline import ONLY_SOURCE


def adopt_model_paths(document: Document) -> None:
    """Rewrite data and key paths in the terms of the models: no short forms, options hoisted."""
    data = document.data
    for short, long, first in (("source", "sources", ONLY_SOURCE), ("experiment", "experiments", 0)):
        if short in data and long not in data:
            document.move((short,), (long, first))
            document.places[(long,)] = document.places[(long, first)]
            value = data.pop(short)
            data[long] = [value] if first == 0 else {first: value}
    sources = data.get("sources")
    for name, source in sources.items() if isinstance(sources, dict) else ():
        key = "on_validation_failure"
        inside = source.get("options") if isinstance(source, dict) else None
        if isinstance(inside, dict) and key in inside and key not in source:
            document.move(("sources", name, "options", key), ("sources", name, key))
            source[key] = inside.pop(key)
