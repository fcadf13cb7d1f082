"""Conditions of gates and triggers: do they compile, and do the routes fit what they can give?"""

from elspeth.contracts.enums import NodeType
from elspeth.contracts.errors import ExpressionError
from elspeth.core.config import AggregationSettings
from elspeth.core.dag.problems import KeyPath, Problems, listed, meant
from elspeth.core.dag.roster import Member, Roster, gate_of
from elspeth.core.expressions import Expression, compile_expression

BATCH_FIELDS = ("batch_count", "batch_age_seconds")
_BOOLEAN = frozenset({"true", "false"})
_HABITS = {"yes": "true", "y": "true", "on": "true", "no": "false", "n": "false", "off": "false"}


def check_conditions(roster: Roster, problems: Problems) -> dict[str, Expression]:
    """Compile every condition, and hold the labels of routes against it. Returns those of gates."""
    compiled = {}
    for step in roster.steps:
        if step.node_type is NodeType.GATE:
            condition = _compile(gate_of(step).condition, (*step.key, "condition"), problems)
            if condition is not None:
                compiled[step.name] = condition
                _check_labels(step, condition, problems)
        elif isinstance(step.settings, AggregationSettings):
            _check_trigger(step, step.settings, problems)
    return compiled


def _compile(text: str, key: KeyPath, problems: Problems) -> Expression | None:
    try:
        return compile_expression(text)
    except ExpressionError as error:
        problems.add_within(key, text, error.offset, (error.what, error.fix))
        return None


def _check_trigger(step: Member, settings: AggregationSettings, problems: Problems) -> None:
    text = settings.trigger.condition
    if text is None:
        return
    key = (*step.key, "trigger", "condition")
    condition = _compile(text, key, problems)
    for name in sorted(condition.fields - set(BATCH_FIELDS)) if condition is not None else ():
        guess = meant(name, BATCH_FIELDS)
        fix = f"did you mean '{guess}'?" if guess else f"use {listed(BATCH_FIELDS, 'or')}"
        problems.add(key, f"a trigger knows the batch, not its rows: there is no field '{name}'", fix)


def _check_labels(step: Member, condition: Expression, problems: Problems) -> None:
    routes = gate_of(step).routes
    if (never := condition.never_label()) is not None:
        fix = "write a comparison, or give text in quotes"
        problems.add(
            (*step.key, "condition"), f"the condition of {step.title} can't choose a route: {never}", fix
        )
        return
    labels = condition.labels()
    if labels is None:
        return
    # `condition: "True"` with routes for both labels says what it means, and harms nobody.
    possible = labels | _BOOLEAN if labels <= _BOOLEAN else labels
    strange = [label for label in routes if label not in possible]
    for label in strange:
        guess = _HABITS.get(label.lower(), "")
        guess = guess if guess in possible else meant(label, possible)
        problems.add(
            (*step.key, "routes", label),
            f"the condition of {step.title} can't give the label '{label}'",
            f"did you mean '{guess}'?" if guess else f"it gives {listed(sorted(possible), 'or')}",
        )
    for label in sorted(labels - routes.keys()):
        if any(_HABITS.get(other.lower()) == label or meant(other, [label]) for other in strange):
            continue  # one mistake, one message
        problems.add(
            (*step.key, "routes"),
            f"the condition of {step.title} can give '{label}', and no route says where such rows go",
            f'add `"{label}": continue`, a connection, a sink, or `discard`',
        )
