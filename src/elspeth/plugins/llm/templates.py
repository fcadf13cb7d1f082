"""Prompts: Jinja2 in a sandbox, over one row, that can read and not change."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, NoReturn

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, meta, nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from elspeth.contracts.errors import UsageError
from elspeth.plugins.transforms.reasons import listed


class PromptError(Exception):
    """A row for which no prompt could be made. ``reason`` is for its error record."""

    def __init__(self, reason: Mapping[str, Any]) -> None:
        super().__init__(reason["error"])
        self.reason = reason


class _MissingNameError(Exception):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class _Missing(StrictUndefined):
    """What is not there: to use it is an error that knows the name."""

    __slots__ = ()

    def _fail_with_undefined_error(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise _MissingNameError(str(self._undefined_name))

    __str__ = __iter__ = __len__ = __eq__ = __ne__ = __bool__ = __hash__ = _fail_with_undefined_error
    __contains__ = __add__ = __radd__ = __lt__ = __le__ = __gt__ = __ge__ = __int__ = __float__ = (
        __getitem__
    ) = _fail_with_undefined_error


class RowView(Mapping[str, Any]):
    """A row as templates see it: ``row.name`` and ``row['name']`` are the field, whatever its name."""

    __slots__ = ("_row",)

    def __init__(self, row: Mapping[str, Any]) -> None:
        self._row = row

    def __getitem__(self, name: str) -> Any:
        return self._row[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._row)

    def __len__(self) -> int:
        return len(self._row)


class _Environment(ImmutableSandboxedEnvironment):
    def getattr(self, obj: Any, attribute: str) -> Any:
        """A field called ``items`` is the field, not the method."""
        if isinstance(obj, RowView | dict) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        return not attr.startswith("_") and super().is_safe_attribute(obj, attr, value)


def _environment() -> _Environment:
    environment = _Environment(
        undefined=_Missing,
        autoescape=False,
        keep_trailing_newline=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals = {"range": environment.globals["range"], "dict": dict}
    return environment


class PromptTemplate:
    """One compiled template. ``row`` is the row, ``lookup`` what the pipeline file gives; a row's fields
    can also be named directly, unless they are called ``row`` or ``lookup``.

    Raises UsageError for a text that is no template.
    """

    def __init__(self, text: str, *, lookup: Mapping[str, Any] | None = None) -> None:
        environment = _environment()
        try:
            tree = environment.parse(text)
            self._template = environment.from_string(text)
        except TemplateSyntaxError as error:
            raise UsageError(
                f"the template can't be read: {error.message} (line {error.lineno})",
                fix="see the Jinja2 syntax: {{ row.field }}, {% if … %} … {% endif %}",
            ) from error
        self.text = text
        self.required_fields = frozenset(_needed(tree.body, meta.find_undeclared_variables(tree)))
        self._lookup = lookup or {}
        self._parts = _plain_parts(tree.body)

    def render(self, row: Mapping[str, Any]) -> str:
        """The prompt for one row. Raises PromptError."""
        if self._parts is not None:
            with suppress(KeyError):  # then the way below says what is missing
                return "".join([part if field is None else str(row[field]) for part, field in self._parts])
        try:
            return self._template.render({**row, "row": RowView(row), "lookup": self._lookup})
        except _MissingNameError as error:
            raise PromptError(_missing(error.name, row)) from None
        except SecurityError as error:
            raise PromptError(
                {"error": f"the template may not do that: {error}", "kind": "template_error"}
            ) from error
        except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError, RecursionError) as error:
            raise PromptError(
                {"error": f"the template fails on this row: {error}", "kind": "template_error"}
            ) from error


def _plain_parts(body: list[nodes.Node]) -> list[tuple[str, str | None]] | None:
    """A template that only puts fields into a text, as (text, None) and ("", field); else None.

    Most prompts are of this kind, and need none of Jinja's machinery.
    """
    parts: list[tuple[str, str | None]] = []
    for node in body:
        if not isinstance(node, nodes.Output):
            return None
        for part in node.nodes:
            if isinstance(part, nodes.TemplateData):
                parts.append((part.data, None))
            elif (field := _field(part)) is not None:
                parts.append(("", field))
            else:
                return None
    return parts


def _missing(name: str, row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "error": f"the template needs '{name}', which is missing; the row has {listed(row)}",
        "kind": "missing_field",
        "field": name,
    }


def _needed(body: list[nodes.Node], free: set[str]) -> Iterator[str]:
    """Fields that every row must have: those printed outside of conditions and loops, and not tested."""
    for node in body:
        if isinstance(node, nodes.Output):
            for part in node.nodes:
                yield from _fields(part, free)


def _fields(node: nodes.Node, free: set[str]) -> Iterator[str]:
    if isinstance(node, nodes.CondExpr | nodes.Test | nodes.And | nodes.Or | nodes.Call):
        return
    if isinstance(node, nodes.Filter) and node.name in ("default", "d"):
        return
    if (field := _field(node)) is not None:
        yield field
    elif isinstance(node, nodes.Name):
        if node.name in free - {"row", "lookup", "range", "dict"}:
            yield node.name
    else:
        for child in node.iter_child_nodes():
            yield from _fields(child, free)


def _field(node: nodes.Node) -> str | None:
    """The field that ``row.name`` or ``row['name']`` stands for."""
    if isinstance(node, nodes.Getattr) and _is_row(node.node):
        return node.attr
    if isinstance(node, nodes.Getitem) and _is_row(node.node) and isinstance(node.arg, nodes.Const):
        return node.arg.value if isinstance(node.arg.value, str) else None
    return None


def _is_row(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Name) and node.name == "row"
