"""Rules over plans, in CEL (Common Expression Language): what a plan may not do, whoever asks."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from elspeth.contracts.errors import UsageError
from elspeth.fabric.adapter import Offer, Plan, Unit
from elspeth.fabric.planning import allowed_offers

_MACROS = ("all", "exists", "exists_one", "map", "filter")  # their first argument is a name of their own


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that a plan breaks, or that can't be decided. ``number`` counts the rules from 0."""

    number: int
    what: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class _Rule:
    names: frozenset[str]
    decide: Callable[[Mapping[str, Any]], Any]


def violations(plan: Plan, fleet: Mapping[str, Any], rules: Sequence[tuple[str, str]]) -> list[Violation]:
    """Every rule that the plan breaks. ``rules``: CEL text and message. ``fleet``: the fleet file as plain
    values.

    A rule that mentions ``vm`` is asked of each machine that is made or changed, at each place where the
    apply may put it; one that can't be decided counts as broken. Raises UsageError without cel-python.
    """
    if not rules:
        return []
    to_cel, compiled = _language()
    context = {"plan": to_cel(plan_facts(plan)), "fleet": to_cel(_plain(fleet))}
    found = []
    for number, (text, message) in enumerate(rules):
        rule = compiled(text)
        if isinstance(rule, str):
            found.append(
                Violation(number, f"{text!r} is no rule: {rule}", "see the reference of fleet files")
            )
            continue
        for said, more in _cases(plan, fleet, rule):
            verdict, fix = _decided(
                rule, {**context, **{name: to_cel(value) for name, value in more.items()}}
            )
            if verdict:
                found.append(Violation(number, _told(message, said, verdict), fix))
                break
    return found


def plan_facts(plan: Plan) -> dict[str, Any]:
    """What rules see as ``plan``. Money is a decimal number always, since CEL does not compare 5 with 5.0."""
    return {
        "fleet": plan.fleet,
        "cost_per_hour": float(plan.cost_per_hour),
        "most_per_hour": float(plan.most_per_hour),
        "creates": sum(unit.machines for unit in plan.creates),
        "changes": sum(unit.machines for unit in plan.changes),
        "deletes": len(plan.deletes),
        "names": [unit.name for unit in (*plan.creates, *plan.changes)],
        "regions": sorted({one.location for one in _places(plan)}),
        "sizes": sorted({one.size for one in _places(plan)}),
    }


def _places(plan: Plan) -> list[Offer]:
    return [*(unit.offer for unit in (*plan.creates, *plan.changes)), *plan.fallbacks]


def _cases(plan: Plan, fleet: Mapping[str, Any], rule: _Rule) -> Iterator[tuple[str, dict[str, Any]]]:
    """What a rule is asked about: how it is called, and what it sees besides."""
    if "vm" not in rule.names:
        yield "", {}
        return
    for unit in (*plan.creates, *plan.changes):
        for offer in allowed_offers(plan, unit) if unit in plan.creates else [unit.offer]:
            fell = "" if offer == unit.offer else f" as fall-back {offer}"
            yield f"{unit.name}{fell}", {"vm": _machine(plan, fleet, unit, offer)}


def _machine(plan: Plan, fleet: Mapping[str, Any], unit: Unit, offer: Offer) -> dict[str, Any]:
    return {
        "name": unit.name,
        "size": offer.size,
        "region": offer.location,
        "spot": unit.spot,
        "machines": unit.machines,
        "cost_per_hour": float(plan.prices.get(offer.size, 0.0)),
        "public_ip": bool((fleet.get("network") or {}).get("public_ip")),
        "image": fleet.get("image") or "",
        "tags": dict(fleet.get("tags") or {}),
    }


def _decided(rule: _Rule, context: Mapping[str, Any]) -> tuple[str, str]:
    """Why it is not kept (``broken`` or a reason), and a remedy; two empty texts if it is."""
    unknown = sorted(rule.names - set(context))
    if unknown:
        return f"there is no {unknown[0]}", f"rules see: {', '.join(sorted(context))}"
    try:
        verdict = rule.decide(context)
    except Exception as error:  # noqa: BLE001  the library's errors, and those of what it calls
        return _reason(str(error.args[0] if error.args else error))
    if type(verdict).__name__ not in ("BoolType", "bool"):
        return "it gives no yes or no", "write a comparison"
    return ("", "") if verdict else ("broken", "")


def _reason(said: str) -> tuple[str, str]:
    if "IntType" in said and "DoubleType" in said:
        return "it compares a whole number with a decimal one", "write 5 for numbers, 5.0 for costs"
    member = re.search(r"no such member in mapping: '([^']*)'", said)
    if member is not None:
        return f"there is no {member[1]!r}", f"ask first: has(… .{member[1]})"
    return said.split(" (in activation", 1)[0][:200], ""


def _told(message: str, case: str, verdict: str) -> str:
    where = f" ({case})" if case else ""
    return f"{message}{where}" if verdict == "broken" else f"{message}{where}: can't be decided: {verdict}"


def _plain(fleet: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fleet.items() if value is not None}


def _language() -> tuple[Callable[[Any], Any], Callable[[str], "_Rule | str"]]:
    try:
        import celpy  # noqa: PLC0415
        from celpy.adapter import json_to_cel  # noqa: PLC0415
        from celpy.celparser import CELParseError  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise UsageError("policies need cel-python", fix='pip install "elspeth[policy]"') from error
    environment = celpy.Environment()

    def compiled(text: str) -> _Rule | str:
        try:
            tree = environment.compile(text)
        except CELParseError as error:
            place = f" at column {error.column}" if error.column else ""
            return f"it can't be read{place}"
        return _Rule(frozenset(_free_names(tree)), environment.program(tree).evaluate)

    return json_to_cel, compiled


def _free_names(tree: Any) -> Iterator[str]:
    """The variables that an expression uses (not members, not functions, not macros' own variables)."""
    bound = {
        str(next(call.children[2].children[0].find_data("ident")).children[0])
        for call in tree.find_data("member_dot_arg")
        if str(call.children[1]) in _MACROS and len(call.children) > 2
    }
    for node in tree.find_data("ident"):
        name = str(node.children[0])
        if name not in bound:
            yield name
