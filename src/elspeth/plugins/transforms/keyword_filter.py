"""``keyword_filter``: turn away rows whose text matches a pattern."""

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from elspeth.contracts.plugins import PluginContext, Row
from elspeth.contracts.results import TransformResult
from elspeth.contracts.schema import PluginSchema
from elspeth.core.config.models_base import broken_rule
from elspeth.plugins.transforms.base import BaseTransform, TransformOptions
from elspeth.plugins.transforms.patterns import checked_pattern, compile_pattern
from elspeth.plugins.transforms.reasons import missing_field


def _names_or_all(value: object) -> object:
    if value == "all":
        return value
    if isinstance(value, list) and value and all(isinstance(name, str) and name for name in value):
        return value
    raise broken_rule(
        "fields must be a list of field names, or the word 'all'", fix="write fields: [name], or fields: all"
    )


class KeywordFilterOptions(TransformOptions):
    """Options of ``keyword_filter``."""

    fields: Annotated[list[str] | Literal["all"], BeforeValidator(_names_or_all)] = Field(
        description="The fields to search, or `all`."
    )
    blocked_patterns: list[Annotated[str, AfterValidator(checked_pattern)]] = Field(
        min_length=1,
        description="Regular expressions (RE2 syntax); `(?i)` in front ignores case.",
    )
    strict: bool = Field(
        default=True,
        description="A row that lacks one of the fields is an error; `false`: it is not searched.",
    )


class KeywordFilter(BaseTransform):
    """Turn away rows in which a pattern matches; the others go on unchanged.

    Text inside lists and objects is searched too, keys of objects included; values that are not
    text (numbers, dates, bytes) are not. The reason names the field and the pattern, never the
    text that matched: it may be what must not be written down.
    """

    name: ClassVar[str] = "keyword_filter"
    options_model = KeywordFilterOptions
    options: KeywordFilterOptions

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self._fields = None if self.options.fields == "all" else tuple(self.options.fields)
        self._searches = tuple((text, compile_pattern(text).search) for text in self.options.blocked_patterns)
        if self._fields is not None and self.options.strict:
            self.require(self._fields)

    def output_schema(self, incoming: PluginSchema) -> PluginSchema:
        """The rows keep their shape."""
        return incoming

    def process(self, row: Row, ctx: PluginContext) -> TransformResult:
        """The row itself, or an error that names the first field and pattern that matched."""
        for name in row if self._fields is None else self._fields:
            if name not in row:
                if self.options.strict:
                    return TransformResult.error(missing_field(name, row))
                continue
            value = row[name]
            for text in (value,) if isinstance(value, str) else _texts(value):
                try:
                    blocked = self._match(text)
                except UnicodeEncodeError:
                    return TransformResult.error(
                        {"error": f"field '{name}' is no valid text", "kind": "invalid_text", "field": name}
                    )
                if blocked is not None:
                    return TransformResult.error(_blocked(name, blocked))
        return TransformResult.success(row)

    def _match(self, text: str) -> str | None:
        for pattern, search in self._searches:
            if search(text) is not None:
                return pattern
        return None


def _texts(value: object) -> Iterable[str]:
    """Every text inside a nested value, without recursion: JSON can be deep."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            pending.extend(item.values())
            pending.extend(item)
        elif isinstance(item, list | tuple):
            pending.extend(item)


def _blocked(field: str, pattern: str) -> dict[str, Any]:
    return {
        "error": f"field '{field}' matches the blocked pattern {pattern!r}",
        "kind": "blocked_pattern",
        "field": field,
        "pattern": pattern,
    }
