"""From a pipeline file to something that can run: plugins made, graph built, every problem found."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from elspeth.api.variants import Experiments, plans_of, prepare_experiments
from elspeth.api.vault import fetch_secrets
from elspeth.contracts.errors import ConfigurationError, ElspethError, ExpressionError, Location, Problem
from elspeth.contracts.schema import PluginSchema, SchemaMode
from elspeth.core.canonical import digest
from elspeth.core.config import AggregationSettings, Draft, LoadedPipeline, TransformSettings, draft_pipeline
from elspeth.core.config.document import KeyPath
from elspeth.core.dag import Graph, build_graph, check_varied, check_without_wires, vary
from elspeth.core.expressions import Expression, compile_expression
from elspeth.core.secrets import Redactor, names_a_secret
from elspeth.engine.assembly import QUARANTINE, Assembly
from elspeth.plugins.registry import PluginCatalog, load_catalog
from elspeth.plugins.sinks.quarantine import QuarantineSink

_IN_MEMORY = "sqlite://"


@dataclass(frozen=True, slots=True)
class Assembled:
    """A pipeline file that may run, with what was made of it. ``landscape_url`` may hold a password."""

    loaded: LoadedPipeline
    assembly: Assembly
    landscape_url: str
    redactor: Redactor

    @property
    def graph(self) -> Graph:
        return self.assembly.graph


def assemble(
    path: str | os.PathLike[str],
    *,
    environ: Mapping[str, str] | None = None,
    database: str | None = None,
    resuming: bool = False,
    overrides: Mapping[str, Any] | None = None,
) -> Assembled:
    """Read, check and build a pipeline; nothing is written and no row is read beyond a preview.

    ``database`` replaces ``landscape.url``, ``overrides`` (dotted key → value) other settings.
    ``resuming``: what the sinks find in their places may be
    the run's own, so it is for their ``restore`` to judge. Raises ConfigurationError with every problem.
    """
    env = os.environ if environ is None else environ
    draft = draft_pipeline(path, environ=env, overrides=overrides, fetch=fetch_secrets)
    return assemble_draft(draft, env, database, resuming=resuming)


def assemble_draft(
    draft: Draft,
    environ: Mapping[str, str],
    database: str | None = None,
    *,
    resuming: bool = False,
    made: Mapping[str, str] | None = None,
    look_at_inputs: bool = True,
) -> Assembled:
    """The same for a file that was read already.

    ``made`` are the files that pipelines make which run before this one, each with that pipeline's path:
    as inputs they are not looked at yet. Without ``look_at_inputs`` none is.
    """
    if draft.loaded is None:
        raise ConfigurationError(draft.problems)
    url = database or draft.loaded.settings.landscape.url
    assembler = _Assembler(draft, load_catalog(), Redactor.from_environment(environ), url)
    assembler.made, assembler.look_at_inputs = made or {}, look_at_inputs
    return assembler.assemble(resuming=resuming)


class _Assembler:
    def __init__(self, draft: Draft, catalog: PluginCatalog, redactor: Redactor, url: str) -> None:
        assert draft.loaded is not None
        self._loaded = loaded = draft.loaded
        self._wired = draft.wired
        self._catalog = catalog
        # What variables with such names hold is a secret wherever it stands, in a condition for instance.
        named = loaded.document.from_environment.items()
        mapped = loaded.settings.secrets.mapping
        paths = {
            path for path, names in named if any(name in mapped or names_a_secret(name) for name in names)
        }
        self._redactor = redactor.knowing([loaded.resolved(), url], {(0, *path) for path in paths})
        self._url = url if loaded.settings.landscape.enabled else _IN_MEMORY
        self._problems = list(draft.problems)
        self._sources: dict[str, Any] = {}
        self._transforms: dict[str, Any] = {}
        self._aggregations: dict[str, Any] = {}
        self._sinks: dict[str, Any] = {}
        self._conditions: dict[str, Expression] = {}
        self._seen: dict[str, PluginSchema] = {}
        self.made: Mapping[str, str] = {}
        self.look_at_inputs = True

    def assemble(self, *, resuming: bool = False) -> Assembled:
        settings = self._loaded.settings
        self._make(self._sources, self._catalog.source, settings.sources, "sources")
        self._make(self._transforms, self._catalog.transform, _named(settings.transforms), "transforms")
        self._make(self._aggregations, self._catalog.transform, _named(settings.aggregations), "aggregations")
        self._check_kinds()
        self._make(self._sinks, self._catalog.sink, settings.sinks, "sinks")
        experiments = prepare_experiments(self._loaded, self._catalog)
        self._problems += experiments.problems
        self._compile_conditions()
        self._refuse_what_comes_later()
        graph = self._graph()
        self._check_outside(resuming=resuming)
        if self._problems or graph is None:
            raise ConfigurationError([self._without_secrets(p) for p in _in_order(self._problems)])
        envelopes = self._add_quarantine(graph)
        steps: list[TransformSettings | AggregationSettings] = [*settings.transforms, *settings.aggregations]
        for item in steps:
            plugin = self._transforms.get(item.name) or self._aggregations[item.name]
            plugin.node_id = item.name
            plugin.on_error = item.on_error or QUARANTINE
        self._tell_sinks(graph)
        graph = self._varied(graph, experiments)
        self._limit_workers()
        record = self._redactor.tree(self._loaded.resolved(), self._loaded.from_environment)
        plans, variant_configs = plans_of(experiments, record)
        assembly = Assembly(
            graph=graph,
            sources=self._sources,
            transforms=self._transforms,
            aggregations=self._aggregations,
            sinks=self._sinks,
            conditions=self._conditions,
            pipeline_settings=settings.model_copy(
                update={"coalesce": [*settings.coalesce, *experiments.joins]}
            ),
            settings=record,
            node_configs=_node_configs(record) | variant_configs,
            config_hash=digest(record).hex(),
            pipeline=str(self._loaded.path),
            envelopes=envelopes,
            experiments=plans,
            judged=experiments.judged,
        )
        return Assembled(self._loaded, assembly, self._url, self._redactor)

    def _make(
        self,
        made: dict[str, Any],
        find: Callable[[str], type[Any]],
        wanted: Mapping[str, Any],
        section: str,
    ) -> None:
        listed = section in ("transforms", "aggregations")
        for index, (name, settings) in enumerate(wanted.items()):
            at: KeyPath = (section, index if listed else name)
            if self._loaded.is_doubtful((*at, "plugin")):
                continue
            try:
                cls = find(settings.plugin)
            except ElspethError as error:
                self._problem((*at, "plugin"), error)
                continue
            try:
                made[name] = cls(dict(settings.options))
            except ValidationError as error:
                self._problems += self._loaded.problems_of(error, cls.options_model, (*at, "options"))
            except ElspethError as error:
                self._problem((*at, "options"), error)

    def _compile_conditions(self) -> None:
        for gate in self._loaded.settings.gates:
            with suppress(ExpressionError):  # which is for the graph to tell: it knows where in the text
                self._conditions[gate.name] = compile_expression(gate.condition)
        for item in self._loaded.settings.aggregations:
            if item.trigger.condition is not None:
                with suppress(ExpressionError):
                    self._conditions[item.name] = compile_expression(item.trigger.condition)

    def _check_kinds(self) -> None:
        """A transform takes single rows, an aggregation batches."""
        kinds = (
            ("transforms", self._transforms, "process", "handles batches", "write it under `aggregations`"),
            (
                "aggregations",
                self._aggregations,
                "process_batch",
                "handles rows",
                "write it under `transforms`",
            ),
        )
        for section, made, method, what, fix in kinds:
            for index, item in enumerate(getattr(self._loaded.settings, section)):
                if item.name in made and not callable(getattr(made[item.name], method, None)):
                    self._complain((section, index, "plugin"), f"{item.plugin!r} {what}", fix)

    def _refuse_what_comes_later(self) -> None:
        """A setting that would be accepted and do nothing is worse than one that is not there."""
        settings = self._loaded.settings
        export = settings.landscape.export
        wanted: list[tuple[bool, KeyPath, str, str]] = [
            (
                settings.telemetry.enabled and not _installed("opentelemetry.sdk"),
                ("telemetry", "enabled"),
                "telemetry needs OpenTelemetry, which is not installed",
                'pip install "elspeth[otel]"',
            ),
            (
                export.enabled and export.sink is not None,
                ("landscape", "export", "sink"),
                "the record can't be exported to a sink yet",
                "write `path:` in place of `sink:`",
            ),
        ]
        for is_set, at, what, fix in wanted:
            if is_set:
                self._complain(at, what, fix)

    def _tell_sinks(self, graph: Graph) -> None:
        """So that a sink to which no row comes can still have its columns."""
        for name, sink in self._sinks.items():
            if name in graph.arriving:
                sink.expected_schema = graph.arriving[name]

    def _limit_workers(self) -> None:
        """``concurrency.max_workers`` is for the transforms that have no ``pool_size`` in the file."""
        concurrency = self._loaded.settings.concurrency
        if "max_workers" not in concurrency.model_fields_set:
            return
        for plugin in self._transforms.values():
            if hasattr(plugin, "pool_size") and "pool_size" not in plugin.options.model_fields_set:
                plugin.pool_size = concurrency.max_workers

    def _varied(self, graph: Graph, experiments: Experiments) -> Graph:
        """The graph with the variants in it, and their plugins among the transforms."""
        if not experiments.variations:
            return graph
        graph = vary(graph, experiments.variations)
        for node_id, plugin in experiments.plugins.items():
            plugin.on_error = self._transforms[node_id.partition("@")[0]].on_error
        self._transforms |= experiments.plugins | experiments.judges
        self._conditions |= experiments.gates
        for name in experiments.replaced():
            del self._transforms[name]
        for variation in experiments.variations:
            if variation.shadows:
                self._sinks[variation.shadow_sink] = self._catalog.sink("null")({})
        check_varied(self._loaded, graph, self, self._conditions | experiments.conditions)
        return graph

    def _graph(self) -> Graph | None:
        try:
            if self._wired:
                return build_graph(self._loaded, self)
            check_without_wires(self._loaded)
            return None
        except ConfigurationError as error:
            known = {(problem.location, problem.what) for problem in self._problems}
            self._problems += [p for p in error.problems if (p.location, p.what) not in known]
            return None

    # What `build_graph` asks of the plugins. A plugin that could not be made promises nothing.

    def source_schema(self, name: str) -> PluginSchema:
        """What the rows of a source look like: as declared, or as the head of an input with columns shows."""
        source = self._sources.get(name)
        if source is None:
            return PluginSchema()
        declared: PluginSchema = source.output_schema
        if declared.mode is SchemaMode.FIXED or self._is_to_be_made(source):
            return declared
        if name not in self._seen:
            try:
                seen: PluginSchema = source.preview_schema()
            except (ElspethError, OSError):  # which is for `_check_outside` to tell
                seen = declared
            self._seen[name] = seen if seen.mode is SchemaMode.FIXED else declared
        return self._seen[name]

    def transform(self, name: str) -> Any:
        """The plugin of a transform or aggregation, None where it could not be made."""
        return self._transforms.get(name) or self._aggregations.get(name)

    def sink_schema(self, name: str) -> PluginSchema:
        """What a sink needs."""
        sink = self._sinks.get(name)
        return PluginSchema() if sink is None else sink.input_schema

    def _check_outside(self, *, resuming: bool) -> None:
        """Look at the files and databases that the plugins name, without changing anything."""
        taken = {str(self._loaded.path.resolve()): "and that is this pipeline file"}
        taken |= {file: f"and so does {pipeline}, which runs before" for file, pipeline in self.made.items()}
        for name, source in self._sources.items():
            for what in () if self._is_to_be_made(source) else source.check():
                self._complain(("sources", name, "options", "path"), what)
            path = getattr(source, "path", None)
            if isinstance(path, Path):
                taken[str(path.resolve())] = f"the input of source {name!r}, which reads it"
        self._check_landscape()
        database = self._url.partition("sqlite:///")[2]
        if database:
            taken[str(Path(database).resolve())] = "and so does the landscape"
        for name, sink in self._sinks.items():
            at = ("sinks", name, "options", "path")
            for what in () if resuming else sink.check():
                self._complain(at, what)
            for target in sink.targets():
                # Links may lead two names to one file.
                file = target if "://" in target else str(Path(target).resolve())
                if file in taken:
                    what = f"sink {name!r} would write to {target}, {taken[file]}"
                    self._complain(at, what, "give each its own path")
                else:
                    taken[file] = f"and so does sink {name!r}"

    def _is_to_be_made(self, source: Any) -> bool:
        path = getattr(source, "path", None)
        return isinstance(path, Path) and (not self.look_at_inputs or str(path.resolve()) in self.made)

    def _check_landscape(self) -> None:
        """Only what the url itself shows: to open the database takes longer than all the rest."""
        kind = re.split("[+:]", self._loaded.settings.landscape.url, maxsplit=1)[0]
        if kind not in {"sqlite", "postgresql"}:
            fix = "write sqlite:///path or postgresql://user@host/db"
            self._complain(("landscape", "url"), f"a landscape can't live in {kind!r}", fix)

    def _add_quarantine(self, graph: Graph) -> frozenset[str]:
        if QUARANTINE in self._sinks or all(node.node_id != QUARANTINE for node in graph.nodes):
            return frozenset()
        database = self._url.partition("sqlite:///")[2]
        directory = Path(database).parent if database else Path(".elspeth")
        self._sinks[QUARANTINE] = QuarantineSink(directory)
        return frozenset({QUARANTINE})

    def _problem(self, at: KeyPath, error: ElspethError) -> None:
        self._complain(at, error.what, error.fix)

    def _without_secrets(self, problem: Problem) -> Problem:
        """Drivers and plugins may have quoted what they were given."""
        clean = self._redactor.text
        return replace(problem, what=clean(problem.what), fix=clean(problem.fix))

    def _complain(self, at: KeyPath, what: str, fix: str = "") -> None:
        if not self._loaded.is_doubtful(at):
            self._problems.append(self._loaded.problem(at, what, fix))


def _installed(module: str) -> bool:
    with suppress(ModuleNotFoundError):  # which is for the package that it would be in
        return find_spec(module) is not None
    return False


def _named(items: Sequence[Any]) -> dict[str, Any]:
    return {item.name: item for item in items}


def _node_configs(record: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Node id → its part of the recorded settings."""
    found: dict[str, Mapping[str, Any]] = {}
    for section in ("sources", "queues", "sinks"):
        found |= record.get(section) or {}
    for section in ("transforms", "gates", "aggregations", "coalesce"):
        found |= {item["name"]: item for item in record.get(section) or ()}
    return found


def _in_order(problems: list[Problem]) -> list[Problem]:
    """By position, what the file did not say last."""

    def position(problem: Problem) -> tuple[bool, int, int]:
        where = problem.location or Location("")
        return (where.line == 0, where.line, where.column)

    return sorted(problems, key=position)
