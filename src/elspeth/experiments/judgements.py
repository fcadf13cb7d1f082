"""Pairs for a judge, and what judges said of them: who won, and how often the order decided."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from elspeth.contracts.errors import UsageError
from elspeth.contracts.judging import CONTROL, FAILED, FLIPPED, FLIPS, TIE, UNPAIRED, VARIANT, WINNER
from elspeth.core.canonical import digest
from elspeth.core.landscape.variants.rows import ExperimentReader, ExperimentRun, VariantRow, judge_name
from elspeth.experiments.kept import read_recorded
from elspeth.experiments.statistics.distributions import binomial_two_sided
from elspeth.experiments.statistics.proportions import Share, wilson


@dataclass(frozen=True, slots=True)
class Pair:
    """What the control and one variant made of one row; only where both made something."""

    experiment_id: str
    run_id: str
    row_index: int
    variant_id: str
    incoming: Mapping[str, Any]
    control: Mapping[str, Any]
    variant: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """A row for ``llm_judge``: answers without the fields that came in."""
        return {
            "experiment_id": self.experiment_id,
            "experiment_run": self.run_id,
            "row_index": self.row_index,
            "variant_id": self.variant_id,
            "input": dict(self.incoming),
            "control": _made(self.incoming, self.control),
            "variant": _made(self.incoming, self.variant),
        }


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a judge said of one variant. ``flipped`` answers turned with the order, and are ties.

    ``run_id`` is the (newest) run in which it did. ``failed`` pairs could not be judged, of ``unpaired`` rows
    an answer is missing: a variant had failed.
    """

    variant_id: str
    judge: str
    run_id: str
    wins: int
    ties: int
    losses: int
    flipped: int
    failed: int
    unpaired: int = 0

    @property
    def judged(self) -> int:
        """Pairs that were judged."""
        return self.wins + self.ties + self.losses

    @property
    def p(self) -> float:
        """The sign test's, over pairs that are no ties."""
        return binomial_two_sided(self.wins, self.wins + self.losses)

    @property
    def flip_rate(self) -> tuple[float, float, float] | None:
        """The share that turned with the order, with Wilson's interval."""
        if not self.judged:
            return None
        return (self.flipped / self.judged, *wilson(Share(self.flipped, self.judged)))


def pairs(reader: ExperimentReader, runs: Sequence[ExperimentRun]) -> Iterator[Pair]:
    """Every pair of a variant with the control, in order of rows. Raises UsageError for a split."""
    for run in runs:
        if run.experiment["mode"] != "paired":
            raise UsageError(
                f"experiment {run.experiment_id!r} splits rows, so no row has two results to judge",
                fix="run it with `mode: paired`",
            )
        for one in compared(reader, run):
            control, variant = one.control, one.variant
            if control.after is not None and variant.after is not None:
                before = control.before or {}
                yield Pair(
                    run.experiment_id, run.run_id, one.row_index, one.variant_id, before, control.after,
                    variant.after,
                )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Compared:
    """One row at the control and at one variant. ``winner`` is what the run's own judge said, if it did."""

    row_index: int
    variant_id: str
    control: VariantRow
    variant: VariantRow
    winner: str | None


def compared(reader: ExperimentReader, run: ExperimentRun) -> Iterator[Compared]:
    """Every variant of every row beside the control, in order of rows."""
    variant_of = {node: variant for variant, node in run.nodes.items()}
    judged = {nodes["judge"]: variant for variant, nodes in run.judges.items()}
    control = run.experiment["control"] or run.experiment["variants"][0]["variant_id"]
    watched = replace(run, nodes={node: node for node in (*variant_of, *judged)})
    for row_no, of_row in groupby(reader.rows(watched, with_data=True), key=lambda row: row.row_no):
        sent: dict[int | None, dict[str, VariantRow]] = {}
        said: dict[str, list[str | None]] = {}
        for row in of_row:
            if row.node_id in judged:
                said.setdefault(judged[row.node_id], []).append((row.after or {}).get(WINNER))
            else:
                sent.setdefault(row.sent_by, {})[variant_of[row.node_id]] = row
        for together in sent.values():
            base = together.pop(control, None)
            if base is not None:
                for variant_id, other in together.items():
                    winners = said.get(variant_id, [])
                    # A row that came apart before the experiment has several: nobody knows whose is whose.
                    yield Compared(row_no, variant_id, base, other, winners[0] if len(winners) == 1 else None)


def judgements(
    reader: ExperimentReader, runs: Sequence[ExperimentRun], *, from_rows: bool = False
) -> list[Judgement]:
    """What judges said of these runs: the experiment's own, all runs together, then others."""
    return [*_own(reader, runs, from_rows=from_rows), *_others(reader, runs)]


def _own(reader: ExperimentReader, runs: Sequence[ExperimentRun], *, from_rows: bool) -> Iterator[Judgement]:
    """By the judges that were part of the runs. Judges that differ in their options are different ones."""
    found: dict[tuple[str, str], tuple[str, str, Counter[str]]] = {}
    for run in runs:
        if not run.judges:
            continue
        settings = run.experiment["judge"]
        last = None if from_rows else reader.recorded(run)
        said = _said(reader, run) if last is None else read_recorded(last[1]).judged
        name, key = judge_name(settings, settings["plugin"]), digest(settings).hex()
        for variant in run.judges:
            found.setdefault((variant, key), (name, run.run_id, Counter()))[2].update(said.get(variant, {}))
    order = list(runs[0].nodes)
    for (variant, _), (name, run_id, counts) in sorted(found.items(), key=lambda one: order.index(one[0][0])):
        yield _judgement(variant, name, run_id, counts)


def _said(reader: ExperimentReader, run: ExperimentRun) -> dict[str, Counter[str]]:
    """Variant → what was said of it → how often, from the rows themselves."""
    found: dict[str, Counter[str]] = {}
    of = {node: variant for variant, nodes in run.judges.items() for node in nodes.values()}
    gates = {nodes["whole"] for nodes in run.judges.values()}
    for row in reader.rows(replace(run, nodes={node: node for node in of}), with_data=True):
        counts = found.setdefault(of[row.node_id], Counter())
        if row.node_id not in gates:
            if row.status in ("completed", "failed"):
                after = row.after or {}
                counts[FAILED if row.status == "failed" else str(after.get(WINNER))] += 1
                counts[FLIPS] += after.get(FLIPPED) is True
        elif not {CONTROL, VARIANT} <= (row.before or {}).keys():  # else it is with the judge
            counts[UNPAIRED] += 1
    return found


def _judgement(variant: str, judge: str, run_id: str, counts: Mapping[str, int]) -> Judgement:
    wins, ties, losses, flipped, unpaired = (
        counts.get(name, 0) for name in (VARIANT, TIE, CONTROL, FLIPS, UNPAIRED)
    )
    # A judge that says nothing that is known has not judged.
    failed = sum(counts.values()) - wins - ties - losses - flipped - unpaired
    return Judgement(variant, judge, run_id, wins, ties, losses, flipped, failed, unpaired)


def _others(reader: ExperimentReader, runs: Sequence[ExperimentRun]) -> list[Judgement]:
    """By runs that judged the pairs afterwards: the newest of each variant and judge."""
    known = {run.run_id for run in runs}
    found: dict[tuple[str, str], Judgement] = {}
    for judging, judge in reader.judging_runs():
        here: dict[str, Counter[str]] = {}
        for row in reader.rows(judging, with_data=True):
            pair = row.after or row.before or {}
            mine = pair.get("experiment_id") == runs[0].experiment_id and pair.get("experiment_run") in known
            if not mine:
                continue
            counts = here.setdefault(str(pair.get("variant_id")), Counter())
            counts[FAILED if row.status == "failed" else str(pair.get(WINNER))] += 1
            counts[FLIPS] += pair.get(FLIPPED) is True
        for variant, counts in here.items():
            found.setdefault((variant, judge), _judgement(variant, judge, judging.run_id, counts))
    return list(found.values())


def _made(incoming: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in after.items() if name not in incoming or incoming[name] != value}
