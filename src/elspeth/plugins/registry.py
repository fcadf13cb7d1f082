"""Which plugins there are, and how to get at them."""

import difflib
import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, get_args

import pluggy

from elspeth.contracts.errors import NotFoundError, PluginError, UsageError
from elspeth.plugins import core, hookspecs
from elspeth.plugins.refs import PluginRef

Kind = Literal["source", "transform", "sink"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class PluginDescription:
    """All that can be told of a plugin. ``options`` is the JSON Schema of its options."""

    kind: Kind
    name: str
    version: str
    determinism: str
    summary: str
    options: Mapping[str, Any]
    module: str
    distribution: str


@dataclass(frozen=True, slots=True)
class _Entry:
    """A plugin as announced: a class, or where to find it; and by whom."""

    plugin: PluginRef | type
    distribution: str


class PluginCatalog:
    """The installed plugins by kind and name. Modules are loaded when a plugin is first asked for."""

    def __init__(self, entries: Mapping[Kind, Mapping[str, _Entry]]) -> None:
        self._entries = entries

    def source(self, name: str) -> type[Any]:
        """The class of a source. Raises what `load` raises."""
        return self.load("source", name)

    def transform(self, name: str) -> type[Any]:
        """The class of a transform. Raises what `load` raises."""
        return self.load("transform", name)

    def sink(self, name: str) -> type[Any]:
        """The class of a sink. Raises what `load` raises."""
        return self.load("sink", name)

    def names(self, kind: Kind) -> tuple[str, ...]:
        """The names of all plugins of a kind, sorted; loads nothing."""
        return tuple(sorted(self._kind(kind)))

    def summary(self, kind: Kind, name: str) -> str:
        """What a plugin does, in one line; loads nothing. Raises NotFoundError."""
        return _summary(self._entry(kind, name).plugin)

    def load(self, kind: Kind, name: str) -> type[Any]:
        """The plugin's class; loads its module.

        Raises NotFoundError for an unknown name (with what may have been meant), UsageError
        where an optional dependency is not installed (with the command that installs it), and
        PluginError where the announced class is not there.
        """
        entry = self._entry(kind, name)
        if isinstance(entry.plugin, PluginRef):
            return _import(kind, entry.plugin, entry.distribution)
        return entry.plugin

    def describe(self, kind: Kind, name: str) -> PluginDescription:
        """All that can be told of a plugin; loads its module and raises what `load` raises."""
        entry = self._entry(kind, name)
        cls = self.load(kind, name)
        return PluginDescription(
            kind=kind,
            name=name,
            version=cls.plugin_version,
            determinism=str(cls.determinism),
            summary=_summary(entry.plugin),
            options=cls.options_model.model_json_schema(),
            module=cls.__module__,
            distribution=entry.distribution,
        )

    def _kind(self, kind: Kind) -> Mapping[str, _Entry]:
        if kind not in self._entries:
            raise NotFoundError(
                f"there are no plugins of kind '{kind}'", fix=f"the kinds are {', '.join(KINDS)}"
            )
        return self._entries[kind]

    def _entry(self, kind: Kind, name: str) -> _Entry:
        known = self._kind(kind)
        if name in known:
            return known[name]
        raise NotFoundError(f"there is no {kind} plugin '{name}'", fix=self._advice(kind, name))

    def _advice(self, kind: Kind, name: str) -> str:
        close = difflib.get_close_matches(name.lower(), self._kind(kind), n=1, cutoff=0.6)
        if close:
            return f"did you mean '{close[0]}'?"
        elsewhere = [other for other in KINDS if other != kind and name in self._kind(other)]
        if elsewhere:
            return f"'{name}' is a {elsewhere[0]}; the {kind}s are {', '.join(self.names(kind))}"
        return f"the installed {kind}s are {', '.join(self.names(kind))}"


def load_catalog(extra_plugins: Sequence[tuple[str, object]] = ()) -> PluginCatalog:
    """Every installed plugin: those of the core, and those of entry points in the group ``elspeth``.

    ``extra_plugins`` are hook modules (or objects) that are not installed, each with the name to
    use for it in messages. Costs some milliseconds; no plugin's own module is loaded.

    Raises PluginError if a package's hook module cannot be imported, announces something that is
    no plugin, or a name that is already taken.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(core, name="elspeth")
    for entry_point in entry_points(group=hookspecs.ENTRY_POINT_GROUP):
        _register(manager, _load_hooks(entry_point), _distribution(entry_point))
    for distribution, hooks in extra_plugins:
        _register(manager, hooks, distribution)
    return PluginCatalog({kind: _collect(manager, kind) for kind in KINDS})


def _load_hooks(entry_point: EntryPoint) -> object:
    try:
        return entry_point.load()
    except Exception as error:  # a foreign module may raise anything at import
        owner = _distribution(entry_point)
        raise PluginError(
            f"the plugin package '{owner}' cannot be loaded: "
            f"importing '{entry_point.value}' raised {type(error).__name__}: {error}",
            fix=f"repair or remove it (pip uninstall {owner})",
        ) from error


def _distribution(entry_point: EntryPoint) -> str:
    return entry_point.dist.name if entry_point.dist else entry_point.value


def _register(manager: pluggy.PluginManager, hooks: object, distribution: str) -> None:
    """Several hook modules of one distribution are told apart by a number behind the name."""
    name, number = distribution, 2
    while manager.has_plugin(name):
        name, number = f"{distribution}#{number}", number + 1
    try:
        manager.register(hooks, name=name)
        manager.check_pending()
    except (pluggy.PluginValidationError, ValueError) as error:
        raise PluginError(
            f"the plugin package '{distribution}' does not fit: {error}",
            fix="its hooks must be those of elspeth.plugins.hookspecs",
        ) from error


def _collect(manager: pluggy.PluginManager, kind: Kind) -> dict[str, _Entry]:
    hook = getattr(manager.hook, f"elspeth_{kind}s")
    found: dict[str, _Entry] = {}
    for impl in hook.get_hookimpls():
        distribution = impl.plugin_name.partition("#")[0]
        for name, plugin in _named(impl.function(), kind, distribution):
            if name in found:
                raise PluginError(
                    f"there are two {kind} plugins '{name}': "
                    f"one of '{found[name].distribution}', one of '{distribution}'",
                    fix="uninstall one of the two packages, or rename its plugin",
                )
            found[name] = _Entry(plugin, distribution)
    return found


def _named(
    announced: Iterable[PluginRef | type], kind: Kind, distribution: str
) -> Iterable[tuple[str, PluginRef | type]]:
    for plugin in announced:
        name = getattr(plugin, "name", None)
        if not isinstance(plugin, PluginRef | type) or not isinstance(name, str) or not name:
            raise PluginError(
                f"'{distribution}' announces {plugin!r} as a {kind}, which is no plugin",
                fix="announce a class with a `name`, or a PluginRef",
            )
        yield name, plugin


def _import(kind: Kind, ref: PluginRef, distribution: str) -> type[Any]:
    module_name, _, class_name = ref.target.partition(":")
    try:
        cls = getattr(import_module(module_name), class_name)
    except ModuleNotFoundError as error:
        missing = error.name or "a module"
        if ref.extra and not f"{module_name}.".startswith(f"{missing}."):
            raise UsageError(
                f"the {kind} '{ref.name}' needs '{missing}', which is not installed",
                fix=f'pip install "{distribution}[{ref.extra}]"',
            ) from error
        raise PluginError(
            f"the {kind} '{ref.name}' of '{distribution}' cannot be loaded: no module '{missing}'"
        ) from error
    except AttributeError as error:
        raise PluginError(f"the {kind} '{ref.name}' of '{distribution}' cannot be loaded: {error}") from error
    if not isinstance(cls, type):
        raise PluginError(f"the {kind} '{ref.name}' of '{distribution}' is no class: {ref.target}")
    return cls


def _summary(plugin: PluginRef | type) -> str:
    if isinstance(plugin, PluginRef):
        return plugin.summary
    return (inspect.getdoc(plugin) or "").partition("\n")[0]
