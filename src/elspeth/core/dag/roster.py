"""Who is in the pipeline: every node of the file under its name."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from elspeth.contracts.enums import NodeType
from elspeth.core.config import (
    AggregationSettings,
    CoalesceSettings,
    GateSettings,
    LoadedPipeline,
    PipelineSettings,
    TransformSettings,
)
from elspeth.core.dag.graph import DISCARD, QUARANTINE
from elspeth.core.dag.problems import KeyPath, Problems


@dataclass(frozen=True, slots=True)
class Member:
    """One node as the file has it. ``input`` and ``on_success`` are None where wiring is left out."""

    name: str
    node_type: NodeType
    plugin: str
    key: KeyPath
    settings: BaseModel | None
    input: str | None = None
    on_success: str | None = None

    @property
    def title(self) -> str:
        """``transform 'clean'``."""
        return f"{self.node_type} '{self.name}'"

    def config(self) -> dict[str, Any]:
        """The settings as plain JSON values."""
        if self.settings is None:
            return {"plugin": self.plugin, "automatic": True}
        return self.settings.model_dump(mode="json")


@dataclass(frozen=True, slots=True)
class Roster:
    """``steps`` are the nodes between sources and sinks, in the order that default wiring follows."""

    sources: dict[str, Member]
    queues: dict[str, Member]
    steps: tuple[Member, ...]
    sinks: dict[str, Member]

    def all(self) -> Iterator[Member]:
        """Every node, in order of the roles."""
        yield from self.sources.values()
        yield from self.queues.values()
        yield from self.steps
        yield from self.sinks.values()


def discard() -> Member:
    """The node that stands for rows thrown away."""
    return Member(DISCARD, NodeType.SINK, DISCARD, (), None)


def quarantine() -> Member:
    """The automatic error sink."""
    return Member(QUARANTINE, NodeType.SINK, "json", ("sinks", QUARANTINE), None)


def read_roster(loaded: LoadedPipeline, problems: Problems) -> Roster:
    """Every node of the file; names that are used twice are problems."""
    settings = loaded.settings
    roster = Roster(
        sources={
            name: Member(name, NodeType.SOURCE, s.plugin, ("sources", name), s, on_success=s.on_success)
            for name, s in settings.sources.items()
        },
        queues={
            name: Member(name, NodeType.QUEUE, "queue", ("queues", name), queue)
            for name, queue in settings.queues.items()
        },
        steps=tuple(_steps(settings)),
        sinks={
            name: Member(name, NodeType.SINK, sink.plugin, ("sinks", name), sink)
            for name, sink in settings.sinks.items()
        },
    )
    _check_names(roster, problems)
    return roster


def _steps(settings: PipelineSettings) -> Iterator[Member]:
    for index, step in enumerate(settings.transforms):
        yield _plugin_step(step, NodeType.TRANSFORM, ("transforms", index))
    for index, batch in enumerate(settings.aggregations):
        yield _plugin_step(batch, NodeType.AGGREGATION, ("aggregations", index))
    for index, gate in enumerate(settings.gates):
        yield Member(gate.name, NodeType.GATE, "gate", ("gates", index), gate, gate.input)
    for index, join in enumerate(settings.coalesce):
        key = ("coalesce", index)
        yield Member(join.name, NodeType.COALESCE, "coalesce", key, join, on_success=join.on_success)


def _plugin_step(step: TransformSettings | AggregationSettings, kind: NodeType, key: KeyPath) -> Member:
    return Member(step.name, kind, step.plugin, key, step, step.input, step.on_success)


def _check_names(roster: Roster, problems: Problems) -> None:
    seen: dict[str, Member] = {}
    for member in roster.all():
        first = seen.setdefault(member.name, member)
        if first is not member:
            key = (*member.key, "name") if isinstance(member.key[-1], int) else member.key
            problems.add(
                key,
                f"the name '{member.name}' is used twice: by a {first.node_type} and by a {member.node_type}"
                if first.node_type is not member.node_type
                else f"the name '{member.name}' is used by two {member.node_type}s",
                "every node needs a name of its own, because the audit trail tells nodes apart by it",
            )


def gate_of(member: Member) -> GateSettings:
    """The settings of a gate."""
    assert isinstance(member.settings, GateSettings)
    return member.settings


def branches_of(member: Member) -> list[tuple[KeyPath, str]]:
    """The connections that a coalesce reads, each with the setting that says so."""
    assert isinstance(member.settings, CoalesceSettings)
    branches = member.settings.branches
    pairs = branches.items() if isinstance(branches, dict) else enumerate(branches)
    return [((*member.key, "branches", key), name) for key, name in pairs]
