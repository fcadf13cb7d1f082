"""What brings rows together: joins and batches, as lines of a row's story."""

from collections.abc import Iterator, Sequence

from rich.text import Text

from elspeth.cli.text import printable, quantity
from elspeth.core.landscape.reading.lineage import BatchMembership, MergeRecord, NodeStateRecord, TokenLineage

_SHOWN = 5


def made_of(token: TokenLineage) -> Iterator[Text]:
    """Of a joined token and of a batch's result: what it was made of."""
    if token.merge is not None:
        yield from _merge(token.merge, token.parents)
    if token.origin == "batch":
        for place in token.batches:
            if place.role == "out":
                members = place.batch.members
                yield _batch(place).append(f" of {quantity(len(members), 'row')}: {_listed(members)}")


def taken_up_at(place: BatchMembership, state: NodeStateRecord) -> bool:
    """Whether it was at this state that the token was a batch's member."""
    return place.role == "in" and place.batch.node_id == state.node_id


def taken_up(place: BatchMembership) -> Text:
    """With how many others a member was handled, why then, and what came out."""
    batch = place.batch
    text = _batch(place).append(f": row {place.ordinal + 1} of {len(batch.members)}")
    if batch.status != "completed":
        return text.append(f", {batch.status}", style="bold red")
    if batch.results == batch.members:
        return text.append(", each went on")
    return text.append(
        f" → {quantity(len(batch.results), 'row')}: {_listed(batch.results)}"
        if batch.results
        else " → no row"
    )


def _merge(merge: MergeRecord, parents: Sequence[str]) -> Iterator[Text]:
    arrived = ", ".join(
        f"{printable(branch)} ({_number(parent)})"
        for branch, parent in zip(merge.branches, parents, strict=False)
    )
    yield Text(f"{merge.merge} of {arrived}, policy {merge.policy}")
    if merge.merge != "union":
        return
    for branch in merge.branches:
        fields = [printable(name) for name, origin in merge.origins.items() if origin == branch]
        if fields:
            yield Text().append(f"from {printable(branch)}: ", style="dim").append(", ".join(fields))


def _batch(place: BatchMembership) -> Text:
    """The batch, and what completed it."""
    batch = place.batch
    trigger = batch.trigger_type.replace("_", " ")
    return Text().append(f"batch {printable(batch.batch_id)}", style="cyan").append(f" ({trigger})")


def _listed(tokens: Sequence[str]) -> str:
    if not tokens:
        return "none"
    more = len(tokens) - _SHOWN
    return ", ".join(map(printable, tokens[:_SHOWN])) + (f" and {more:,} more" if more > 0 else "")


def _number(token_id: str) -> str:
    """The token's number in its row: the end of its id."""
    return printable(token_id.rpartition("-")[2])
