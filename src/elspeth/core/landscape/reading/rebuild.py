"""A row's data at every step, rebuilt from its payload and what each step changed, and checked.

A trace keeps the row that its token started with, and per step only the fields that changed. What
is rebuilt must have the hash that was recorded at the time; if not, the record was altered (or the
writer is wrong), and nothing is shown.
"""

from dataclasses import dataclass
from typing import Any

from elspeth.contracts.errors import CanonicalError, LandscapeError
from elspeth.core.canonical import load, load_values, row_digest
from elspeth.core.landscape.reading.lineage import Changes
from elspeth.core.landscape.reading.stored import StoredPath, StoredStep, StoredTrace

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class StepData:
    """A row before and after one step; None where it is purged, or where the step gave no row."""

    before: Row | None
    after: Row | None


@dataclass(frozen=True, slots=True)
class TokenData:
    """A token's row as it started, at each step, and as it was at last."""

    start: Row | None
    steps: tuple[StepData, ...]
    last: Row | None


def load_row(payload: str, shape: tuple[str, ...] | None) -> Row:
    """A stored row. Raises LandscapeError if it is not one, or not of that shape."""
    if shape is None:
        row = load(payload)
        if type(row) is not dict:
            raise LandscapeError(f"a stored row is not an object: {payload[:60]!r}")
        return row
    values = load_values(payload)
    if len(values) != len(shape):
        raise LandscapeError(
            f"a stored row has {len(values)} values for {len(shape)} fields: {payload[:60]!r}"
        )
    return dict(zip(shape, values, strict=True))


def rebuild(run_id: str, trace: StoredTrace, path: StoredPath, inherited: Row | None) -> TokenData:
    """Every state of one token's row; ``inherited`` is the parent's last row, for a token made by a fork.

    Raises LandscapeError, with row, token and step, if the record contradicts itself.
    """
    if trace.purged:
        return TokenData(None, (StepData(None, None),) * len(path.steps), None)
    where = f"run {run_id}, row {trace.row_no}, token {trace.token_no}"
    try:
        start = inherited if path.origin == "fork" else None
        if trace.payload is not None:
            start = load_row(trace.payload, path.shape)
        deltas = [] if trace.deltas is None else load_values(trace.deltas)
    except LandscapeError as error:
        raise LandscapeError(f"{where}: {error.what}") from error
    current, steps = start, []
    for step in path.steps:
        spot = f"{where}, step {step.step_index} ({step.node_id}, attempt {step.attempt})"
        if step.input_slot is not None:
            current = _whole(deltas, step.input_slot, spot)
        if current is None:
            steps.append(StepData(None, None))
            continue
        if step.in_slot is not None:
            _check(current, trace.hash_at(step.in_slot), f"{spot}: the input")
        after = None
        if step.out_slot is not None:
            after = current if step.delta_slot is None else _apply(current, step, deltas, spot)
            if after is not current or step.out_slot != step.in_slot:
                _check(after, trace.hash_at(step.out_slot), f"{spot}: the output")
        steps.append(StepData(current, after))
        current = current if after is None else after
    if not path.steps and start is not None and trace.hashes:
        _check(start, trace.hash_at(0), f"{where}: the starting row")
    return TokenData(start, tuple(steps), current)


def changes(data: StepData, step: StoredStep) -> Changes | None:
    """What the step did; None where it gave no row, or the data is purged."""
    if data.before is None or data.after is None:
        return None
    before, after = data.before, data.after
    candidates = after if step.fields is None and after is not before else {*step.changed, *step.renamed}
    touched = [name for name in after if name in candidates]
    return Changes(
        added={name: after[name] for name in touched if name not in before},
        changed={
            name: (before[name], after[name])
            for name in touched
            if name in before and (before[name] != after[name] or type(before[name]) is not type(after[name]))
        },
        removed={name: value for name, value in before.items() if name not in after},
    )


def _apply(before: Row, step: StoredStep, deltas: list[Any], spot: str) -> Row:
    if step.delta_slot is None or step.fields is None:
        return _whole(deltas, step.delta_slot, spot)
    values = deltas[step.delta_slot : step.delta_slot + len(step.changed)]
    if len(values) != len(step.changed):
        raise LandscapeError(
            f"{spot}: {len(values)} values are recorded for {len(step.changed)} changed fields"
        )
    new = dict(zip(step.changed, values, strict=True))
    try:
        new |= {name: before[old] for name, old in step.renamed.items()}
        return {name: new[name] if name in new else before[name] for name in step.fields or ()}
    except KeyError as error:
        raise LandscapeError(f"{spot}: field {error.args[0]!r} is neither in the input nor changed") from None


def _whole(deltas: list[Any], slot: int | None, spot: str) -> Row:
    if slot is None or slot >= len(deltas):
        raise LandscapeError(f"{spot}: its path asks for change {slot}, there are {len(deltas)}")
    row = deltas[slot]
    if type(row) is not dict:
        raise LandscapeError(f"{spot}: change {slot} is not a whole row")
    return row


def _check(row: Row, recorded: bytes, what: str) -> None:
    try:
        found = row_digest(row)
    except CanonicalError as error:
        raise LandscapeError(f"{what} has no canonical form: {error.what}") from error
    if found != recorded:
        raise LandscapeError(
            f"{what} has hash {found.hex()[:16]}…, recorded was {recorded.hex()[:16]}…",
            fix="the record was altered after the run: compare with a backup of the database",
        )
