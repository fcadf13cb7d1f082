"""A judge in the graph: behind the variants, both answers of a row come together and are compared.

All of it is made of nodes that any pipeline may have: the experiment's fork gives a copy of the row
that came in, a gate copies the control's answer, a coalesce brings the three together, a gate lets
through what is whole, and a transform judges. What comes out ends where shadows end.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from elspeth.contracts.enums import EdgeMode, NodeType
from elspeth.contracts.judging import CONTROL, INPUT, VARIANT
from elspeth.core.config import CoalesceSettings, ExperimentConfig
from elspeth.core.dag.graph import Edge, Node
from elspeth.core.dag.problems import KeyPath

WHOLE = f"row.get('{CONTROL}') is not None and row.get('{VARIANT}') is not None"
"""The condition of the gate before a judge: a variant that failed has no answer to compare."""

ALWAYS = "True"
_TRUE, _FALSE = "true", "false"


@dataclass(frozen=True, slots=True)
class JudgedPair:
    """The nodes at which one variant (at work at ``shadow``) is compared with the control."""

    experiment_id: str
    variant_id: str
    shadow: str

    @property
    def join(self) -> str:
        """Where the answers come together."""
        return f"pair:{self.experiment_id}@{self.variant_id}"

    @property
    def whole(self) -> str:
        """Where pairs stop that an answer is missing of."""
        return f"whole:{self.experiment_id}@{self.variant_id}"

    @property
    def judge(self) -> str:
        """Where they are judged."""
        return f"judge:{self.experiment_id}@{self.variant_id}"

    @property
    def settings(self) -> CoalesceSettings:
        """What the join does: it waits for all answers that can still come."""
        # No name in a file may look like this one, so that its rule is passed by.
        return CoalesceSettings.model_construct(
            name=self.join, branches=[INPUT, CONTROL, VARIANT], policy="best_effort", merge="nested"
        )


@dataclass(frozen=True, slots=True)
class Judging:
    """One experiment's judge: ``control`` is the node of the control, ``sink`` where judgements end."""

    experiment: ExperimentConfig
    control: str
    sink: str
    pairs: tuple[JudgedPair, ...]
    key: KeyPath

    @property
    def copies(self) -> str:
        """The gate that copies the control's answer."""
        return f"pairs:{self.experiment.experiment_id}"

    @property
    def conditions(self) -> dict[str, str]:
        """Gate → its condition."""
        return {self.copies: ALWAYS} | {pair.whole: WHOLE for pair in self.pairs}

    def nodes(self) -> Iterator[Node]:
        """The nodes, in no order of flow."""
        judge = self.experiment.judge
        assert judge is not None
        key = (*self.key, "judge")
        routes = {"name": self.copies, "condition": ALWAYS, "routes": {_TRUE: "fork"}}
        yield Node(self.copies, NodeType.GATE, "gate", routes, 0, key)
        for pair in self.pairs:
            join = pair.settings.model_dump(mode="json")
            yield Node(pair.join, NodeType.COALESCE, "coalesce", join, 0, key)
            ways = {_TRUE: pair.judge, _FALSE: self.sink}
            gate = {"name": pair.whole, "condition": WHOLE, "routes": ways}
            yield Node(pair.whole, NodeType.GATE, "gate", gate, 0, key)
            config = {"name": pair.judge, **judge.model_dump(mode="json")}
            yield Node(pair.judge, NodeType.TRANSFORM, judge.plugin, config, 0, key)

    def edges(self, assigning: str, label: str) -> Iterator[Edge]:
        """The edges but for `leading_on`; the assigning node sends its copies by edges of this ``label``."""
        for pair in self.pairs:
            yield Edge(assigning, pair.join, label, EdgeMode.COPY, INPUT)
            yield Edge(self.copies, pair.join, _TRUE, EdgeMode.COPY, CONTROL)
            yield Edge(pair.shadow, pair.join, "on_success", EdgeMode.MOVE, VARIANT)
            yield Edge(pair.join, pair.whole, "on_success", EdgeMode.MOVE)
            yield Edge(pair.whole, pair.judge, _TRUE, EdgeMode.MOVE)
            yield Edge(pair.whole, self.sink, _FALSE, EdgeMode.MOVE)
            yield Edge(pair.judge, self.sink, "on_success", EdgeMode.MOVE)
            for node_id in (pair.join, pair.whole, pair.judge):
                yield Edge(node_id, self.sink, "on_error", EdgeMode.DIVERT)
        yield Edge(self.copies, self.sink, "on_error", EdgeMode.DIVERT)

    def leading_on(self, edge: Edge) -> Iterator[Edge]:
        """What becomes of the edge by which the control's rows go on: they pass the gate that copies them."""
        yield Edge(self.control, self.copies, edge.label, EdgeMode.MOVE)
        branch = edge.branch or edge.to_node
        yield replace(edge, from_node=self.copies, label=_TRUE, mode=EdgeMode.COPY, branch=branch)
