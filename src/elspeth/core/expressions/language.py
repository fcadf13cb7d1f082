"""The words of the expression language, its limits, and the functions that hold growth in bounds.

What could make a small row into a large value (repetition, powers, concatenation, rounding to a
billion digits) goes through a function of this module, unless the operands show that it can't.
Sizes are those of results: text, lists and tuples up to `MAX_ELEMENTS`, integers made by ``*`` and
``**`` up to `MAX_BITS`. Reading a longer field of the row is fine, making one is not.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

MAX_TEXT: Final = 10_000
MAX_NODES: Final = 1_000
MAX_DEPTH: Final = 50
MAX_BITS: Final = 4_096
MAX_ELEMENTS: Final = 1_000_000
MAX_DIGITS: Final = 1_000

_SEQUENCES = (str, bytes, bytearray, list, tuple)


class LimitError(ValueError):
    """An operation would exceed a limit. The message names sizes and types, never values."""


def _weight(value: Any, budget: int) -> int:
    """How many elements ``value`` holds, nested ones included; stops counting beyond ``budget``.

    Repeating a list repeats references, so a short list of long lists costs little memory and
    unbounded time when it is compared: hence the nested count.
    """
    if isinstance(value, str | bytes | bytearray):
        return max(1, len(value))
    if not isinstance(value, list | tuple | dict | set | frozenset):
        return 1
    total = 0
    pending: list[Any] = [value]
    while pending and total <= budget:
        item = pending.pop()
        if isinstance(item, dict):
            pending.extend(item.keys())
            pending.extend(item.values())
        elif isinstance(item, list | tuple | set | frozenset):
            pending.extend(item)
        total += max(1, len(item)) if isinstance(item, str | bytes | bytearray) else 1
    return total


def _repeat(sequence: Any, count: int) -> Any:
    if count > 1 and _weight(sequence, MAX_ELEMENTS // count) * count > MAX_ELEMENTS:
        raise LimitError(f"repeating this would give more than {MAX_ELEMENTS:,} elements")
    return sequence * count


def times(left: Any, right: Any) -> Any:
    """``left * right`` within the limits."""
    if isinstance(left, int):
        if isinstance(right, int):
            if left.bit_length() + right.bit_length() > MAX_BITS + 1 and left and right:
                raise LimitError(f"the product would have more than {MAX_BITS:,} bits")
            return left * right
        if isinstance(right, _SEQUENCES):
            return _repeat(right, left)
    elif isinstance(right, int) and isinstance(left, _SEQUENCES):
        return _repeat(left, right)
    return left * right


def plus(left: Any, right: Any) -> Any:
    """``left + right`` within the limits."""
    if isinstance(left, int | float):
        return left + right
    if isinstance(left, _SEQUENCES) and isinstance(right, _SEQUENCES):
        size = len(left) + len(right)
        if size > MAX_ELEMENTS:
            raise LimitError(f"the result would have {size:,} elements, more than {MAX_ELEMENTS:,}")
    return left + right


def power(base: Any, exponent: Any) -> Any:
    """``base ** exponent`` within the limits; real numbers only."""
    if isinstance(base, int) and isinstance(exponent, int):
        if abs(base) > 1 and base.bit_length() * abs(exponent) > MAX_BITS + abs(exponent):
            raise LimitError(f"the power would have more than {MAX_BITS:,} bits")
        result: Any = base**exponent
        if isinstance(result, int) and result.bit_length() > MAX_BITS:
            raise LimitError(f"the power would have more than {MAX_BITS:,} bits")
        return result
    result = base**exponent
    if isinstance(result, complex):
        raise LimitError("a root of a negative number is not a real number")
    return result


def modulo(left: Any, right: Any) -> Any:
    """The remainder of a division; ``%`` never formats text."""
    if isinstance(left, str | bytes | bytearray):
        raise TypeError("% is the remainder of a division; it does not format text")
    return left % right


def rounded(number: Any, digits: Any = None) -> Any:
    """``round`` within the limits: at most `MAX_DIGITS` places either way."""
    if isinstance(number, Decimal) and number.is_finite() and number.adjusted() > MAX_DIGITS:
        raise LimitError(f"a decimal of more than {MAX_DIGITS:,} digits can't be rounded here")
    if digits is None:
        return round(number)
    if isinstance(digits, int) and abs(digits) > MAX_DIGITS:
        raise LimitError(f"round() takes at most {MAX_DIGITS:,} places")
    return round(number, digits)


FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {
        "abs": abs,
        "endswith": str.endswith,
        "len": len,
        "lower": str.lower,
        "max": max,
        "min": min,
        "round": rounded,
        "startswith": str.startswith,
        "upper": str.upper,
    }
)
"""The functions of the language. The four text functions refuse anything but text."""

ARITY: Final[Mapping[str, tuple[int, int]]] = MappingProxyType(
    {
        "abs": (1, 1),
        "endswith": (2, 2),
        "len": (1, 1),
        "lower": (1, 1),
        "max": (1, MAX_NODES),
        "min": (1, MAX_NODES),
        "round": (1, 2),
        "startswith": (2, 2),
        "upper": (1, 1),
    }
)

METHODS: Final = frozenset({"lower", "upper", "startswith", "endswith"})
"""The functions that may also be written as methods: ``row['x'].lower()``."""

GUARDS: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {"_times": times, "_plus": plus, "_power": power, "_modulo": modulo}
)
"""What compiled code calls instead of an operator. No name of the language starts with ``_``."""
