"""Templates read one row and change nothing; answers with a form are checked, corrected, or refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from elspeth.contracts.errors import ConfigurationError, UsageError
from elspeth.contracts.schema import FieldSpec, FieldType, PluginSchema, SchemaMode
from elspeth.plugins.llm.azure import AzureLLMTransform
from elspeth.plugins.llm.openrouter import OpenRouterLLMTransform
from elspeth.plugins.llm.templates import PromptError, PromptTemplate
from elspeth.plugins.llm.transform import LLMTransform

ROW = {"name": "Ada", "items": 3, "nested": {"deep": [1, 2]}}


@pytest.mark.parametrize(
    ("template", "prompt"),
    [
        ("Hi {{ row.name }}", "Hi Ada"),
        ("Hi {{ name }}", "Hi Ada"),
        ("{{ row['items'] }} {{ row.items }}", "3 3"),
        ("{{ row.nested.deep[1] }}", "2"),
        ("{% for key in row %}{{ key }},{% endfor %}", "name,items,nested,"),
        ("{{ row.other | default('none') }}", "none"),
        ("{% if row.other is defined %}x{% else %}y{% endif %}", "y"),
        ("{{ lookup.codes[0] }}", "A"),
        ("no variables", "no variables"),
    ],
)
def test_templates(template: str, prompt: str) -> None:
    assert PromptTemplate(template, lookup={"codes": ["A"]}).render(ROW) == prompt


@pytest.mark.parametrize(
    "template",
    [
        "{{ row.name }}\n",
        "a {{ row['name'] }}\n\n",
        "{{row.items}}{{ row.none }} {{- row.nested }}",
        "<{{ row.name }}>",
        "\n",
    ],
)
def test_the_short_way_through_a_plain_template_ends_where_the_long_one_does(template: str) -> None:
    row = {**ROW, "none": None}
    long_way = PromptTemplate("{% if true %}{% endif %}" + template).render(row)
    assert PromptTemplate(template).render(row) == long_way


@pytest.mark.parametrize(
    "template",
    ["{{ row.nope }}", "{{ nope }}", "{{ nope.deeper }}", "{{ nope | upper }}", "{% if nope %}{% endif %}",
     "{% for x in nope %}{% endfor %}", "{{ nope + 1 }}"],
)  # fmt: skip
def test_a_missing_field_is_named(template: str) -> None:
    with pytest.raises(PromptError) as caught:
        PromptTemplate(template).render(ROW)
    assert caught.value.reason["field"] == "nope"
    assert caught.value.reason["kind"] == "missing_field"


@pytest.mark.parametrize(
    "template",
    ["{{ row.nested.deep.append(9) }}", "{{ lookup.codes.append(9) }}", "{{ row.nested.update({'x': 1}) }}",
     "{{ ''.__class__.__mro__ }}", "{{ row.__init__.__globals__ }}", "{{ row._row }}", "{{ lookup.clear() }}",
     "{{ range(10000000) | list }}", "{{ cycler }}", "{{ 1 / 0 }}"],
)  # fmt: skip
def test_templates_can_neither_change_nor_reach_anything(template: str) -> None:
    row, lookup = {"nested": {"deep": [1]}}, {"codes": ["A"]}
    with pytest.raises(PromptError):
        PromptTemplate(template, lookup=lookup).render(row)
    assert (row, lookup) == ({"nested": {"deep": [1]}}, {"codes": ["A"]})


def test_the_fields_that_every_row_needs_are_known() -> None:
    text = (
        "{{ row.a }} {{ b | upper }} {{ row['c d'] }} {% set e = 1 %}{{ e }} {{ lookup.f }}"
        "{% if row.g %}{{ row.h }}{% endif %} {{ row.i | default('') }}"
    )
    assert PromptTemplate(text).required_fields == {"a", "b", "c d"}
    with pytest.raises(UsageError, match=r"can't be read: .* \(line 2\)"):
        PromptTemplate("x\n{{ oops")


def test_structured_answers_become_fields(serve: Any, ask: Any) -> None:
    server = serve(answer=lambda _body: '```json\n{"label": "spam", "score": 0.5, "note": null}\n```')
    results = ask(
        server, [{"text": "x"}], metadata_fields=False,
        output_fields={"label": ["spam", "ham"], "score": "float", "note": "str?"},
    )  # fmt: skip
    assert results[0].row == {"text": "x", "label": "spam", "score": 0.5, "note": None}
    asked = server.requests[0]["response_format"]["json_schema"]
    assert asked["schema"]["properties"]["label"] == {"type": "string", "enum": ["spam", "ham"]}


def test_a_wrong_form_is_corrected_once_and_then_refused(serve: Any, ask: Any) -> None:
    def answer(body: Any) -> str:
        turns = len(body["messages"])
        good = body["messages"][0]["content"] == "Say good"
        return '{"n": 7}' if good and turns > 1 else '{"n": "seven"}'

    server = serve(answer=answer)
    transform = ask.transform(server, output_fields={"n": "int"}, structured="json_object", pool_size=1)
    transform_rows = [{"text": "good"}, {"text": "bad"}]
    # With json_object the form is also said in words, in a system message.
    results = ask.feed(ask.transform(server, output_fields={"n": "int"}), transform_rows)
    assert results[0].row["n"] == 7
    assert results[1].reason["kind"] == "invalid_output"
    assert "'seven' is not of type 'integer'" in results[1].reason["error"]
    assert results[1].reason["answer"] == '{"n": "seven"}'
    repair = [body for body in server.requests if len(body["messages"]) == 3]
    assert len(repair) == 2
    assert "corrected JSON" in repair[0]["messages"][2]["content"]
    ask.feed(transform, [{"text": "x"}])
    assert "JSON Schema" in server.requests[-1]["messages"][0]["content"]


def test_a_schema_gives_one_field_with_the_parsed_answer(serve: Any, ask: Any) -> None:
    server = serve(answer=lambda _body: json.dumps({"list": [1, 2]}))
    result = ask(server, [{"text": "x"}], output_schema={"type": "object", "required": ["list"]})[0]
    assert result.row["llm_response"] == {"list": [1, 2]}


def test_several_queries_one_of_which_fails(serve: Any, ask: Any) -> None:
    server = serve()
    queries = {
        "first": {"template": "1 {{ row.text }}"},
        "second": {"template": "2 {{ row.text }}", "output_fields": {"n": "int"}, "max_tokens": 9},
    }
    result = ask(server, [{"text": "x"}], queries=queries, system_prompt="Be brief", repair_turns=0)[0]
    assert (result.reason["query"], result.reason["kind"]) == ("second", "invalid_output")
    assert result.reason["error"].startswith("query 'second': the answer has not the form asked for")
    assert {body.get("max_tokens") for body in server.requests} == {None, 9}


def test_a_template_from_a_file(tmp_path: Path, server: Any, ask: Any) -> None:
    (tmp_path / "prompt.j2").write_text("From a file: {{ row.text }}\n")
    options = {"prompt_template": None, "prompt_template_file": str(tmp_path / "prompt.j2")}
    assert ask(server, [{"text": "x"}], **options)[0].row["llm_response"] == "From a file: x"
    with pytest.raises(UsageError, match=r"nowhere\.j2 can't be read"):
        ask.transform(server, prompt_template=None, prompt_template_file="nowhere.j2")


def test_output_that_would_overwrite_a_field_is_refused() -> None:
    transform = LLMTransform({"model": "m", "base_url": "http://x/v1", "prompt_template": "{{ row.a }}"})
    transform.node_id = "ask"
    incoming = PluginSchema(SchemaMode.FLEXIBLE, (FieldSpec("a"), FieldSpec("llm_response_model")))
    with pytest.raises(ConfigurationError, match="the answer would overwrite 'llm_response_model'"):
        transform.output_schema(incoming)
    promised = transform.output_schema(PluginSchema(SchemaMode.FLEXIBLE, (FieldSpec("a"),)))
    assert FieldSpec("llm_response", FieldType.STR) in promised.fields
    assert transform.input_schema.demands == {"a"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model": "m", "base_url": "http://x"}, "there is no prompt"),
        ({"model": "m", "base_url": "x", "prompt_template": "p"}, "base_url is no web address"),
        ({"model": "m", "prompt_template": "p"}, "OpenAI needs an api_key"),
        ({"provider": "azure", "prompt_template": "p"}, "'azure' needs endpoint"),
        ({"model": "m", "api_key": "k", "prompt_template": "p", "budget": {"max_cost": 1}}, "but no price"),
        ({"model": "m", "api_key": "k", "prompt_template": "p", "budget": {"max_tokens": 1}}, "how long"),
        ({"model": "m", "api_key": "k", "prompt_template": "p", "max_tokens": 5, "budget": {"max_cost": 1},
          "prices": {"n": {"input": 1, "output": 1}}}, "no price of the model 'm'"),
        ({"model": "m", "api_key": "k", "queries": {"a": {"template": "x", "response_field": "f"},
          "b": {"template": "y", "response_field": "f"}}}, "'a' and 'b' both give the field 'f'"),
        ({"model": "m", "api_key": "k", "prompt_template": "p", "output_fields": {"a": "integer"}}, "type"),
        ({"model": "m", "api_key": "k", "prompt_template": "p", "output_schema": {"type": 5}}, "JSON Sch"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises((UsageError, ValidationError), match=words):
        LLMTransform(options)


def test_providers_have_their_own_addresses_and_headers() -> None:
    azure = AzureLLMTransform(
        {"deployment_name": "d", "endpoint": "https://r.openai.azure.com/", "api_key": "azure-key-1",
         "prompt_template": "p", "response_field": "a"}
    )  # fmt: skip
    assert azure._endpoint.url.startswith(
        "https://r.openai.azure.com/openai/deployments/d/chat/completions?api-"
    )
    assert azure._endpoint.headers == {"api-key": "azure-key-1"}
    router = OpenRouterLLMTransform({"model": "a/b", "api_key": "or-key-12", "prompt_template": "p"})
    assert router._endpoint.url == "https://openrouter.ai/api/v1/chat/completions"
    assert router._endpoint.headers == {"authorization": "Bearer or-key-12"}
    assert AzureLLMTransform(
        {"deployment_name": "d", "endpoint": "https://r", "prompt_template": "p"}
    )._endpoint.bearer


def test_a_key_does_not_show_where_options_are_shown() -> None:
    made = [
        AzureLLMTransform(
            {
                "endpoint": "http://x",
                "deployment_name": "d",
                "api_key": "very-secret-key",
                "prompt_template": "x",
            }
        ),
        OpenRouterLLMTransform({"model": "m", "api_key": "very-secret-key", "prompt_template": "x"}),
        LLMTransform({"model": "m", "api_key": "very-secret-key", "prompt_template": "x"}),
    ]
    for transform in made:
        assert "very-secret-key" not in repr(transform.options)
