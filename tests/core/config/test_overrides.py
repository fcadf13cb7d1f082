"""``ELSPETH_A__B`` and the caller's overrides."""

import pytest

from elspeth.contracts.enums import RunMode
from elspeth.contracts.errors import ConfigurationError, Location
from elspeth.core.config import load_pipeline

LLM = ("rate_limit", "services", "llm")
FILE = """\
source:
  plugin: csv
  options: {path: in.csv, skip_rows: 2, Mixed-Key: a}
transforms:
  - {name: first, plugin: passthrough}
  - {name: second, plugin: passthrough, options: {fields: [a]}}
sinks:
  Review-1: {plugin: csv, options: {path: out.csv}}
retry:
  max_attempts: ${TRIES}
"""


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.yaml").write_text(FILE)

    def load(environ, overrides=None):
        return load_pipeline("p.yaml", environ={"TRIES": "4", **environ}, overrides=overrides)

    return load


@pytest.fixture
def complaints(load):
    def complaints(environ, overrides=None):
        with pytest.raises(ConfigurationError) as caught:
            load(environ, overrides)
        return [(str(p.location), p.what, p.fix) for p in caught.value.problems]

    return complaints


@pytest.mark.parametrize(
    ("name", "value", "path", "expected"),
    [
        ("LANDSCAPE__URL", "sqlite:///x.db", ("landscape", "url"), "sqlite:///x.db"),
        ("LANDSCAPE__URL", "5", ("landscape", "url"), "5"),
        ("LANDSCAPE__ENABLED", "false", ("landscape", "enabled"), False),
        ("LANDSCAPE__EXPORT__FORMAT", "csv", ("landscape", "export", "format"), "csv"),
        ("RETRY__MAX_ATTEMPTS", "9", ("retry", "max_attempts"), 9),
        ("retry__Initial_Delay_Seconds", "0.5", ("retry", "initial_delay_seconds"), 0.5),
        ("RATE_LIMIT__ENABLED", "false", ("rate_limit", "enabled"), False),
        ("SOURCE__OPTIONS__PATH", "7", ("sources", "source", "options", "path"), "7"),
        ("SOURCES__SOURCE__OPTIONS__PATH", "b.csv", ("sources", "source", "options", "path"), "b.csv"),
        ("SOURCE__OPTIONS__SKIP_ROWS", "7", ("sources", "source", "options", "skip_rows"), 7),
        ("SOURCE__OPTIONS__MIXED_KEY", "b", ("sources", "source", "options", "Mixed-Key"), "b"),
        ("SOURCE__OPTIONS__DELIMITER", ";", ("sources", "source", "options", "delimiter"), ";"),
        (
            "SOURCE__OPTIONS__SCHEMA__MODE",
            "fixed",
            ("sources", "source", "options", "schema", "mode"),
            "fixed",
        ),
        ("SINKS__REVIEW_1__OPTIONS__PATH", "o", ("sinks", "Review-1", "options", "path"), "o"),
        ("TRANSFORMS__1__OPTIONS__FIELDS__0", "z", ("transforms", 1, "options", "fields", 0), "z"),
        (
            "TRANSFORMS__1__OPTIONS__FIELDS",
            "[x, 'y', 3]",
            ("transforms", 1, "options", "fields"),
            ["x", "y", 3],
        ),
        ("TRANSFORMS__0__OPTIONS__N", '"5"', ("transforms", 0, "options", "n"), "5"),
        ("SECRETS__MAPPING__API_KEY", "vault-name", ("secrets", "mapping", "API_KEY"), "vault-name"),
        (
            "RATE_LIMIT__SERVICES__LLM__TOKENS_PER_MINUTE",
            "9",
            (*LLM, "tokens_per_minute"),
            9,
        ),
    ],
)
def test_variables_win_over_the_file(load, name, value, path, expected):
    loaded = load({f"ELSPETH_{name}": value})
    found = loaded.resolved()
    for step in path:
        found = found[step]
    assert found == expected
    assert type(found) is type(expected)
    assert path in loaded.from_environment
    assert loaded.locate(path) == Location(f"environment variable ELSPETH_{name}")


def test_other_variables_are_left_alone(load):
    loaded = load(
        {"ELSPETH_FINGERPRINT_KEY": "x", "ELSPETH": "y", "OTHER__RETRY": "z", "ELSPETH_RUN_MODE": "q"}
    )
    assert loaded.settings.retry.max_attempts == 4
    assert loaded.from_environment == {("retry", "max_attempts")}


@pytest.mark.parametrize(
    ("name", "what", "fix"),
    [
        ("RETRI__MAX_ATTEMPTS", "there is no 'retri' at the top of a pipeline file", "did you mean 'retry'?"),
        ("RETRY__MAX_ATEMPTS", "there is no 'max_atempts' in retry", "did you mean 'max_attempts'?"),
        ("SINKS__NOWHERE__PLUGIN", "there is no 'nowhere' in sinks", "known there: Review-1"),
        ("TRANSFORMS__2__NAME", "there is no '2' in transforms", "known there: 0, 1"),
        ("TRANSFORMS__-1__NAME", "there is no '-1' in transforms", "known there: 0, 1"),
        ("TRANSFORMS__²__NAME", "there is no '²' in transforms", "known there: 0, 1"),
        ("CONCURRENCY__", "two names are needed on either side of '__'", "known there: max_workers"),
        ("RETRY__MAX_ATTEMPTS__X", "there is no 'x' in retry.max_attempts", "unset it"),
    ],
)  # fmt: skip
def test_unknown_settings_name_the_variable(complaints, name, what, fix):
    assert complaints({f"ELSPETH_{name}": "1"}) == [(f"environment variable ELSPETH_{name}", what, fix)]


def test_bad_values_name_the_variable_and_hide_the_value(complaints):
    environ = {
        "ELSPETH_RETRY__MAX_ATTEMPTS": "s3cret",
        "ELSPETH_TRANSFORMS__0__OPTIONS__X": "[s3cret",
        "ELSPETH_RUN_MODE__X": "1",
    }
    assert complaints(environ) == [
        ("environment variable ELSPETH_RUN_MODE__X", "there is no 'x' in run_mode", "unset it"),
        (
            "environment variable ELSPETH_TRANSFORMS__0__OPTIONS__X",
            "its value is neither YAML nor plain text",
            "write text as '\"text\"'",
        ),
        (
            "environment variable ELSPETH_RETRY__MAX_ATTEMPTS",
            "retry.max_attempts must be a whole number, and this is text",
            "write digits without quotes",
        ),
    ]


def test_an_override_replaces_what_could_not_be_expanded(tmp_path, load):
    loaded = load_pipeline("p.yaml", environ={"ELSPETH_RETRY__MAX_ATTEMPTS": "2"})
    assert loaded.settings.retry.max_attempts == 2
    assert (
        load_pipeline("p.yaml", environ={}, overrides={"retry.max_attempts": 6}).settings.retry.max_attempts
        == 6
    )


def test_the_callers_overrides_win_and_keep_their_types(load, complaints):
    overrides = {"run_mode": "replay", "replay_from": "run-1", "retry.max_attempts": 8}
    loaded = load({"ELSPETH_RETRY__MAX_ATTEMPTS": "9"}, overrides)
    assert loaded.settings.run_mode is RunMode.REPLAY
    assert loaded.settings.replay_from == "run-1"
    assert loaded.settings.retry.max_attempts == 8
    assert complaints({}, {"run_mod": "replay"}) == [
        (
            "override run_mod",
            "there is no 'run_mod' at the top of a pipeline file",
            "did you mean 'run_mode'?",
        )
    ]
    assert complaints({}, {"retry.max_attempts": 0}) == [
        ("override retry.max_attempts", "retry.max_attempts must be at least 1, and this is 0", "")
    ]
