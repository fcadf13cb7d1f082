"""Fields: what sources and transforms promise, held against what nodes need."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from elspeth.contracts.errors import Problem
from elspeth.contracts.schema import OBSERVED, FieldSpec, FieldType, PluginSchema, SchemaMode
from elspeth.core.dag import Graph, TransformSchemas
from elspeth.plugins.transforms.base import BaseTransform

Build = Callable[..., Graph]
Refuse = Callable[..., list[Problem]]

ID = FieldSpec("id", FieldType.INT)
NAME = FieldSpec("name", FieldType.STR)
AMOUNT = FieldSpec("amount", FieldType.FLOAT)
NOTE = FieldSpec("note", FieldType.STR, required=False)
FIXED = PluginSchema(SchemaMode.FIXED, (ID, NAME, AMOUNT, NOTE))
FLEXIBLE = replace(FIXED, mode=SchemaMode.FLEXIBLE)


@dataclass
class Step:
    """A transform that needs and adds fields, or replaces the whole schema."""

    input_schema: PluginSchema = OBSERVED
    adds: tuple[FieldSpec, ...] = ()
    makes: PluginSchema | None = None
    needs_values: bool = True

    def output_schema(self, incoming: PluginSchema) -> PluginSchema:
        return self.makes or replace(incoming, fields=incoming.fields + self.adds)


@dataclass
class Plugins:
    """What the plugins of one pipeline say; nothing for those that are not named."""

    sources: dict[str, PluginSchema] = field(default_factory=dict)
    steps: dict[str, Step] = field(default_factory=dict)
    sinks: dict[str, PluginSchema] = field(default_factory=dict)

    def source_schema(self, name: str) -> PluginSchema:
        return self.sources.get(name, OBSERVED)

    def transform(self, name: str) -> TransformSchemas | None:
        return self.steps.get(name, Step())

    def sink_schema(self, name: str) -> PluginSchema:
        return self.sinks.get(name, OBSERVED)


LINE = """source: {plugin: csv}
transforms: [{name: t, plugin: p}]
gates:
  - name: g
    condition: "CONDITION"
    routes: {"true": out, "false": discard}
sinks: {out: {plugin: csv}}
"""


def line(condition: str = "row['id'] > 1") -> str:
    return LINE.replace("CONDITION", condition)


def test_promised_fields_are_fine(build: Build) -> None:
    plugins = Plugins(
        {"source": FIXED},
        {"t": Step(PluginSchema.demanding(["name"]), (FieldSpec("total", FieldType.FLOAT),))},
        {"out": PluginSchema(SchemaMode.FLEXIBLE, (ID, FieldSpec("total", FieldType.FLOAT)))},
    )
    build(line("row['total'] > row['id'] and row.get('note') != 'x'"), plugins)


def test_of_rows_that_nobody_describes_nothing_is_demanded(build: Build) -> None:
    adds = Step(PluginSchema.demanding(["a"]), (FieldSpec("total"),))
    build(line("row['b'] > 1"), Plugins(steps={"t": adds}, sinks={"out": PluginSchema.demanding(["c"])}))
    build(line("row['b'] > 1"), Plugins({"source": PluginSchema(SchemaMode.FLEXIBLE)}))
    build(line("row['b'] > 1"))


def test_a_field_that_fixed_rows_never_have(refuse: Refuse) -> None:
    (problem,) = refuse(line("row['ammount'] > 1"), Plugins({"source": FIXED}))
    assert problem.what == (
        "gate 'g' needs field 'ammount', and the rows of 'source' never have it "
        "(they have: id, name, amount, note) (by way of 't')"
    )
    assert problem.fix == "did you mean 'amount'? Otherwise add it to the fields of 'source'"
    assert problem.key == "gates.0.condition"
    assert problem.location is not None
    assert problem.location.line == 5


def test_a_field_that_may_be_missing(refuse: Refuse) -> None:
    (problem,) = refuse(line("row['note'] == 'x'"), Plugins({"source": FIXED}))
    assert problem.what == (
        "gate 'g' needs field 'note', which may be missing: 'source' gives 'note: str?' (by way of 't')"
    )
    assert problem.fix == "declare it without '?', or read it with row.get('note') where that is possible"


def test_a_field_that_may_be_missing_is_enough_where_no_value_is_needed(build: Build, refuse: Refuse) -> None:
    def step(*fields: str, needs_values: bool) -> Plugins:
        return Plugins(
            {"source": FIXED}, {"t": Step(PluginSchema.demanding(fields), needs_values=needs_values)}
        )

    build(line(), step("note", needs_values=False))
    (problem,) = refuse(line(), step("note", needs_values=True))
    assert (
        problem.what == "transform 't' needs field 'note', which may be missing: 'source' gives 'note: str?'"
    )
    (problem,) = refuse(line(), step("note", "other", needs_values=False))
    assert problem.what.startswith(
        "transform 't' needs field 'other', and the rows of 'source' never have it"
    )


def test_a_field_that_nothing_guarantees(refuse: Refuse) -> None:
    for schema in (FLEXIBLE, PluginSchema(guaranteed=frozenset({"id"}))):
        (problem,) = refuse(line("row['region'] == 'x'"), Plugins({"source": schema}))
        assert problem.what == (
            "gate 'g' needs field 'region', and nothing guarantees it: "
            "'source' does not declare it (by way of 't')"
        )
        assert problem.fix == (
            "add 'region' to guaranteed_fields in the schema of 'source' if its rows always have it"
        )


def test_transforms_and_sinks_demand_too(refuse: Refuse) -> None:
    plugins = Plugins(
        {"source": FIXED},
        {"t": Step(PluginSchema.demanding(["x"]))},
        {"out": PluginSchema(SchemaMode.FLEXIBLE, (ID, FieldSpec("y")))},
    )
    problems = refuse(line(), plugins)
    assert [problem.what.split(",")[0] for problem in problems] == [
        "transform 't' needs field 'x'",
        "sink 'out' needs field 'y'",
    ]
    assert [problem.key for problem in problems] == ["transforms.0", "sinks.out"]


def test_a_fixed_sink_takes_no_other_fields(refuse: Refuse) -> None:
    plugins = Plugins({"source": FIXED}, {}, {"out": PluginSchema(SchemaMode.FIXED, (ID,))})
    (problem,) = refuse(line(), plugins)
    assert (
        problem.what
        == "sink 'out' takes no field 'amount' or 'name', and 'source' always gives it (by way of 'g')"
    )
    assert problem.fix.startswith("add it to the sink's schema.fields")


def test_behind_a_transform_that_says_nothing_all_is_possible(build: Build, refuse: Refuse) -> None:
    class Unsaid(BaseTransform):
        name = "unsaid"

    fixed = Plugins({"source": FIXED}, {"t": Step(makes=Unsaid({}).output_schema(FIXED))})
    build(line("row['region'] == 'x'"), fixed)
    (problem,) = refuse(line("row['region'] == 'x'"), Plugins({"source": FIXED}))
    assert "needs field 'region'" in problem.what


def test_a_transform_that_fixes_its_output_makes_everything_known(refuse: Refuse) -> None:
    plugins = Plugins(steps={"t": Step(makes=PluginSchema(SchemaMode.FIXED, (NAME,)))})
    (problem,) = refuse(line(), plugins)
    assert problem.what == "gate 'g' needs field 'id', and the rows of 't' never have it (they have: name)"


def test_types_must_fit(refuse: Refuse, build: Build) -> None:
    def wants(kind: FieldType) -> Plugins:
        schema = PluginSchema(SchemaMode.FLEXIBLE, (FieldSpec("id", kind),))
        return Plugins({"source": FIXED}, sinks={"out": schema})

    for kind in (FieldType.INT, FieldType.FLOAT, FieldType.ANY):
        build(line(), wants(kind))
    (problem,) = refuse(line(), wants(FieldType.STR))
    assert problem.what == "sink 'out' needs 'id: str', but 'source' gives 'id: int' (by way of 'g')"
    assert problem.fix == "change one of the two, or convert it with type_coerce before sink 'out'"


def test_a_condition_that_does_not_fit_the_types(refuse: Refuse, build: Build) -> None:
    (problem,) = refuse(line("row['id'] > 1 and row['name'] > 1000"), Plugins({"source": FIXED}))
    assert problem.what == (
        "text can't be ordered against a number (1000 is a number): 'source' gives 'id: int' and 'name: str'"
    )
    assert problem.fix == (
        "give the field another type in the schema, convert it with type_coerce, or change the condition"
    )
    assert problem.location is not None
    assert (problem.location.line, problem.location.column) == (5, 49)
    build(line("row['id'] == 'x' or row['name'] > '1000'"), Plugins({"source": FIXED}))


TWO_SOURCES = """sources: {a: {plugin: csv}, b: {plugin: csv}}
transforms: [{name: t, plugin: p}]
sinks: {out: {plugin: csv}}
"""


def test_where_edges_meet_each_is_checked(refuse: Refuse) -> None:
    less = PluginSchema(SchemaMode.FIXED, (ID,))
    plugins = Plugins({"a": FIXED, "b": less}, {"t": Step(PluginSchema.demanding(["name"]))})
    (problem,) = refuse(TWO_SOURCES, plugins)
    assert (
        problem.what == "transform 't' needs field 'name', and the rows of 'b' never have it (they have: id)"
    )


def test_behind_a_meeting_only_what_all_promise_is_promised(refuse: Refuse, build: Build) -> None:
    less = PluginSchema(SchemaMode.FIXED, (ID,))
    wants_name = {"out": PluginSchema.demanding(["name"])}
    (problem,) = refuse(TWO_SOURCES, Plugins({"a": FIXED, "b": less}, sinks=wants_name))
    assert problem.what == (
        "sink 'out' needs field 'name', which may be missing: 'a, b' gives 'name: str?' (by way of 't')"
    )
    build(TWO_SOURCES, Plugins({"a": FIXED, "b": FLEXIBLE}, sinks=wants_name))
    build(TWO_SOURCES, Plugins({"a": FIXED}, sinks=wants_name))
    (problem,) = refuse(
        TWO_SOURCES, Plugins({"a": FIXED, "b": FLEXIBLE}, sinks={"out": PluginSchema.demanding("z")})
    )
    assert problem.what.startswith("sink 'out' needs field 'z', and nothing guarantees it")


def test_types_that_differ_where_edges_meet_are_any(build: Build) -> None:
    other = PluginSchema(SchemaMode.FIXED, (FieldSpec("id", FieldType.STR),))
    wants = {"out": PluginSchema(SchemaMode.FLEXIBLE, (ID,))}
    build(TWO_SOURCES, Plugins({"a": FIXED, "b": other}, sinks=wants))


def test_fields_are_checked_only_once_the_wiring_is_right(refuse: Refuse) -> None:
    text = line("row['nothing'] > 1").replace("out, ", "aut, ")
    problems = refuse(text, Plugins({"source": FIXED}))
    assert [problem.what for problem in problems] == [
        "gate 'g' writes to 'aut', but no sink has that name and no node reads it"
    ]


def test_error_edges_and_automatic_sinks_demand_nothing(build: Build) -> None:
    text = line().replace('"false": discard', '"false": quarantine')
    build(text, Plugins({"source": FIXED}, sinks={"quarantine": PluginSchema.demanding(["never"])}))


def test_aggregations_of_unknown_plugins_and_joins_are_vague(build: Build) -> None:
    class Unknown(Plugins):
        def transform(self, name: str) -> TransformSchemas | None:
            return None

    text = """
source: {plugin: csv}
aggregations: [{name: batch, plugin: p}]
gates:
  - {name: g, condition: "row['mean'] > 1", routes: {"true": fork, "false": out}, fork_to: [x, y]}
coalesce: [{name: join, branches: [x, y], on_success: out}]
sinks: {out: {plugin: csv}}
"""
    build(text, Unknown({"source": FIXED}, sinks={"out": PluginSchema.demanding(["mean"])}))
