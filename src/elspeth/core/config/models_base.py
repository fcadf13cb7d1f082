"""What all settings models share: strictness, names, and how a rule says that it is broken."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

BROKEN_RULE = "elspeth_rule"
"""The pydantic error type of `broken_rule`; its ctx holds what, fix and at."""

RESERVED_WORDS = frozenset({"discard", "fork", "continue"})
QUARANTINE = "quarantine"
DISCARD = "discard"
FORK = "fork"


class Settings(BaseModel):
    """A frozen, strict part of a pipeline file: unknown keys and wrong types are errors."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
        defer_build=True,  # most models are never used by a run: start-up takes a tenth less
    )


def broken_rule(what: str, *, fix: str = "", at: Sequence[str | int] = ()) -> PydanticCustomError:
    """An error for a validator to raise, in the reader's words.

    ``at`` is the place below the model or field that is validated, for rules over several keys.
    """
    context: dict[str, Any] = {"what": what, "fix": fix, "at": tuple(at)}
    return PydanticCustomError(BROKEN_RULE, "{what}", context)


def break_rules(found: Iterable[PydanticCustomError]) -> None:
    """Raise these errors of `broken_rule`, if there are any, as one: a validator can raise no more.

    Its ctx has under ``also`` those of all but the first.
    """
    errors = list(found)
    if errors:
        contexts = [dict(error.context or {}) for error in errors]
        told = "; ".join(str(context["what"]) for context in contexts)
        raise PydanticCustomError(BROKEN_RULE, "{told}", {**contexts[0], "also": contexts[1:], "told": told})


def shown(value: Any) -> str:
    """What kind of value this is, without saying which: it may be a secret."""
    for kind, words in _KINDS:
        if isinstance(value, kind):
            return words
    return f"a {type(value).__name__}"


_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "true or false"),
    (int, "a whole number"),
    (float, "a decimal number"),
    (str, "text"),
    (dict, "a mapping"),
    (list, "a list"),
    (type(None), "nothing"),
)


def _word(value: str) -> str:
    if not value:
        raise broken_rule("a name must not be empty", fix="give it a name")
    strange = sorted({char for char in value if not (char.isalnum() or char in "_-.")})
    if strange:
        shown = " ".join(repr(char) for char in strange)
        raise broken_rule(
            f"{value!r} is not a name: it contains {shown}",
            fix="use letters, digits, '_', '-' and '.' only",
        )
    if not (value[0].isalnum() or value[0] == "_"):
        raise broken_rule(
            f"{value!r} is not a name: it begins with {value[0]!r}", fix="begin with a letter or digit"
        )
    return value


def _node_name(value: str) -> str:
    if value in RESERVED_WORDS:
        raise broken_rule(
            f"{value!r} is a reserved word and cannot name anything",
            fix=f"choose another name, e.g. '{value}_rows'",
        )
    return _word(value)


def _step_name(value: str) -> str:
    if value == QUARANTINE:
        raise broken_rule(
            f"{QUARANTINE!r} is the name of the automatic error sink; only a sink may bear it",
            fix="choose another name",
        )
    return _node_name(value)


Connection = Annotated[str, AfterValidator(_node_name)]
"""The name of a connection or node that rows go to or come from."""


def as_name(value: Any) -> str:
    """Check one name where a setting may be a name or something else."""
    if not isinstance(value, str):
        raise broken_rule(
            f"a name must stand here, and this is {shown(value)}", fix="write a name; quote it if need be"
        )
    return _word(value)


Destination = Annotated[str, AfterValidator(_word)]
"""A connection, a sink, or one of the words ``discard`` and ``fork`` (where they make sense)."""

SinkName = Annotated[str, AfterValidator(_node_name)]
"""The name of a sink; ``quarantine`` replaces the automatic one."""

StepName = Annotated[str, AfterValidator(_step_name)]
"""The name of any node that is not a sink."""

Text = Annotated[str, Field(min_length=1)]
Options = dict[str, Any]
