"""What the batch transforms share: groups of rows, and how a batch is turned away because of one row."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from elspeth.contracts.plugins import AnyToken, Row
from elspeth.contracts.results import TransformResult
from elspeth.core.canonical import canonical
from elspeth.core.config.models_base import broken_rule


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    for index, name in enumerate(names):
        if name in names[:index]:
            raise broken_rule(f"field '{name}' is named twice", fix="take one out")
    return names


GroupBy = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_as_list), AfterValidator(_each_once)
]


def grouped(rows: Sequence[Row], fields: Sequence[str]) -> list[tuple[list[Any], list[int]]]:
    """The rows' places by the values of ``fields``: (values, places), groups in order of their first rows.

    Values are the same if they have the same canonical form: 5 and 5.0 are, 1 and true are not. A
    field that a row lacks counts as null. Without fields, all rows are one group.
    """
    groups: dict[bytes, tuple[list[Any], list[int]]] = {}
    for place, row in enumerate(rows):
        values = [row.get(name) for name in fields]
        groups.setdefault(canonical(values), (values, []))[1].append(place)
    return list(groups.values())


def turned_away(
    reason: dict[str, Any], place: int, rows: Sequence[Row], tokens: Sequence[AnyToken]
) -> TransformResult:
    """The batch as a whole is an error, because of the row at ``place``, which the reason then names."""
    where = f"row {place + 1} of the {len(rows)} in this batch"
    facts = {**reason, "error": f"{where}: {reason['error']}", "row_in_batch": place}
    if len(tokens) == len(rows):
        facts["token_id"] = tokens[place].token_id
    return TransformResult.error(facts)


def names_taken(new: Iterable[str], taken: Iterable[str], at: str) -> None:
    """Refuse the option ``at`` if it names a field that the transform itself makes."""
    for name in taken:
        if name in set(new):
            raise broken_rule(
                f"'{name}' is a field of the result, and can't be the name of a group too",
                fix="rename the field first, with field_mapper",
                at=(at,),
            )
