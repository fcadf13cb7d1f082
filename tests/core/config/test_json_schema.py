"""The editor's schema: valid draft 7, and of one mind with the loader on what it can express."""

from typing import Literal

import jsonschema
import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field

from elspeth.core.config import iter_settings, pipeline_json_schema

EXAMPLE = """\
source:
  plugin: csv
  options: {path: data.csv, on_validation_failure: discard, columns: {id: {type: int}}}
queues: {all: {description: every row}}
transforms:
  - {name: short, plugin: truncate, options: {fields: {note: 10}}, on_error: discard}
gates:
  - name: large
    condition: "row['amount'] > 1000"
    routes: {"true": fork, "false": approved, other: [review, approved]}
    fork_to: [review, approved]
    mode: copy
aggregations:
  - {name: stats, plugin: batch_stats, trigger: {count: 10, timeout_seconds: 1.5}, output_mode: passthrough}
coalesce:
  - {name: joined, branches: {a: b, c: d}, policy: quorum, quorum_count: 1, merge: nested}
sinks:
  review: {plugin: csv, options: {path: out.csv}, on_write_failure: discard}
  approved: {plugin: other, options: {anything: 1}}
experiment:
  experiment_id: exp-001
  name: Small model against large model
  transform: classify
  unit: "row['customer_id']"
  mode: split
  control: control
  exposure: 100
  variants:
    - {variant_id: control, weight: 50, transform_overrides: {model: gpt-4}}
    - {variant_id: treatment, weight: 49.5}
  metrics:
    - {name: correct, value: "row['a'] == 1", type: proportion, goal: increase, primary: true}
    - {name: cost_per_row, value: "usage.cost", goal: decrease, type: ratio, per: "rows"}
    - {name: latency, value: "state.duration_ms", type: quantile, q: 0.95, guardrail: {max_increase: 20%}}
landscape: {url: "sqlite:///x.db", export: {enabled: true, path: x}}
payload_store: {base_path: p, retention_days: 90}
checkpoint: {enabled: true, frequency: every_n, checkpoint_interval: 100}
retry: {max_attempts: "${TRIES:-3}", initial_delay_seconds: 1}
rate_limit: {enabled: "${LIMITED}", services: {llm: {requests_per_minute: 60, tokens_per_minute: 1000}}}
concurrency: {max_workers: 4}
run_mode: live
secrets: {source: keyvault, vault_url: "https://v", mapping: {KEY: name}}
telemetry: {enabled: true, granularity: rows, exporters: [{name: console}]}
depends_on: [first.yaml]
"""


class Column(BaseModel):
    type: Literal["int", "str"] = "str"
    required: bool = True


class CsvOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")

    path: str = Field(description="The file.")
    columns: dict[str, Column] = {}
    default: int = 0


class TruncateOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")

    fields: dict[str, int]


PLUGINS = {
    "source": {"csv": CsvOptions.model_json_schema(), "null": {"type": "object"}},
    "transform": {"truncate": TruncateOptions.model_json_schema()},
    "sink": {"csv": CsvOptions.model_json_schema(), "other": {"type": "object"}},
}


@pytest.fixture(scope="module")
def check():
    schema = pipeline_json_schema(PLUGINS)
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


def test_the_whole_example_is_valid(check):
    assert [error.message for error in check.iter_errors(yaml.safe_load(EXAMPLE))] == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("plugin: csv", "plugin: cvs"),
        ("path: data.csv,", ""),
        ("path: data.csv", "pth: data.csv"),
        ("type: int", "type: integer"),
        ("fields: {note: 10}", "fields: {note: x}"),
        ("mode: copy", "mode: divert"),
        ("on_error: discard", "on_eror: discard"),
        ("weight: 50", "weight: 101"),
        ("max_attempts: \"${TRIES:-3}\"", "max_attempts: 0"),
        ("enabled: \"${LIMITED}\"", "enabled: limited"),
        ("run_mode: live", "run_mode: dead"),
        ("concurrency: {max_workers: 4}", "concurency: {}"),
        ("run_mode: live", "run_mode: live\nsources: {a: {plugin: csv, options: {path: x}}}"),
        ("sinks:", "snks:"),
    ],
)  # fmt: skip
def test_mistakes_are_found(check, old, new):
    assert old in EXAMPLE
    assert not check.is_valid(yaml.safe_load(EXAMPLE.replace(old, new, 1)))


def test_named_sources_and_variables_pass(check):
    many = {
        "sources": {
            "a": {"plugin": "csv", "options": {"path": "x", "default": "${D}"}},
            "b": {"plugin": "null"},
        },
        "sinks": {"o": {"plugin": "other"}},
        "run_mode": "${MODE:-live}",
    }
    assert [error.message for error in check.iter_errors(many)] == []


def test_without_plugins_any_plugin_passes():
    schema = pipeline_json_schema({})
    jsonschema.Draft7Validator(schema).validate(yaml.safe_load(EXAMPLE))
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"


def test_every_reference_leads_somewhere():
    schema = pipeline_json_schema(PLUGINS)
    found = []

    def visit(value):
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                found.append(value["$ref"])
            for item in value.values():
                visit(item)
        elif isinstance(value, list):
            for item in value:
                visit(item)

    visit(schema)
    assert found
    assert {reference.removeprefix("#/definitions/") for reference in found} <= set(schema["definitions"])
    assert "$defs" not in str(schema)


def test_every_setting_is_described():
    settings = list(iter_settings())
    assert [setting.key for setting in settings if not setting.description] == []
    keys = [setting.key for setting in settings]
    assert len(keys) == len(set(keys))
    assert {
        "sources.<name>.options",
        "gates[].fork_to",
        "coalesce[].union_collision_policy",
        "experiments[].metrics[].guardrail.max_increase",
        "rate_limit.services.<name>.tokens_per_minute",
        "landscape.export.sign",
        "telemetry.exporters[].name",
    } <= set(keys)


def test_the_reference_tells_type_and_default():
    by_key = {setting.key: setting for setting in iter_settings()}

    def row(key):
        return by_key[key].type, by_key[key].default

    assert row("retry.max_attempts") == ("whole number", "3")
    assert row("sinks") == ("mapping of name to mapping", "required")
    assert row("gates[].routes") == ("mapping of name to text or list of text", "required")
    assert row("gates[].mode") == ("move | copy", "move")
    assert row("run_mode") == ("live | replay | verify", "live")
    assert row("landscape.enabled") == ("true or false", "true")
    assert row("replay_from") == ("text", "none")
    assert row("experiments[].description") == ("text", "''")
    assert row("experiments[].exposure") == ("whole number or number", "100")
