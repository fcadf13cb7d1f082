"""What can be wrong with a line of text, whatever is in it."""

from pathlib import Path

from elspeth.contracts.plugins import Quarantined
from elspeth.plugins.sources.blocks import BLOCK_BYTES, Block, Encoding


def line_fault(block: Block, index: int, encoding: Encoding) -> str:
    """Why this line of the block can't be used; empty if it can."""
    text = block.lines[index]
    number = block.line + index
    if not block.clean and (bad := encoding.bad_byte(text)):
        offset = block.offset + encoding.size("".join(block.lines[:index])) + bad[0]
        return (
            f"line {number}: byte 0x{bad[1]:02x} at offset {offset:,} is not {encoding.codec}; "
            "if the whole file is like this, set encoding (for example cp1252)"
        )
    if "\0" in text:
        return f"line {number} has a NUL character"
    return ""


def too_long(block: Block, limit: int) -> Quarantined:
    """The row for a line beyond the limit, of which the block has only the beginning."""
    reason = f"line {block.line} has {block.too_long:,} bytes, more than max_field_bytes ({limit:,})"
    return Quarantined({"_raw": block.text}, reason, None, block.line)


def estimated_lines(path: Path) -> int | None:
    """About how many lines a file has, judged by its beginning; None if it can't be read."""
    try:
        with open(path, "rb") as file:
            head = file.read(BLOCK_BYTES)
        lines = head.count(b"\n")
        return round(path.stat().st_size / len(head) * lines) if lines else None
    except OSError:
        return None
