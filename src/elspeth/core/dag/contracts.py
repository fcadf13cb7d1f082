"""Do rows have the fields that nodes need? Promises go down the graph and are held against demands.

What is known of the rows on an edge is a schema and whether it is *vague*: a source that declares
nothing (``observed`` or ``flexible`` without fields and guarantees) promises nothing and rules out
nothing, and neither does what a transform makes of its rows, except where it fixes its output. A
demand on vague rows can't be judged here and is left to the run (each row that lacks the field goes
to the error sink). On all other rows a demand must be promised:

* ``fixed`` rows without the field never have it;
* an optional field (``note: str?``) may be missing, which is enough only for transforms that don't
  need its value (they say so: ``needs_values``);
* where fields or guarantees are declared, they are the whole of what anybody may rely on.

Each of these is a problem of the demanding node, and so is a declared type that differs from the
demanded one (``int`` where ``float`` is demanded is fine, ``any`` fits everything), or with which a
gate's condition fails on every row (text ordered against a number). Where several
edges meet, demands are checked edge by edge; further on, only what all of them promise is promised,
and the rows are vague if those of any edge are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from elspeth.contracts.enums import EdgeMode, NodeType
from elspeth.contracts.errors import ConfigurationError
from elspeth.contracts.schema import OBSERVED, FieldSpec, FieldType, PluginSchema, SchemaMode
from elspeth.core.dag.graph import Edge, Graph, Node
from elspeth.core.dag.problems import Problems, listed, meant
from elspeth.core.expressions import Expression, type_problem


class TransformSchemas(Protocol):
    """What a transform needs, and what it makes of what comes in."""

    @property
    def input_schema(self) -> PluginSchema: ...

    @property
    def needs_values(self) -> bool:
        """Whether a declared field that may be null or missing (``note: str?``) is too little for it."""

    def output_schema(self, incoming: PluginSchema) -> PluginSchema: ...


class PluginSchemas(Protocol):
    """What the plugins of a pipeline promise and demand, by the names of their nodes."""

    def source_schema(self, name: str) -> PluginSchema: ...

    def transform(self, name: str) -> TransformSchemas | None:
        """Also asked for aggregations; None where nothing is known: then its output is vague."""

    def sink_schema(self, name: str) -> PluginSchema: ...


@dataclass(frozen=True, slots=True)
class Rows:
    """What is known of the rows on an edge, and the node that it is known from."""

    schema: PluginSchema
    vague: bool
    origin: str


_UNKNOWN = Rows(OBSERVED, True, "")


def check_contracts(
    graph: Graph, schemas: PluginSchemas, conditions: Mapping[str, Expression], problems: Problems
) -> dict[str, PluginSchema]:
    """Hold what every node demands against what comes in, and return that, by node.

    The graph must be in order of flow.
    """
    known: dict[str, Rows] = {}
    arriving: dict[str, PluginSchema] = {}
    for node in graph.nodes:
        incoming = [
            (edge, known[edge.from_node])
            for edge in graph.in_edges(node.node_id)
            if edge.mode is not EdgeMode.DIVERT
        ]
        demand = _demand(node, schemas, conditions)
        needs_values = _needs_values(node, schemas)
        for edge, rows in incoming:
            _check(node, demand if needs_values else _but_for_optional(demand, rows), edge, rows, problems)
            if node.node_type is NodeType.GATE:
                _check_types(node, conditions[node.node_id], rows, problems)
        coming = meet([rows for _, rows in incoming])
        arriving[node.node_id] = coming.schema
        known[node.node_id] = _output(node, schemas, coming, problems)
    return arriving


def _demand(node: Node, schemas: PluginSchemas, conditions: Mapping[str, Expression]) -> PluginSchema:
    if node.node_type is NodeType.GATE:
        return PluginSchema.demanding(conditions[node.node_id].required_fields)
    if node.node_type in (NodeType.TRANSFORM, NodeType.AGGREGATION):
        plugin = schemas.transform(node.node_id)
        return OBSERVED if plugin is None else plugin.input_schema
    if node.node_type is NodeType.SINK and node.settings_key and not node.config.get("automatic"):
        return schemas.sink_schema(node.node_id)
    return OBSERVED


def _needs_values(node: Node, schemas: PluginSchemas) -> bool:
    plugin = schemas.transform(node.node_id) if node.node_type is NodeType.TRANSFORM else None
    return plugin is None or plugin.needs_values


def _but_for_optional(demand: PluginSchema, rows: Rows) -> PluginSchema:
    """The demand without what is declared as optional: sources fill in null where that is missing."""
    return replace(demand, required=demand.required - {spec.name for spec in rows.schema.fields})


def _output(node: Node, schemas: PluginSchemas, incoming: Rows, problems: Problems) -> Rows:
    if node.node_type is NodeType.SOURCE:
        schema = schemas.source_schema(node.node_id)
        declares = bool(schema.fields or schema.guaranteed)
        return Rows(schema, schema.mode is not SchemaMode.FIXED and not declares, node.node_id)
    if node.node_type is NodeType.COALESCE:
        return _UNKNOWN
    if node.node_type in (NodeType.TRANSFORM, NodeType.AGGREGATION):
        plugin = schemas.transform(node.node_id)
        if plugin is None:
            return _UNKNOWN
        try:
            made = plugin.output_schema(incoming.schema)
        except ConfigurationError as error:
            for problem in error.problems:
                problems.add(
                    node.settings_key, f"{node.node_type} '{node.node_id}': {problem.what}", problem.fix
                )
            return _UNKNOWN
        if made == OBSERVED:
            return _UNKNOWN
        vague = incoming.vague and made.mode is not SchemaMode.FIXED
        return Rows(made, vague, incoming.origin if made == incoming.schema else node.node_id)
    return incoming


def meet(incoming: Sequence[Rows]) -> Rows:
    """What is known of rows that come from any of these."""
    if not incoming:
        return _UNKNOWN
    if len(incoming) == 1:
        return incoming[0]
    promised = frozenset.intersection(*(rows.schema.promises for rows in incoming))
    modes = {rows.schema.mode for rows in incoming}
    mode = modes.pop() if len(modes) == 1 else SchemaMode.FLEXIBLE
    fields = tuple(_common_fields([rows.schema for rows in incoming], promised))
    origins = dict.fromkeys(rows.origin for rows in incoming)
    vague = any(rows.vague for rows in incoming)
    return Rows(PluginSchema(mode, fields, guaranteed=promised), vague, ", ".join(origins))


def _common_fields(schemas: Sequence[PluginSchema], promised: frozenset[str]) -> list[FieldSpec]:
    """Fields that are declared in all of them, or ruled out where they are not."""
    declared = [{spec.name: spec for spec in schema.fields} for schema in schemas]
    common = []
    for name in dict.fromkeys(name for specs in declared for name in specs):
        types = {specs[name].type for specs in declared if name in specs}
        others = [schema for schema, specs in zip(schemas, declared, strict=True) if name not in specs]
        if all(schema.mode is SchemaMode.FIXED for schema in others):
            common.append(
                FieldSpec(name, types.pop() if len(types) == 1 else FieldType.ANY, name in promised)
            )
    return common


def _check(node: Node, demand: PluginSchema, edge: Edge, rows: Rows, problems: Problems) -> None:
    title = f"{node.node_type} '{node.node_id}'"
    key = (*node.settings_key, "condition") if node.node_type is NodeType.GATE else node.settings_key
    declared = {spec.name: spec for spec in rows.schema.fields}
    for name in sorted(demand.demands - rows.schema.promises) if not rows.vague else ():
        what, fix = _missing(name, declared, rows)
        guess = meant(name, rows.schema.promises | declared.keys())
        fix = f"did you mean '{guess}'? Otherwise {fix}" if guess else fix
        problems.add(key, f"{title} needs field '{name}', {what}{_via(edge, rows)}", fix)
    if node.node_type is NodeType.SINK and demand.mode is SchemaMode.FIXED:
        surplus = sorted(rows.schema.promises - {spec.name for spec in demand.fields})
        if surplus:
            what = f"{title} takes no field {listed(surplus, 'or')}, and '{rows.origin}' always gives it"
            fix = f"add it to the sink's schema.fields, say mode: flexible, or drop it before {title}"
            problems.add(key, f"{what}{_via(edge, rows)}", fix)
    for spec in demand.fields:
        given = declared.get(spec.name)
        if given is not None and not _fits(given.type, spec.type):
            problems.add(
                key,
                f"{title} needs '{spec}', but '{rows.origin}' gives '{given}'{_via(edge, rows)}",
                f"change one of the two, or convert it with type_coerce before {title}",
            )


def _check_types(node: Node, condition: Expression, rows: Rows, problems: Problems) -> None:
    types = {spec.name: spec.type for spec in rows.schema.fields}
    if (error := type_problem(condition, types)) is not None:
        read = [str(spec) for spec in rows.schema.fields if spec.name in condition.fields]
        what = f"{error.what}: '{rows.origin}' gives {listed(read)}"
        fix = (
            "give the field another type in the schema, convert it with type_coerce, or change the condition"
        )
        problems.add_within((*node.settings_key, "condition"), condition.text, error.offset, (what, fix))


def _missing(name: str, declared: Mapping[str, FieldSpec], rows: Rows) -> tuple[str, str]:
    origin = f"'{rows.origin}'"
    if name in declared:
        fix = f"declare it without '?', or read it with row.get('{name}') where that is possible"
        return f"which may be missing: {origin} gives '{declared[name]}'", fix
    if rows.schema.mode is SchemaMode.FIXED:
        have = ", ".join(declared) or "none"
        return (
            f"and the rows of {origin} never have it (they have: {have})",
            f"add it to the fields of {origin}",
        )
    fix = f"add '{name}' to guaranteed_fields in the schema of {origin} if its rows always have it"
    return f"and nothing guarantees it: {origin} does not declare it", fix


def _via(edge: Edge, rows: Rows) -> str:
    """Which way the rows came, where that is not obvious."""
    return "" if edge.from_node in rows.origin.split(", ") else f" (by way of '{edge.from_node}')"


def _fits(given: FieldType, wanted: FieldType) -> bool:
    if FieldType.ANY in (given, wanted) or given is wanted:
        return True
    return given is FieldType.INT and wanted is FieldType.FLOAT
