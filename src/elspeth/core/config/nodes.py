"""The settings of each kind of node in a pipeline."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from elspeth.contracts.enums import EdgeMode
from elspeth.core.config.models_base import (
    DISCARD,
    FORK,
    RESERVED_WORDS,
    Connection,
    Destination,
    Options,
    Settings,
    StepName,
    Text,
    as_name,
    broken_rule,
    shown,
)

PluginName = Text


def _error_sink(value: str) -> str:
    if value in RESERVED_WORDS - {DISCARD}:
        raise broken_rule(f"{value!r} is no place for a failed row", fix="name a sink, or write discard")
    return value


ErrorSink = Annotated[Destination, AfterValidator(_error_sink)]


class SourceSettings(Settings):
    """Where rows come from."""

    plugin: PluginName = Field(description="The source plugin, e.g. `csv`; `elspeth plugins list` shows all.")
    on_success: Connection | None = Field(
        None, description="The connection or sink that good rows go to; default: the first node of the list."
    )
    on_validation_failure: ErrorSink | None = Field(
        None,
        description="The sink for rows that do not fit the schema, or `discard`; default: the automatic"
        " `quarantine` sink. May also be written inside `options`.",
    )
    options: Options = Field(
        default_factory=dict, description="The plugin's own options, e.g. `path` and `schema`."
    )

    @model_validator(mode="before")
    @classmethod
    def _hoist_validation_failure(cls, data: Any) -> Any:
        """``on_validation_failure`` has one home, although it may be written in two places."""
        key = "on_validation_failure"
        if not isinstance(data, dict) or not isinstance(data.get("options"), dict):
            return data
        if key not in data["options"]:
            return data
        options = dict(data["options"])
        inner = options.pop(key)
        if key in data and data[key] != inner:
            raise broken_rule(
                f"{key} is written twice and differently: beside `options` and inside them",
                fix="keep one of the two",
                at=("options", key),
            )
        return {**data, "options": options, key: inner}


class QueueSettings(Settings):
    """A named point where several producers feed one node."""

    description: str = Field("", description="What the queue is for; shown in plans and lineage.")

    @model_validator(mode="before")
    @classmethod
    def _nothing_to_say(cls, data: Any) -> Any:
        return {} if data is None else data


class TransformSettings(Settings):
    """One step that every row takes."""

    name: StepName = Field(description="The name of the node, unique in the pipeline.")
    plugin: PluginName = Field(description="The transform plugin, e.g. `field_mapper`.")
    input: Connection | None = Field(
        None, description="The connection that rows are read from; default: the node before this one."
    )
    on_success: Connection | None = Field(
        None, description="The connection or sink for the result; default: the node after this one."
    )
    on_error: ErrorSink | None = Field(
        None,
        description="The sink for rows that fail, or `discard`; default: the automatic `quarantine` sink.",
    )
    options: Options = Field(default_factory=dict, description="The plugin's own options.")


def _route_target(value: Any) -> Any:
    if not isinstance(value, list):
        return as_name(value)
    if not value:
        raise broken_rule("this route has no destinations", fix="name at least one, or write discard")
    for index, name in enumerate(value):
        as_name(name)
        if name in {DISCARD, FORK}:
            raise broken_rule(
                f"{name!r} cannot be one of several destinations",
                fix=f"write {name} alone, or take it out of the list",
                at=(index,),
            )
        if name in value[:index]:
            raise broken_rule(f"destination {name!r} is named twice", fix="take one out", at=(index,))
    return value


RouteTarget = Annotated[str | list[str], BeforeValidator(_route_target)]


class GateSettings(Settings):
    """A decision: each row goes where the label of the condition's result says."""

    name: StepName = Field(description="The name of the node, unique in the pipeline.")
    input: Connection | None = Field(
        None, description="The connection that rows are read from; default: the node before this one."
    )
    condition: Text = Field(
        description="An expression over `row`; its result is the route label (`true`, `false`, or text)."
    )
    routes: dict[str, RouteTarget] = Field(
        min_length=1,
        description="Route label → connection, sink, `fork`, `continue` or `discard`; a list copies.",
    )
    fork_to: list[Connection] = Field(
        default_factory=list, description="The paths that a row is copied to where a route says `fork`."
    )
    mode: Literal[EdgeMode.MOVE, EdgeMode.COPY] = Field(
        EdgeMode.MOVE,
        description="`move`: the row goes to its destination; `copy`: a copy does, and the row goes on.",
    )
    on_error: ErrorSink | None = Field(
        None,
        description="The sink for rows on which the condition fails, or `discard`; default: the automatic"
        " `quarantine` sink.",
    )

    @model_validator(mode="after")
    def _fork_has_paths(self) -> "GateSettings":
        forking = [label for label, to in self.routes.items() if to == FORK]
        if forking and not self.fork_to:
            raise broken_rule(
                f"route {forking[0]!r} forks, but there is no fork_to",
                fix="add `fork_to: [first_path, second_path]`",
                at=("routes", forking[0]),
            )
        if self.fork_to and not forking:
            raise broken_rule(
                "fork_to is never used: no route says fork",
                fix="route a label to `fork`, or take fork_to out",
                at=("fork_to",),
            )
        for index, name in enumerate(self.fork_to):
            if name in self.fork_to[:index]:
                raise broken_rule(f"fork_to names {name!r} twice", fix="take one out", at=("fork_to", index))
        return self


class SinkSettings(Settings):
    """Where rows end."""

    plugin: PluginName = Field(description="The sink plugin, e.g. `csv`.")
    on_write_failure: ErrorSink | None = Field(
        None,
        description="The sink for rows that cannot be written, or `discard`; default: the automatic"
        " `quarantine` sink.",
    )
    options: Options = Field(default_factory=dict, description="The plugin's own options, e.g. `path`.")


class TriggerSettings(Settings):
    """When a batch is complete; the first trigger that fires wins, and the end of the source always does."""

    count: int | None = Field(None, gt=0, description="Rows in a full batch.")
    timeout_seconds: float | None = Field(
        None, gt=0, description="Seconds after the batch's first row at which it is complete."
    )
    condition: Text | None = Field(
        None,
        description="An expression over `row['batch_count']` and `row['batch_age_seconds']`.",
    )


class AggregationSettings(Settings):
    """A step that takes many rows at once."""

    name: StepName = Field(description="The name of the node, unique in the pipeline.")
    plugin: PluginName = Field(description="The aggregation plugin, e.g. `batch_stats`.")
    input: Connection | None = Field(
        None, description="The connection that rows are read from; default: the node before this one."
    )
    on_success: Connection | None = Field(
        None, description="The connection or sink for the result; default: the node after this one."
    )
    on_error: ErrorSink | None = Field(
        None,
        description="The sink for rows that fail, or `discard`; default: the automatic `quarantine` sink.",
    )
    trigger: TriggerSettings = Field(
        default_factory=lambda: TriggerSettings(),
        description="When a batch is complete; default: at the end of the source only.",
    )
    output_mode: Literal["transform", "passthrough"] = Field(
        "transform",
        description="`transform`: the batch's result replaces its rows; `passthrough`: its rows go on.",
    )
    expected_output_count: int | None = Field(
        None, ge=0, description="Rows that each batch must give; anything else is an error."
    )
    options: Options = Field(default_factory=dict, description="The plugin's own options.")

    @model_validator(mode="after")
    def _modes_fit(self) -> "AggregationSettings":
        if "trigger" in self.model_fields_set and not self.trigger.model_fields_set:
            raise broken_rule(
                "this trigger never fires: it has no count, no timeout_seconds and no condition",
                fix="write one of them, or take trigger out: the end of the source always completes a batch",
                at=("trigger",),
            )
        if self.output_mode == "passthrough" and self.expected_output_count is not None:
            raise broken_rule(
                "expected_output_count has no meaning with output_mode: passthrough,"
                " which gives a row for each that came",
                fix="take it out",
                at=("expected_output_count",),
            )
        return self


def _branches(value: Any) -> Any:
    if not isinstance(value, list | dict):
        raise broken_rule(
            f"a list of branches must stand here, and this is {shown(value)}",
            fix="write [branch_a, branch_b]",
        )
    if not value:
        raise broken_rule("there are no branches to join", fix="write [branch_a, branch_b]")
    for key, name in value.items() if isinstance(value, dict) else enumerate(value):
        try:
            as_name(name)
        except PydanticCustomError as error:
            facts = error.context or {}
            raise broken_rule(facts["what"], fix=facts["fix"], at=(key,)) from None
    return value


Branches = Annotated[list[str] | dict[str, str], BeforeValidator(_branches)]


class CoalesceSettings(Settings):
    """A join: the branches of a forked row become one row again."""

    name: StepName = Field(description="The name of the node, unique in the pipeline.")
    branches: Branches = Field(
        description="The branches to join: a list, or branch → connection on which it arrives."
    )
    policy: Literal["require_all", "quorum", "best_effort", "first"] = Field(
        "require_all", description="How many branches must have arrived before the join happens."
    )
    merge: Literal["union", "nested", "select"] = Field(
        "union",
        description="`union`: all fields in one row; `nested`: a field per branch; `select`: one row.",
    )
    union_collision_policy: Literal["last_wins", "first_wins", "fail"] = Field(
        "last_wins", description="What happens to a field that several branches give with different values."
    )
    timeout_seconds: float | None = Field(
        None, gt=0, description="Seconds to wait for the missing branches of a row."
    )
    quorum_count: int | None = Field(None, gt=0, description="Branches needed with `policy: quorum`.")
    select_branch: Connection | None = Field(None, description="The branch taken with `merge: select`.")
    on_success: Connection | None = Field(
        None, description="The connection or sink for the joined row; default: the node after this one."
    )
    on_error: ErrorSink | None = Field(
        None,
        description="The sink for branches that can't be joined, or `discard`; default: the automatic"
        " `quarantine` sink.",
    )

    @model_validator(mode="after")
    def _parts_fit(self) -> "CoalesceSettings":
        names = list(self.branches)
        if len(set(names)) < len(names):
            twice = next(name for index, name in enumerate(names) if name in names[:index])
            raise broken_rule(f"branch {twice!r} is named twice", fix="take one out", at=("branches",))
        if len(names) == 1:
            raise broken_rule(
                f"a join needs two branches at least, and there is only {names[0]!r}",
                fix="name the other branches of the fork, or take the coalesce out",
                at=("branches",),
            )
        self._check_quorum(len(names))
        if (self.merge == "select") != (self.select_branch is not None):
            raise broken_rule(
                "merge: select and select_branch go together, and one of them is missing",
                fix=f"write both, e.g. `merge: select` and `select_branch: {names[0]}`, or neither",
                at=("merge",) if self.merge == "select" else ("select_branch",),
            )
        if self.select_branch is not None and self.select_branch not in names:
            raise broken_rule(
                f"select_branch {self.select_branch!r} is not one of the branches",
                fix=f"choose one of {', '.join(names)}",
                at=("select_branch",),
            )
        return self

    def _check_quorum(self, branches: int) -> None:
        if (self.policy == "quorum") != (self.quorum_count is not None):
            raise broken_rule(
                "policy: quorum and quorum_count go together, and one of them is missing",
                fix="write both, e.g. `policy: quorum` and `quorum_count: 2`, or neither",
                at=("policy",) if self.policy == "quorum" else ("quorum_count",),
            )
        if self.quorum_count is not None and self.quorum_count > branches:
            raise broken_rule(
                f"quorum_count is {self.quorum_count}, but there are only {branches} branches",
                fix=f"choose 1 to {branches}",
                at=("quorum_count",),
            )
