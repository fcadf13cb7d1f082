"""CSV text into records, each with the lines it came from; a broken one does not take others along."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from elspeth.plugins.sources.blocks import Block, BlockReader, Encoding


@dataclass(frozen=True, slots=True)
class Record:
    """One record. ``first`` and ``end`` are indexes into its block's lines; ``error`` if it is broken."""

    first: int
    end: int
    cells: list[str]
    error: str = ""


def allow_fields_of(size: int) -> None:
    """Let the csv module accept fields of this size (its limit is one for the whole process)."""
    if csv.field_size_limit() < size:
        csv.field_size_limit(size)


def records(lines: Sequence[str], dialect: dict[str, Any], give_up: int) -> tuple[list[Record], int]:
    """Records and the index of the first line that is not in one.

    A record that is still open at the last line is left for later; if it begins before line
    ``give_up`` it is broken instead. Of a broken record only the first line is taken: the lines
    after it are read anew, because they may be good rows that an unclosed quote swallowed.
    """
    found: list[Record] = []
    first = 0
    while first < len(lines):
        base = first
        reader = csv.reader(lines[base:] if base else lines, strict=True, **dialect)
        while True:
            try:
                for cells in reader:
                    found.append(Record(first, base + reader.line_num, cells))
                    first = base + reader.line_num
                break
            except csv.Error as error:
                is_open = "unexpected end" in str(error)
                if is_open and first >= give_up:
                    return found, first
                reason = "a quote is opened and never closed" if is_open else str(error)
                found.append(Record(first, first + 1, [], reason))
                first += 1
                if first != base + reader.line_num:
                    break
    return found, first


def complete_blocks(
    reader: BlockReader, source: Iterator[Block], dialect: dict[str, Any], max_record: int
) -> Iterator[tuple[Block, list[list[str]] | None, list[Record]]]:
    """Blocks that end where a record ends, each with its rows, or (if any is odd) its records.

    ``rows`` is None where something in the block was broken: then ``records`` has every record.
    """
    pending: Block | None = None
    wanted = 0
    for incoming in source:
        if incoming.too_long:
            if pending:
                yield pending, None, records(pending.lines, dialect, len(pending.lines))[0]
                pending = None
            yield incoming, None, []
            continue
        block = join(pending, incoming) if pending else incoming
        pending = None
        # Re-reading an open record pays only when it has doubled: else long records cost time squared.
        if len(block.text) < wanted:
            pending = block
            continue
        wanted = 0
        try:
            yield block, list(csv.reader(block.lines, strict=True, **dialect)), []
            continue
        except csv.Error:
            found, left = records(block.lines, dialect, 1 if len(block.text) > max_record else 0)
        if found:
            yield block if left == len(block.lines) else head(block, left), None, found
        if left < len(block.lines):
            pending = tail(block, left, reader.encoding)
            wanted = 2 * len(pending.text)
    if pending:
        yield pending, None, records(pending.lines, dialect, len(pending.lines))[0]


def join(first: Block, second: Block) -> Block:
    """Two blocks that follow each other, as one."""
    return Block(
        first.offset,
        first.line,
        first.text + second.text,
        first.lines + second.lines,
        first.clean and second.clean,
    )


def head(block: Block, lines: int) -> Block:
    """The first lines of a block."""
    kept = block.lines[:lines]
    return Block(block.offset, block.line, "".join(kept), kept, block.clean)


def tail(block: Block, lines: int, encoding: Encoding) -> Block:
    """A block without its first lines."""
    kept = block.lines[lines:]
    skipped = encoding.size("".join(block.lines[:lines]))
    return Block(block.offset + skipped, block.line + lines, "".join(kept), kept, block.clean)


def line_starts(rows: Sequence[Sequence[str]], line: int) -> Iterator[int]:
    """The line at which each row starts, the first at ``line`` (a record spans as many as its cells hold)."""
    for row in rows:
        yield line
        text = "|".join(row)
        line += 1
        if "\n" in text or "\r" in text:
            line += text.count("\n") + text.count("\r") - text.count("\r\n")
