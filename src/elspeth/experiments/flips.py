"""The rows on which the variants of a paired experiment disagree."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from elspeth.contracts.errors import UsageError
from elspeth.core.landscape import ids
from elspeth.core.landscape.variants.rows import ExperimentReader, ExperimentRun, VariantRow
from elspeth.experiments.judgements import compared


@dataclass(frozen=True, slots=True)
class Flip:
    """One row: what the control and one variant made of it. ``fields`` are those that differ.

    A field that one of the two does not have is missing from its side. A variant that failed has no
    fields: ``statuses`` says so. ``winner`` is ``control``, ``variant`` or ``tie``, if the run had a judge.
    """

    run_id: str
    row_index: int
    variant_id: str
    statuses: tuple[str, str]
    control: Mapping[str, Any]
    variant: Mapping[str, Any]
    winner: str | None = None

    @property
    def row_id(self) -> str:
        """The row's id."""
        return ids.row_id(self.run_id, self.row_index)

    @property
    def explain(self) -> str:
        """The command that tells the row's story."""
        return f"elspeth explain {self.run_id} --row {self.row_index}"

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values; what JSON lacks as its text."""
        return {
            "run_id": self.run_id,
            "row_index": self.row_index,
            "row_id": self.row_id,
            "variant_id": self.variant_id,
            "status": {"control": self.statuses[0], "variant": self.statuses[1]},
            "control": orjson.loads(orjson.dumps(dict(self.control), default=str)),
            "variant": orjson.loads(orjson.dumps(dict(self.variant), default=str)),
            "judge": self.winner,
            "explain": self.explain,
        }


def flips(reader: ExperimentReader, runs: Sequence[ExperimentRun]) -> Iterator[Flip]:
    """Every disagreement of a variant with the control, in order of rows. Raises UsageError for a split."""
    for run in runs:
        if run.experiment["mode"] != "paired":
            raise UsageError(
                f"experiment {run.experiment_id!r} splits rows, so no row has two results to compare",
                fix="run it with `mode: paired`",
            )
        yield from _of_run(reader, run)


def _of_run(reader: ExperimentReader, run: ExperimentRun) -> Iterator[Flip]:
    for one in compared(reader, run):
        flip = _compared(one.control, one.variant)
        if flip is not None:
            yield Flip(run.run_id, one.row_index, one.variant_id, *flip, one.winner)


def _compared(
    base: VariantRow, other: VariantRow
) -> tuple[tuple[str, str], dict[str, Any], dict[str, Any]] | None:
    ours, theirs = base.after or {}, other.after or {}
    statuses = (base.status, other.status)
    if base.status != other.status:
        incoming = base.before or {}
        new = {name: value for name, value in (ours or theirs).items() if incoming.get(name) != value}
        return statuses, new if ours else {}, new if theirs else {}
    differing = [name for name in {**ours, **theirs} if _other(ours, theirs, name)]
    if not differing:
        return None
    return (
        statuses,
        {name: ours[name] for name in differing if name in ours},
        {name: theirs[name] for name in differing if name in theirs},
    )


def _other(ours: Mapping[str, Any], theirs: Mapping[str, Any], name: str) -> bool:
    if (name in ours) != (name in theirs):
        return True
    return type(ours[name]) is not type(theirs[name]) or bool(ours[name] != theirs[name])
