"""What a transform's changes mean for the promises about its rows."""

from collections.abc import Sequence
from dataclasses import replace

from elspeth.contracts.schema import FieldSpec, PluginSchema


def with_fields(
    incoming: PluginSchema, specs: Sequence[FieldSpec], *, without: frozenset[str] = frozenset()
) -> PluginSchema:
    """``incoming`` with ``specs`` in the place of what it said of them before, less ``without``.

    A field that is not declared yet comes last. Demands of the incoming end are not passed on.
    """
    new = {spec.name: spec for spec in specs}
    gone = without - new.keys()
    # A field that may be empty now is still there if it was sure to be there before.
    still_there = {spec.name for spec in specs if not spec.required} & incoming.promises
    kept = tuple(new.pop(old.name, old) for old in incoming.fields if old.name not in gone)
    return replace(
        incoming,
        fields=kept + tuple(new.values()),
        guaranteed=(incoming.guaranteed | still_there) - gone,
        required=frozenset(),
    )
