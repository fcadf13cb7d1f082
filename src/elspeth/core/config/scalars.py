"""Scalars by the core schema of YAML 1.2.2 (section 10.3.2): ``yes`` and ``1_000`` are text."""

import math
import re

Scalar = str | int | float | bool | None

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+\Z")
_OCTAL = re.compile(r"0o[0-7]+\Z")
_HEX = re.compile(r"0x[0-9a-fA-F]+\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_SPECIAL = re.compile(r"([-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))\Z")
MAX_DIGITS = 1_000

_STANDARD = "tag:yaml.org,2002:"


class BadScalar(ValueError):
    """A value that cannot be what it says. ``what`` and ``fix`` are for the reader."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix


def resolve(text: str) -> Scalar:
    """The value of an unquoted scalar. Raises BadScalar for numbers beyond any use."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if text[0] not in "-+.0123456789":
        return text
    return _number(text)


def _number(text: str) -> Scalar:
    if _INT.match(text) or _OCTAL.match(text) or _HEX.match(text):
        if len(text) > MAX_DIGITS:
            raise BadScalar("a number of more than 1,000 digits", "quote it if text is meant")
        return int(text, 0) if text[:2] in {"0o", "0x"} else int(text)
    special = _SPECIAL.match(text) is not None
    if not special and not _FLOAT.match(text):
        return text
    value = math.nan if special else float(text)
    if not math.isfinite(value):
        raise BadScalar(
            f"{text} is not a finite number, and has no place in a pipeline file", "quote it if text is meant"
        )
    return value


def resolve_tagged(text: str, tag: str) -> Scalar:
    """The value of a scalar with an explicit tag such as ``!!int``. Raises BadScalar."""
    if tag in {"!", _STANDARD + "str"}:
        return text
    wanted = tag.removeprefix(_STANDARD)
    value = resolve(text)
    fits: dict[str, bool] = {
        "int": isinstance(value, int) and not isinstance(value, bool),
        "float": isinstance(value, int | float) and not isinstance(value, bool),
        "bool": isinstance(value, bool),
        "null": value is None,
    }
    if wanted not in fits or not tag.startswith(_STANDARD):
        raise BadScalar(f"the tag {short_tag(tag)} is not supported", "take the tag out")
    if not fits[wanted]:
        raise BadScalar(
            f"the value is not what its tag {short_tag(tag)} says", "correct the value or the tag"
        )
    return float(value) if wanted == "float" and isinstance(value, int) else value


def short_tag(tag: str) -> str:
    """A tag as people write it: ``!!int`` and not the URI behind it."""
    return "!!" + tag.removeprefix(_STANDARD) if tag.startswith(_STANDARD) else tag


def plain_collection(tag: str | None, kind: str) -> bool:
    """Whether a mapping or list has no tag, or the one that it has anyway."""
    return tag is None or tag == "!" or tag == _STANDARD + kind
