"""From text to a syntax tree, with hints for what people write by habit from other languages."""

import ast
import re
import warnings

from elspeth.contracts.errors import ExpressionError
from elspeth.core.expressions.language import MAX_DEPTH, MAX_NODES, MAX_TEXT

_STRING = re.compile(r"'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"")

_HABITS: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (re.compile(r"[\u2018\u2019\u201c\u201d]"), "typographic quotes are not quotes here", "write ' or \""),
    (re.compile(r"&&"), "'&&' is not an operator here", "write 'and'"),
    (re.compile(r"\|\|"), "'||' is not an operator here", "write 'or'"),
    (re.compile(r"===?=|!=="), "there is no such comparison", "write '==' or '!='"),
    (re.compile(r"<>"), "'<>' is not an operator here", "write '!='"),
    (re.compile(r"=<|=>"), "there is no such comparison", "write '<=' or '>='"),
    (re.compile(r":="), "nothing can be assigned in an expression", "write '==' to compare"),
    (re.compile(r"(?<![=!<>])=(?!=)"), "'=' assigns, and nothing can be assigned", "write '==' to compare"),
    (re.compile(r"!(?!=)"), "'!' is not an operator here", "write 'not'"),
    (re.compile(r"\?"), "there is no '? :' here", "write 'this if condition else that'"),
    (re.compile(r"\bAND\b"), "'AND' is not an operator here", "write 'and' in small letters"),
    (re.compile(r"\bOR\b"), "'OR' is not an operator here", "write 'or' in small letters"),
    (re.compile(r"\bNOT\b"), "'NOT' is not an operator here", "write 'not' in small letters"),
    (re.compile(r"\bIN\b"), "'IN' is not an operator here", "write 'in' in small letters"),
    (re.compile(r"\bIS\b"), "'IS' is not an operator here", "write 'is None' or 'is not None'"),
    (
        re.compile(r"(?i)\blike\b"),
        "there is no LIKE here",
        "write startswith(…), endswith(…) or 'part' in row['x']",
    ),
    (re.compile(r"(?i)\bbetween\b"), "there is no BETWEEN here", "write low <= row['x'] <= high"),
    (re.compile(r"[;]"), "an expression is one single value", "remove the ';'"),
)


def parse(text: str) -> ast.expr:
    """Return the tree of ``text``; its size is within the limits, its meaning is not checked yet."""
    if not isinstance(text, str):
        raise ExpressionError(
            f"an expression is text, not {type(text).__name__}", fix="put it in quotes", expression=str(text)
        )
    if len(text) > MAX_TEXT:
        raise ExpressionError(
            f"the expression has {len(text):,} characters; {MAX_TEXT:,} is the limit",
            fix="compute parts of it in a value_transform first",
            expression=text,
        )
    if not text.strip():
        raise ExpressionError(
            "the expression is empty", fix="write a condition, e.g. row['x'] > 0", expression=text
        )
    tree = _parse(text)
    _measure(tree, text)
    return tree


def source_of(text: str) -> str:
    """The text that the offsets of the tree refer to: one line, as long as ``text`` is after its indent."""
    return re.sub(r"[\r\n\f]", " ", text).strip()


def offset_of(text: str, node: ast.AST) -> int:
    """The 0-based column of ``node`` in ``text`` (trees count bytes of UTF-8, people characters)."""
    column: int = getattr(node, "col_offset", 0)
    start = len(text) - len(text.lstrip())
    return start + len(source_of(text).encode("utf-8", "surrogatepass")[:column].decode("utf-8", "replace"))


def segment(text: str, node: ast.expr) -> str:
    """The piece of ``text`` that ``node`` was parsed from."""
    encoded = source_of(text).encode("utf-8", "surrogatepass")
    return encoded[node.col_offset : node.end_col_offset].decode("utf-8", "replace")


def _parse(text: str) -> ast.expr:
    try:
        with warnings.catch_warnings():
            # An invalid escape such as '\d' is only a warning in Python; here it is an error.
            warnings.simplefilter("error")
            return ast.parse(source_of(text), filename="<expression>", mode="eval").body
    except SyntaxError as error:
        raise _explain(text, error) from None
    except (ValueError, MemoryError, RecursionError, OverflowError):
        raise ExpressionError(
            "the expression is nested too deeply, or holds a character or number that can't be read",
            fix="make it simpler",
            expression=text,
        ) from None


def _explain(text: str, error: SyntaxError) -> ExpressionError:
    start = len(text) - len(text.lstrip())
    masked = _STRING.sub(lambda found: "_" * len(found.group()), text)
    for pattern, what, fix in _HABITS:
        if found := pattern.search(masked):
            return ExpressionError(what, fix=fix, expression=text, offset=found.start())
    offset = min(len(text), max(0, start + (error.offset or 1) - 1))
    what = (error.msg or "invalid syntax").split(" (")[0]
    what = what.removesuffix(". Perhaps you forgot a comma?")
    return ExpressionError(
        f"this can't be read: {what}", fix=_syntax_fix(error), expression=text, offset=offset
    )


def _syntax_fix(error: SyntaxError) -> str:
    message = error.msg or ""
    if "string" in message and "unterminated" in message:
        return "close the quote"
    if "never closed" in message or "EOF" in message:
        return "close the bracket"
    if "unmatched" in message:
        return "remove the bracket, or open it"
    if "escape" in message:
        return "write \\\\ for a backslash"
    return "check the operators and quotes near this place; fields are written row['name']"


def _measure(tree: ast.expr, text: str) -> None:
    nodes, pending = 0, [(tree, 1)]
    while pending:
        node, depth = pending.pop()
        nodes += 1
        if depth > MAX_DEPTH or nodes > MAX_NODES:
            limit = f"{MAX_DEPTH} levels deep" if depth > MAX_DEPTH else f"{MAX_NODES:,} parts"
            raise ExpressionError(
                f"the expression is too large: more than {limit}",
                fix="compute parts of it in a value_transform first",
                expression=text,
                offset=offset_of(text, node),
            )
        pending.extend(
            (child, depth + 1) for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)
        )
