"""The rules of single sections, through the words that a reader gets."""

import pytest
from pydantic import ValidationError

from elspeth.core.config import CoalesceSettings, GateSettings, PipelineSettings, SourceSettings
from elspeth.core.config.runtime import (
    CheckpointSettings,
    ConcurrencySettings,
    ExportSettings,
    PayloadStoreSettings,
    RateLimitSettings,
    RetrySettings,
    SecretsSettings,
    TelemetrySettings,
)

GATE = {"name": "g", "condition": "True", "routes": {"true": "a", "false": "b"}}
JOIN = {"name": "j", "branches": ["a", "b"]}


def refusal(model, data):
    with pytest.raises(ValidationError) as caught:
        model.model_validate(data)
    (error,) = caught.value.errors()
    context = error.get("ctx", {})
    return context.get("what", error["msg"]), (*error["loc"], *context.get("at", ()))


@pytest.mark.parametrize(
    ("change", "what", "at"),
    [
        ({"routes": {}}, "Dictionary should have at least 1 item after validation, not 0", ("routes",)),
        ({"routes": {"true": []}}, "this route has no destinations", ("routes", "true")),
        (
            {"routes": {"true": ["a", "fork"]}},
            "'fork' cannot be one of several destinations",
            ("routes", "true", 1),
        ),
        (
            {"routes": {"true": ["discard"]}},
            "'discard' cannot be one of several destinations",
            ("routes", "true", 0),
        ),
        ({"routes": {"true": ["a", "a"]}}, "destination 'a' is named twice", ("routes", "true", 1)),
        ({"routes": {"true": None}}, "a name must stand here, and this is nothing", ("routes", "true")),
        ({"routes": {"true": "a b"}}, "'a b' is not a name: it contains ' '", ("routes", "true")),
        ({"routes": {"true": "fork"}}, "route 'true' forks, but there is no fork_to", ("routes", "true")),
        ({"fork_to": ["a"]}, "fork_to is never used: no route says fork", ("fork_to",)),
        ({"routes": {"true": "fork"}, "fork_to": ["a", "a"]}, "fork_to names 'a' twice", ("fork_to", 1)),
        (
            {"routes": {"true": "fork"}, "fork_to": ["discard"]},
            "'discard' is a reserved word and cannot name anything",
            ("fork_to", 0),
        ),
        ({"on_error": "fork"}, "'fork' is no place for a failed row", ("on_error",)),
        ({"on_error": "continue"}, "'continue' is no place for a failed row", ("on_error",)),
        ({"name": ""}, "a name must not be empty", ("name",)),
        ({"name": "-x"}, "'-x' is not a name: it begins with '-'", ("name",)),
        ({"name": "a:b/c"}, "'a:b/c' is not a name: it contains '/' ':'", ("name",)),
        ({"name": "discard"}, "'discard' is a reserved word and cannot name anything", ("name",)),
    ],
)  # fmt: skip
def test_gates(change, what, at):
    assert refusal(GateSettings, {**GATE, **change}) == (what, at)


@pytest.mark.parametrize(
    "change",
    [
        {"routes": {"true": ["a", "b"], "false": "discard"}},
        {"routes": {"true": "fork"}, "fork_to": ["a", "b"]},
        {"mode": "copy", "on_error": "discard"},
        {"name": "Größe_1.a-b", "on_error": "quarantine"},
    ],
)
def test_gates_that_are_fine(change):
    gate = GateSettings.model_validate({**GATE, **change})
    assert gate.routes == {**GATE, **change}["routes"]


@pytest.mark.parametrize(
    ("change", "what", "at"),
    [
        ({"branches": []}, "there are no branches to join", ("branches",)),
        ({"branches": "a"}, "a list of branches must stand here, and this is text", ("branches",)),
        ({"branches": ["a", 5]}, "a name must stand here, and this is a whole number", ("branches", 1)),
        ({"branches": {"a": "x y"}}, "'x y' is not a name: it contains ' '", ("branches", "a")),
        ({"branches": ["a", "a"]}, "branch 'a' is named twice", ("branches",)),
        (
            {"policy": "quorum"},
            "policy: quorum and quorum_count go together, and one of them is missing",
            ("policy",),
        ),
        (
            {"quorum_count": 2},
            "policy: quorum and quorum_count go together, and one of them is missing",
            ("quorum_count",),
        ),
        (
            {"policy": "quorum", "quorum_count": 3},
            "quorum_count is 3, but there are only 2 branches",
            ("quorum_count",),
        ),
        (
            {"merge": "select"},
            "merge: select and select_branch go together, and one of them is missing",
            ("merge",),
        ),
        (
            {"merge": "select", "select_branch": "c"},
            "select_branch 'c' is not one of the branches",
            ("select_branch",),
        ),
    ],
)
def test_joins(change, what, at):
    assert refusal(CoalesceSettings, {**JOIN, **change}) == (what, at)


def test_joins_that_are_fine():
    join = {**JOIN, "branches": {"a": "a_done", "b": "b"}, "policy": "quorum", "quorum_count": 2}
    assert CoalesceSettings.model_validate(join).branches == {"a": "a_done", "b": "b"}
    selected = {**JOIN, "merge": "select", "select_branch": "b"}
    assert CoalesceSettings.model_validate(selected).select_branch == "b"


@pytest.mark.parametrize(
    ("model", "data", "what", "at"),
    [
        (
            CheckpointSettings,
            {"frequency": "every_row", "checkpoint_interval": 5},
            "checkpoint_interval has no meaning with frequency: every_row",
            ("checkpoint_interval",),
        ),
        (
            RetrySettings,
            {"max_delay_seconds": 0.5},
            "max_delay_seconds (0.5) is less than initial_delay_seconds (1)",
            ("max_delay_seconds",),
        ),
        (
            RetrySettings,
            {"initial_delay_seconds": 90},
            "max_delay_seconds (60) is less than initial_delay_seconds (90)",
            (),
        ),
        (
            SecretsSettings,
            {"source": "keyvault"},
            "secrets come from a key vault, but vault_url is missing",
            ("source",),
        ),
        (
            SecretsSettings,
            {"vault_url": "x"},
            "vault_url has no meaning with source: env",
            ("vault_url",),
        ),
        (ExportSettings, {"enabled": True}, "the export is enabled but has no target", ("enabled",)),
        (
            ExportSettings,
            {"path": "a", "sink": "b"},
            "an export goes to a path or to a sink, not to both",
            ("sink",),
        ),
    ],
)
def test_sections_around_the_graph(model, data, what, at):
    assert refusal(model, data) == (what, at)


@pytest.mark.parametrize(
    ("model", "data"),
    [
        (CheckpointSettings, {"checkpoint_interval": 0}),
        (RetrySettings, {"max_attempts": 0}),
        (RetrySettings, {"initial_delay_seconds": -1}),
        (RetrySettings, {"exponential_base": 0.5}),
        (RetrySettings, {"max_delay_seconds": float("inf")}),
        (RateLimitSettings, {"default_requests_per_minute": 0}),
        (RateLimitSettings, {"services": {"llm": {"tokens_per_minute": -5}}}),
        (ConcurrencySettings, {"max_workers": 0}),
        (PayloadStoreSettings, {"retention_days": -1}),
        (TelemetrySettings, {"granularity": "everything"}),
        (SourceSettings, {"plugin": ""}),
        (SourceSettings, {"plugin": "csv", "on_success": "discard"}),
    ],
)
def test_values_out_of_range(model, data):
    refusal(model, data)


def test_settings_are_frozen_and_complete():
    settings = PipelineSettings.model_validate(
        {"source": {"plugin": "null"}, "sinks": {"o": {"plugin": "null"}}}
    )
    with pytest.raises(ValidationError, match="frozen"):
        settings.run_mode = "replay"
    assert settings.retry == RetrySettings()
    assert settings.sources["source"].on_validation_failure is None


def test_secrets_are_not_in_the_text_of_validation_errors():
    with pytest.raises(ValidationError) as caught:
        RetrySettings.model_validate({"max_attempts": "hunter2"})
    assert "hunter2" not in str(caught.value)
