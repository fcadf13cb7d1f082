"""How a plugin is announced before its module is loaded."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PluginRef:
    """A plugin that is there, but not loaded yet.

    ``target`` is ``"package.module:Class"``; the module is imported when the plugin is first asked
    for, so that listing plugins costs nothing. ``summary`` is one line. ``extra`` names the
    optional dependency group of the distribution that the module needs (``"parquet"``).
    """

    name: str
    target: str
    summary: str
    extra: str = ""
