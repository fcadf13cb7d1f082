"""What is asked about each row: one question or several, compiled from the options."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from elspeth.contracts.errors import UsageError
from elspeth.contracts.plugins import Row
from elspeth.contracts.schema import FieldSpec, FieldType
from elspeth.core.canonical import canonical
from elspeth.plugins.llm.completion import Answer
from elspeth.plugins.llm.options import CallOptions, QueryOptions
from elspeth.plugins.llm.structured import OutputForm
from elspeth.plugins.llm.templates import PromptTemplate

Message = dict[str, str]


@dataclass(frozen=True, slots=True)
class Query:
    """One question. ``name`` is empty where there is only one.

    ``fields`` (computed) are the row's fields that the answer fills; ``answer_field`` is the one for the
    answer as a whole, None where only its parts are kept.
    """

    name: str
    template: PromptTemplate
    system: PromptTemplate | None
    answer_field: str | None
    label: str
    form: OutputForm | None
    max_tokens: int | None
    metadata: bool
    fields: tuple[FieldSpec, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fields", tuple(self._fields()))  # asked for at every row

    def _fields(self) -> list[FieldSpec]:
        found: list[FieldSpec] = []
        if self.answer_field is not None:
            found.append(FieldSpec(self.answer_field, FieldType.STR if self.form is None else FieldType.ANY))
        elif self.form is not None:
            found.extend(self.form.fields.values())
        if self.metadata:
            found.append(FieldSpec(f"{self.label}_model", FieldType.STR))
            found.append(FieldSpec(f"{self.label}_finish_reason", FieldType.STR))
            found.append(FieldSpec(f"{self.label}_tokens_in", FieldType.INT, required=False))
            found.append(FieldSpec(f"{self.label}_tokens_out", FieldType.INT, required=False))
        return found

    def messages(self, row: Row) -> list[Message]:
        """The conversation's beginning. Raises PromptError."""
        turns = [{"role": "user", "content": self.template.render(row)}]
        if self.system is not None:
            turns.insert(0, {"role": "system", "content": self.system.render(row)})
        return turns

    def fill(self, out: Row, answer: Answer, value: Any) -> None:
        """Put an answer into ``out``. ``value`` is the text, or what was read from it."""
        if self.answer_field is not None:
            out[self.answer_field] = value
        elif self.form is not None:
            for name in self.form.fields:
                out[name] = value.get(name)
        if self.metadata:
            out[f"{self.label}_model"] = answer.model
            out[f"{self.label}_finish_reason"] = answer.finish_reason
            out[f"{self.label}_tokens_in"] = answer.tokens_in
            out[f"{self.label}_tokens_out"] = answer.tokens_out


def compile_queries(options: CallOptions, prompt: str | None, response_field: str) -> tuple[Query, ...]:
    """The questions that ``options`` ask. ``prompt`` is the node's own template, if it has one.

    Raises UsageError for what can't be asked.
    """
    given = [text is not None for text in (prompt, options.prompt_template_file)]
    if sum(given) + bool(options.queries) != 1:
        what = (
            "there is no prompt"
            if not any(given) and not options.queries
            else "there is more than one prompt"
        )
        raise UsageError(what, fix="write one of prompt_template, prompt_template_file and queries")
    if not options.queries:
        only = QueryOptions(
            template=prompt,
            template_file=options.prompt_template_file,
            response_field=response_field,
            output_fields=options.output_fields,
            output_schema=options.output_schema,
        )
        return (_query("", only, options),)
    if options.output_fields is not None or options.output_schema is not None:
        raise UsageError("output fields belong to a query where there are queries", fix="write them inside")
    found = tuple(_query(name, each, options) for name, each in options.queries.items())
    _check_names(found)
    return found


def _query(name: str, query: QueryOptions, options: CallOptions) -> Query:
    text = _template(name, query)
    system = query.system_prompt if query.system_prompt is not None else options.system_prompt
    label = query.response_field or name
    form = None
    if query.output_fields is not None:
        form = OutputForm.of_fields(query.output_fields)
    elif query.output_schema is not None:
        form = OutputForm(query.output_schema, {})
    return Query(
        name=name,
        template=PromptTemplate(text, lookup=options.lookup),
        system=None if not system else PromptTemplate(system, lookup=options.lookup),
        answer_field=None if query.output_fields is not None else label,
        label=label,
        form=form,
        max_tokens=query.max_tokens or options.max_tokens,
        metadata=options.metadata_fields,
    )


def _template(name: str, query: QueryOptions) -> str:
    if (query.template is None) == (query.template_file is None):
        raise UsageError(f"query {name!r} needs one prompt", fix="write template, or template_file")
    if query.template is not None:
        return query.template
    assert query.template_file is not None
    try:
        return Path(query.template_file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"the template file {query.template_file} can't be read: {error}", fix="see to the path"
        ) from error


def _check_names(queries: Sequence[Query]) -> None:
    owners: dict[str, str] = {}
    for query in queries:
        for spec in query.fields:
            if spec.name in owners:
                raise UsageError(
                    f"queries {owners[spec.name]!r} and {query.name!r} both give the field {spec.name!r}",
                    fix="rename one of the two fields",
                )
            owners[spec.name] = query.name


class Frame:
    """What is the same in every request of a query, and the canonical JSON around the messages.

    ``body`` is the request without its messages.
    """

    def __init__(self, body: Mapping[str, Any]) -> None:
        self.body = body
        # RFC 8785 orders keys by their UTF-16 code units.
        place = "messages".encode("utf-16-be")
        before = {key: value for key, value in body.items() if key.encode("utf-16-be") < place}
        behind = {key: value for key, value in body.items() if key.encode("utf-16-be") > place}
        self._head = canonical(before)[:-1] + (b"," if before else b"") + b'"messages":'
        self._tail = (b"," if behind else b"") + canonical(behind)[1:]

    def text(self, messages: Sequence[Message]) -> str:
        """The whole request as canonical JSON. Raises CanonicalError for what is no valid text."""
        try:
            # Texts alone: for them orjson's form is the canonical one.
            turns = orjson.dumps(messages, None, orjson.OPT_SORT_KEYS)
        except orjson.JSONEncodeError:
            turns = canonical(messages)
        return (self._head + turns + self._tail).decode()


def frame_of(query: Query, options: CallOptions, model: str, way: str) -> Frame:
    """The frame of a query's requests; ``way`` is how a form is asked for, if there is one."""
    settings: Mapping[str, Any] = {
        "temperature": options.temperature,
        "top_p": options.top_p,
        "max_tokens": query.max_tokens,
        "seed": options.seed,
        "stop": options.stop,
    }
    return Frame(
        {
            "model": model,
            **{key: value for key, value in settings.items() if value is not None},
            **options.extra_body,
            **({} if query.form is None else query.form.request(way)),
        }
    )
