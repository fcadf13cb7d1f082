"""From settings to a graph, or to everything that is wrong with it."""

from collections.abc import Sequence
from dataclasses import replace

from elspeth.core.config import LoadedPipeline
from elspeth.core.dag.conditions import check_conditions
from elspeth.core.dag.contracts import PluginSchemas, check_contracts
from elspeth.core.dag.flow import check_circles, check_sinks, in_flow_order
from elspeth.core.dag.graph import DISCARD, QUARANTINE, Edge, Graph, Node
from elspeth.core.dag.joins import check_joins
from elspeth.core.dag.problems import Problems
from elspeth.core.dag.roster import Member, Roster, discard, quarantine, read_roster
from elspeth.core.dag.wiring import wire


def build_graph(loaded: LoadedPipeline, schemas: PluginSchemas | None = None) -> Graph:
    """The validated graph of a pipeline.

    Without ``schemas`` nothing is known of the plugins, and no field is checked. Raises
    ConfigurationError with everything that is wrong, in file order; fields are checked only once
    the wiring is right, because a broken wire would make every field behind it look missing.
    """
    problems = Problems(loaded)
    roster = read_roster(loaded, problems)
    conditions = check_conditions(roster, problems)
    if len({member.name for member in roster.all()}) < len(list(roster.all())):
        problems.raise_any()  # with names used twice no wire has one meaning
    wiring = wire(roster, problems)
    check_circles(roster, wiring.edges, problems)
    check_sinks(roster, wiring, loaded.settings.landscape.export.sink, problems)
    problems.raise_any()
    graph = _graph(roster, wiring.edges)
    check_joins(graph, loaded.settings, problems)
    problems.raise_any()
    if schemas is None:
        return graph
    arriving = check_contracts(graph, schemas, conditions, problems)
    problems.raise_any()
    return replace(graph, arriving=arriving)


def check_without_wires(loaded: LoadedPipeline) -> None:
    """What can be said of a pipeline whose wiring is not what its author meant.

    Raises ConfigurationError for names that are used twice and conditions that make no sense.
    """
    problems = Problems(loaded)
    check_conditions(read_roster(loaded, problems), problems)
    problems.raise_any()


def _graph(roster: Roster, edges: Sequence[Edge]) -> Graph:
    members = {member.name: member for member in roster.all()}
    reached = {edge.to_node for edge in edges}
    for name, automatic in ((QUARANTINE, quarantine()), (DISCARD, discard())):
        if name in reached:
            members.setdefault(name, automatic)
    order = in_flow_order(list(members), edges)
    nodes = tuple(_node(members[name], index) for index, name in enumerate(order))
    rank = {name: index for index, name in enumerate(order)}
    # Stable: the edges of one node stay in the order of the file, error edges come last.
    return Graph(nodes, tuple(sorted(edges, key=lambda edge: rank[edge.from_node])))


def _node(member: Member, sequence: int) -> Node:
    return Node(member.name, member.node_type, member.plugin, member.config(), sequence, member.key)
