"""The hooks of ELSPETH: how a package announces its plugins.

A package names a module in the entry point group ``elspeth``; that module implements one or more of
these hooks with `hookimpl`.
"""

from collections.abc import Sequence

import pluggy

from elspeth.plugins.refs import PluginRef

PROJECT = "elspeth"
ENTRY_POINT_GROUP = "elspeth"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

Announced = Sequence[PluginRef | type]
"""What a hook returns: plugin classes, or `PluginRef`s for plugins that are costly to import."""


@hookspec
def elspeth_sources() -> Announced:
    """Announce sources.

    Returns classes that satisfy `elspeth.contracts.Source`, or `PluginRef`s to such classes.
    """
    raise NotImplementedError


@hookspec
def elspeth_transforms() -> Announced:
    """Announce transforms.

    Returns classes that satisfy `elspeth.contracts.Transform`, or `PluginRef`s to such classes.
    """
    raise NotImplementedError


@hookspec
def elspeth_sinks() -> Announced:
    """Announce sinks.

    Returns classes that satisfy `elspeth.contracts.Sink`, or `PluginRef`s to such classes.
    """
    raise NotImplementedError
