"""Proofs that fit into a file: a record, its place in the tree, the way from there to a signed head.

The file holds one C2SP tlog-proof (https://c2sp.org/tlog-proof) per record, with an empty line between.
The record itself is each proof's ``extra``: JSON with its kind and its values, from which the leaf is
made. Whoever has the file and the signer's public key needs no database.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from elspeth.contracts.errors import UsageError
from elspeth.core.landscape.ledger.heads import Checkpoint, NoteError, VerifierKey, parse_note
from elspeth.core.landscape.ledger.leaves import leaf, trace_leaf
from elspeth.core.landscape.ledger.tree import root_from_path

FIRST_LINE = "c2sp.org/tlog-proof@v1"


class ProofUnreadableError(UsageError):
    """A file holds no proof, or not the whole of one."""


@dataclass(frozen=True, slots=True)
class ProvenRecord:
    """One record with the way from its leaf to the root. ``values`` are all of its columns."""

    kind: str
    values: Sequence[Any]
    index: int
    path: Sequence[bytes]

    @property
    def leaf(self) -> bytes:
        return leaf_of(self.kind, self.values)

    def leads_to(self, head: Checkpoint) -> bool:
        """Whether this record is in the tree that the head is of."""
        try:
            return root_from_path(self.leaf, self.index, head.size, self.path) == head.root
        except (TypeError, ValueError, OverflowError):
            return False


@dataclass(frozen=True, slots=True)
class RowProof:
    """One row's records under one head; ``note`` is that head as text."""

    records: tuple[ProvenRecord, ...]
    note: str

    @property
    def head(self) -> Checkpoint:
        return parse_note(self.note)

    def to_text(self) -> str:
        """The proof as a file."""
        return "\n".join(_part(record, self.note) for record in self.records)


def leaf_of(kind: str, values: Sequence[Any]) -> bytes:
    """The leaf of a record of any kind. Raises TypeError or ValueError for values that make none."""
    return trace_leaf(tuple(values)) if kind == "trace" else leaf(kind, values)


def _part(record: ProvenRecord, note: str) -> str:
    extra = orjson.dumps(
        {"kind": record.kind, "values": list(record.values)}, default=lambda value: {"base64": _text(value)}
    )
    path = "".join(f"{_text(each)}\n" for each in record.path)
    return f"{FIRST_LINE}\nextra {_text(extra)}\nindex {record.index}\n{path}\n{note}"


def parse_proof(text: str) -> RowProof:
    """The proof in a file's text; nothing is checked but its form.

    Raises ProofUnreadableError, which says what is wrong, for anything else and for parts that
    are under different heads.
    """
    first, *parts = f"\n{text}".split(f"\n{FIRST_LINE}\n")
    if first.strip() or not parts:
        raise ProofUnreadableError(
            f"this is no proof: it does not begin with {FIRST_LINE}",
            fix="make one with `elspeth prove RUN --row N -o proof.txt`",
        )
    records, notes = [], set()
    for number, part in enumerate(parts, start=1):
        try:
            # What was joined with an empty line lost the newline of its last line to the split.
            body = part if number == len(parts) else f"{part.removesuffix(chr(10))}\n"
            record, note = _parse_part(body)
            parse_note(note)
        except (NoteError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ProofUnreadableError(
                f"part {number} of the proof is not whole: {error}", fix="get the file once more"
            ) from error
        records.append(record)
        notes.add(note)
    if len(notes) > 1:
        origins = ", ".join(sorted({parse_note(note).origin for note in notes}))
        raise ProofUnreadableError(
            f"the parts of this proof are under {len(notes)} different heads ({origins})",
            fix="a proof is one file as `elspeth prove` made it; don't join two",
        )
    return RowProof(tuple(records), notes.pop())


def _parse_part(part: str) -> tuple[ProvenRecord, str]:
    head, blank, note = part.partition("\n\n")
    lines = head.split("\n")
    if not blank or len(lines) < 2 or not lines[0].startswith("extra ") or not lines[1].startswith("index "):
        raise ValueError("it should have the lines extra, index, hashes, an empty one, and a head")
    document = orjson.loads(_bytes(lines[0].removeprefix("extra ")))
    index = lines[1].removeprefix("index ")
    if not (index.isascii() and index.isdigit()) or str(int(index)) != index:
        raise ValueError("the index is no number")
    path = [_bytes(line) for line in lines[2:]]
    if any(len(each) != 32 for each in path):
        raise ValueError("a hash is not whole")
    values = [_value(value) for value in document["values"]]
    return ProvenRecord(str(document["kind"]), values, int(index), path), note


def _value(value: Any) -> Any:
    return _bytes(value["base64"]) if isinstance(value, Mapping) else value


def _text(value: bytes) -> str:
    return b64encode(value).decode()


def _bytes(text: str) -> bytes:
    return b64decode(text, validate=True)


@dataclass(frozen=True, slots=True)
class ProofReport:
    """What a proof proves. ``problems`` is empty if it holds; ``signed_by`` is None if no key was given."""

    proof: RowProof
    run_id: str
    signed_by: str | None
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.problems


def check_proof(
    proof: RowProof, key: VerifierKey | None = None, anchored: Sequence[Checkpoint] | None = None
) -> ProofReport:
    """Check every record's way to the head, the head's signature (with ``key``), and that it was anchored."""
    head, problems, notes = proof.head, [], []
    try:
        run_id = head.run_id
    except NoteError as error:
        run_id = ""
        problems.append(str(error))
    for record in proof.records:
        if not record.leads_to(head):
            problems.append(
                f"{record.kind} at leaf {record.index}: it is not in the tree that the head is of"
            )
    problems += _of_one_run(proof, run_id)
    signed_by = None
    if key is None:
        notes.append(
            "the signature was not checked: give the signer's public key (--key)"
            if head.signatures
            else "the head is not signed: it proves nothing unless it was anchored (--anchor)"
        )
    elif key.signed(head):
        signed_by = key.name
    else:
        why = "its signature is not by the key" if head.signatures else "it is not signed, so not by the key"
        problems.append(f"the head: {why} {key.name}")
    if anchored is not None and (head.origin, head.size, head.root) not in {
        (each.origin, each.size, each.root) for each in anchored
    }:
        problems.append("the head is not in the anchor file")
    return ProofReport(proof, run_id, signed_by, tuple(problems), tuple(notes))


def _of_one_run(proof: RowProof, run_id: str) -> list[str]:
    """A run's number stands for its id only if the run's own record says so, under the same head."""
    runs = [record.values for record in proof.records if record.kind == "run"]
    if len(runs) != 1 or len(runs[0]) < 2 or runs[0][1] != run_id:
        return [f"it holds no record of the run {run_id} that its head is of"]
    wrong = {
        record.kind
        for record in proof.records
        if record.kind in ("trace", "path", "error", "join") and record.values[:1] != runs[0][:1]
    }
    return [f"{kind}: it is of another run than {run_id}" for kind in sorted(wrong)]
