"""Experiments of a pipeline file made ready: what each varies, the variants' plugins, every problem."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from elspeth.contracts.errors import ElspethError, ExpressionError, Problem
from elspeth.contracts.judging import WINNER
from elspeth.contracts.schema import OBSERVED
from elspeth.core.canonical import digest
from elspeth.core.config import (
    HASH_VERSION,
    CoalesceSettings,
    ExperimentConfig,
    KeyPath,
    LoadedPipeline,
    TransformSettings,
)
from elspeth.core.dag import EXPERIMENT, Judging, Variation
from elspeth.core.expressions import Expression, compile_expression
from elspeth.engine.executors.experiment import ExperimentPlan, overrides_json
from elspeth.plugins.registry import PluginCatalog

_OF_NO_MATTER = frozenset({"budget", "api_key"})


@dataclass(slots=True)
class Experiments:
    """``plugins`` are those of the variants, by node; ``units`` the expressions, by the assigning node.

    ``judges`` are the plugins that compare answers, by node.
    """

    variations: list[Variation] = field(default_factory=list)
    plugins: dict[str, Any] = field(default_factory=dict)
    judges: dict[str, Any] = field(default_factory=dict)
    units: dict[str, Expression | None] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @property
    def conditions(self) -> dict[str, Expression]:
        """The unit expressions as conditions of their nodes: what they need is checked as for gates."""
        return {node: unit or compile_expression("True") for node, unit in self.units.items()}

    @property
    def gates(self) -> dict[str, Expression]:
        """The conditions of the gates that judges need."""
        return {
            node: compile_expression(condition)
            for judging in self._judgings()
            for node, condition in judging.conditions.items()
        }

    @property
    def joins(self) -> list[CoalesceSettings]:
        """The joins that judges need."""
        return [pair.settings for judging in self._judgings() for pair in judging.pairs]

    @property
    def judged(self) -> dict[str, tuple[str, str]]:
        """Nodes whose outcomes are judgements: the experiment's assigning node, and the variant."""
        return {
            node: (f"{EXPERIMENT}:{judging.experiment.experiment_id}", pair.variant_id)
            for judging in self._judgings()
            for pair in judging.pairs
            for node in (pair.whole, pair.judge)
        }

    def _judgings(self) -> list[Judging]:
        return [one.judging for one in self.variations if one.judging is not None]

    def replaced(self) -> set[str]:
        """The transforms that are not in the graph any more: every row meets a variant."""
        return {variation.transform for variation in self.variations if not variation.partial}


def prepare_experiments(loaded: LoadedPipeline, catalog: PluginCatalog) -> Experiments:
    """Make ready what the file says of experiments. Disabled ones are checked, and left out."""
    return _Preparation(loaded, catalog).prepare()


class _Preparation:
    def __init__(self, loaded: LoadedPipeline, catalog: PluginCatalog) -> None:
        self._loaded = loaded
        self._catalog = catalog
        self._made = Experiments()
        self._varied: dict[str, str] = {}

    def prepare(self) -> Experiments:
        if not self._loaded.settings.experiments:
            return self._made
        # Statistics are an extra: a run without experiments does not load them.
        from elspeth.experiments.metrics import compile_metrics  # noqa: PLC0415

        for index, experiment in enumerate(self._loaded.settings.experiments):
            key: KeyPath = ("experiments", index)
            unit = self._unit(experiment, key)
            for problem in compile_metrics(experiment)[1]:
                self._complain((*key, *problem.key), problem.what, problem.fix)
            transform = self._transform(experiment, key)
            if transform is None:
                continue
            variation = Variation(experiment, transform.name, key)
            plugins = self._plugins(variation, transform)
            if not experiment.enabled:
                continue
            if transform.name in self._varied:
                self._complain(
                    (*key, "transform"),
                    f"transform '{transform.name}' is varied by experiment"
                    f" '{self._varied[transform.name]}' already",
                    "set `enabled: false` in one of the two, or vary another transform",
                )
                continue
            self._varied[transform.name] = experiment.experiment_id
            self._made.variations.append(variation)
            self._made.plugins |= plugins
            self._made.judges |= self._judges(variation)
            self._made.units[variation.node_id] = unit
        return self._made

    def _unit(self, experiment: ExperimentConfig, key: KeyPath) -> Expression | None:
        if experiment.unit is None:
            return None
        try:
            return compile_expression(experiment.unit)
        except ExpressionError as error:
            self._complain((*key, "unit"), error.what, error.fix)
            return None

    def _transform(self, experiment: ExperimentConfig, key: KeyPath) -> TransformSettings | None:
        """The transform that is varied; where it is left out, the only one that has these options."""
        transforms = self._loaded.settings.transforms
        if experiment.transform is not None:
            # That there is one of this name was checked with the settings.
            return next((item for item in transforms if item.name == experiment.transform), None)
        wanted = {option for variant in experiment.variants for option in variant.transform_overrides}
        fitting = [item for item in transforms if len(transforms) == 1 or wanted <= self._options(item)]
        if len(fitting) == 1:
            return fitting[0]
        options = ", ".join(sorted(wanted)) or "none"
        names = ", ".join(f"'{item.name}'" for item in fitting)
        what = (
            f"it does not say which transform it varies, and several have these options ({options}): {names}"
            if fitting
            else f"it does not say which transform it varies, and none has all of these options: {options}"
        )
        self._complain(key, what, "add `transform:` with the name of the transform")
        return None

    def _options(self, item: TransformSettings) -> set[str]:
        try:
            return set(self._catalog.transform(item.plugin).options_model.model_fields)
        except ElspethError:
            return set()  # an unknown plugin is told of elsewhere

    def _plugins(self, variation: Variation, transform: TransformSettings) -> dict[str, Any]:
        made: dict[str, Any] = {}
        try:
            plugin = self._catalog.transform(transform.plugin)
        except ElspethError:
            return made
        for index, variant in enumerate(variation.experiment.variants):
            at: KeyPath = (*variation.key, "variants", index, "transform_overrides")
            try:
                one = plugin({**transform.options, **variant.transform_overrides})
            except ValidationError as error:
                if variant.transform_overrides:
                    self._made.problems += self._loaded.problems_of(error, plugin.options_model, at)
                continue
            except ElspethError as error:
                if variant.transform_overrides:
                    self._complain(at, error.what, error.fix)
                continue
            one.node_id = variation.variants[variant.variant_id]
            made[one.node_id] = one
        return made

    def _judges(self, variation: Variation) -> dict[str, Any]:
        made: dict[str, Any] = {}
        judging, settings = variation.judging, variation.experiment.judge
        if judging is None or settings is None:
            return made
        at: KeyPath = (*variation.key, "judge")
        try:
            plugin = self._catalog.transform(settings.plugin)
        except ElspethError as error:
            self._complain((*at, "plugin"), error.what, error.fix)
            return made
        for pair in judging.pairs:
            try:
                one = plugin(dict(settings.options))
                promised = one.output_schema(OBSERVED).fields
            except ValidationError as error:
                self._made.problems += self._loaded.problems_of(error, plugin.options_model, (*at, "options"))
                return made
            except ElspethError as error:
                self._complain((*at, "options"), error.what, error.fix)
                return made
            if WINNER not in {spec.name for spec in promised}:
                what = f"{settings.plugin!r} judges nothing: it makes no field {WINNER!r}"
                self._complain((*at, "plugin"), what, "take `llm_judge`, or a transform that declares it")
                return made
            one.node_id, one.on_error = pair.judge, variation.shadow_sink
            made[pair.judge] = one
        return made

    def _complain(self, at: KeyPath, what: str, fix: str) -> None:
        if not self._loaded.is_doubtful(at):
            self._made.problems.append(self._loaded.problem(at, what, fix))


def plans_of(
    experiments: Experiments, record: Mapping[str, Any]
) -> tuple[dict[str, ExperimentPlan], dict[str, Mapping[str, Any]]]:
    """What the engine does, and what nodes' records say; ``record`` are the settings without secrets."""
    plans: dict[str, ExperimentPlan] = {}
    configs: dict[str, Mapping[str, Any]] = {}
    if not experiments.variations:
        return plans, configs
    from elspeth.experiments.tally import VariantTally  # noqa: PLC0415

    transforms = {item["name"]: item for item in record["transforms"]}
    for variation in experiments.variations:
        stored = _recorded(variation.experiment, record["experiments"][variation.key[1]])
        base = transforms[variation.transform]
        options = {
            variant["variant_id"]: {**base["options"], **variant["transform_overrides"]}
            for variant in stored["variants"]
        }
        phase = phase_of(stored, base["plugin"], options)
        node_id = variation.node_id
        plans[node_id] = ExperimentPlan(
            node_id,
            variation.experiment,
            phase,
            experiments.units[node_id],
            variation.variants,
            {v["variant_id"]: overrides_json(v["transform_overrides"]) for v in stored["variants"]},
            VariantTally(variation.experiment),
        )
        configs[node_id] = {
            "experiment": stored,
            "transform": variation.transform,
            "phase": phase,
            "hash_version": HASH_VERSION,
            "nodes": variation.variants,
        }
        if variation.judging is not None:
            configs[node_id] = {**configs[node_id], "judges": _judges_of(variation.judging)}
            configs |= _judging_configs(variation.judging, stored)
        for variant_id, node in variation.variants.items():
            configs[node] = {
                **base,
                "options": options[variant_id],
                "experiment_id": stored["experiment_id"],
                "variant_id": variant_id,
            }
    return plans, configs


def _recorded(experiment: ExperimentConfig, record: Mapping[str, Any]) -> dict[str, Any]:
    """The experiment as its node's record has it: in clear but for overrides, because comparing needs it.

    A weight or a unit that came from a variable is no secret; an option of a transform may be one.
    """
    variants = [
        {**variant.model_dump(mode="json"), "transform_overrides": safe["transform_overrides"]}
        for variant, safe in zip(experiment.variants, record["variants"], strict=True)
    ]
    return {**experiment.model_dump(mode="json"), "variants": variants, "judge": record["judge"]}


def _judges_of(judging: Judging) -> dict[str, Any]:
    """Variant → the nodes where it is compared with the control."""
    return {pair.variant_id: {"whole": pair.whole, "judge": pair.judge} for pair in judging.pairs}


def _judging_configs(judging: Judging, stored: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    configs: dict[str, Mapping[str, Any]] = {}
    for node in judging.nodes():
        configs[node.node_id] = {**node.config, "experiment_id": stored["experiment_id"]}
    for pair in judging.pairs:
        # Options may hold secrets: what is recorded of them is safe.
        configs[pair.judge] = {
            **configs[pair.judge],
            "options": stored["judge"]["options"],
            "variant_id": pair.variant_id,
        }
    return configs


def treatment(options: Mapping[str, Any]) -> dict[str, Any]:
    """Of options those that may change what comes out: not what calls may cost and who pays for them."""
    return {name: value for name, value in options.items() if name not in _OF_NO_MATTER}


def phase_of(stored: Mapping[str, Any], plugin: str, options: Mapping[str, Any]) -> str:
    """What changes when rows of before and after can't be put together: variants, weights, mode, unit."""
    variants = [
        [v["variant_id"], v["weight"], treatment(options[v["variant_id"]])] for v in stored["variants"]
    ]
    return digest([stored["experiment_id"], stored["mode"], stored["unit"], plugin, variants]).hex()[:12]
