"""`load_pipeline`: what a file becomes, and the exact words for what is wrong with it."""

import os
from pathlib import Path

import pytest

from elspeth.contracts.enums import EdgeMode, RunMode
from elspeth.contracts.errors import ConfigurationError, Location
from elspeth.core.config import PipelineSettings, load_pipeline

SMALLEST = """\
source: {plugin: csv, options: {path: data/transactions.csv}}
gates:
  - name: large
    condition: "row['amount'] > 1000"
    routes: {"true": review, "false": approved}
sinks:
  review:   {plugin: csv, options: {path: out/review.csv}}
  approved: {plugin: csv, options: {path: out/approved.csv}}
"""
REST = "source: {plugin: csv}\nsinks: {out: {plugin: csv}}\n"


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text, name="p.yaml"):
        Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return name

    return write


@pytest.fixture
def load(write):
    def load(text, environ=None, **more):
        return load_pipeline(write(text), environ=environ or {}, **more)

    return load


@pytest.fixture
def complaints(load):
    def complaints(text, environ=None, **more):
        with pytest.raises(ConfigurationError) as caught:
            load(text, environ, **more)
        return [(str(p.location), p.what, p.fix) for p in caught.value.problems]

    return complaints


def test_all_that_is_wrong_with_an_experiment_is_told_at_once(complaints):
    text = f"""{SMALLEST}
transforms: [{{name: t, plugin: passthrough}}]
experiment:
  {{experiment_id: e, name: n, control: nobody, exposure: 10.005, variants: [
    {{variant_id: x, weight: 49.99}}, {{variant_id: x, weight: 50}}], metrics: [
    {{name: m, value: "1"}}, {{name: m, value: "2"}}]}}
"""
    told = complaints(text)
    assert len({where for where, _, _ in told}) == 5
    assert [what for _, what, _ in told] == [
        "control 'nobody' is not one of the variants",
        "exposure 10.005 is not a multiple of 0.01",
        "the weights of the variants total 99.99 (49.99 + 50), but must total 100",
        "variant_id 'x' is used twice",
        "name 'm' is used twice",
    ]


def test_the_smallest_useful_file(load):
    loaded = load(SMALLEST)
    settings = loaded.settings
    assert settings.sources["source"].plugin == "csv"
    assert settings.sources["source"].options == {"path": "data/transactions.csv"}
    assert settings.gates[0].routes == {"true": "review", "false": "approved"}
    assert settings.gates[0].mode is EdgeMode.MOVE
    assert list(settings.sinks) == ["review", "approved"]
    assert settings.landscape.url == "sqlite:///.elspeth/landscape.db"
    assert settings.run_mode is RunMode.LIVE
    assert loaded.path == Path("p.yaml")
    assert loaded.text == SMALLEST
    assert loaded.from_environment == frozenset()


def test_places_of_settings_by_the_paths_of_the_models(load):
    loaded = load(SMALLEST)
    assert loaded.locate(("gates", 0, "condition")) == Location("p.yaml", 4, 16)
    assert loaded.locate(("sources", "source")) == Location("p.yaml", 1, 1)
    assert loaded.locate(("sources",)) == Location("p.yaml", 1, 1)
    assert loaded.locate(("sources", "source", "options", "path")) == Location("p.yaml", 1, 39)
    assert loaded.locate(("sources", "source", "options", "nope")) == Location("p.yaml", 1, 23)
    assert loaded.locate(("sinks", "review", "options", "path")) == Location("p.yaml", 7, 43)
    assert loaded.locate(("retry", "max_attempts")) == Location("p.yaml", 1, 1)


def test_a_problem_shows_the_line(load):
    problem = load(SMALLEST).problem(("sources", "source", "options", "path"), "no such file", "check it")
    assert problem.key == "source.options.path"
    assert str(problem) == (
        "p.yaml:1:39: no such file\n"
        "  1 | source: {plugin: csv, options: {path: data/transactions.csv}}\n"
        "    |                                       ^\n"
        "  fix: check it"
    )


def test_resolved_settings_are_json_and_complete(load):
    resolved = load(SMALLEST).resolved()
    assert resolved["retry"]["max_attempts"] == 3
    assert resolved["gates"][0]["mode"] == "move"
    assert resolved["run_mode"] == "live"
    assert PipelineSettings.model_validate(resolved).model_dump(mode="json") == resolved


def test_unquoted_labels(load):
    gate = load(SMALLEST.replace('"true"', "true").replace('"false"', "false")).settings.gates[0]
    assert gate.routes == {"true": "review", "false": "approved"}


def test_validation_failure_may_stand_in_either_place(load, complaints):
    inside = "source: {plugin: csv, options: {on_validation_failure: discard}}\nsinks: {o: {plugin: csv}}\n"
    beside = "source: {plugin: csv, on_validation_failure: discard}\nsinks: {o: {plugin: csv}}\n"
    for text in (inside, beside):
        source = load(text).settings.sources["source"]
        assert source.on_validation_failure == "discard"
        assert source.options == {}
    assert load(inside).locate(("sources", "source", "on_validation_failure")).column == 56
    both = "source: {plugin: csv, on_validation_failure: a, options: {on_validation_failure: b}}\n"
    assert complaints(both + "sinks: {o: {plugin: csv}}\n") == [
        (
            "p.yaml:1:82",
            "on_validation_failure is written twice and differently: beside `options` and inside them",
            "keep one of the two",
        )
    ]


def test_short_and_long_forms(load):
    long = "sources: {a: {plugin: csv}, b: {plugin: json}}\nqueues: {both: }\nsinks: {o: {plugin: csv}}\n"
    settings = load(long).settings
    assert list(settings.sources) == ["a", "b"]
    assert settings.queues["both"].description == ""
    short = """\
experiment:
  experiment_id: exp-001
  name: Small against large
  variants:
    - {variant_id: control, weight: 50, transform_overrides: {model: gpt-4}}
    - {variant_id: treatment, weight: 50}
"""
    loaded = load(REST + short)
    assert loaded.settings.experiments[0].variants[0].transform_overrides == {"model": "gpt-4"}
    assert loaded.locate(("experiments", 0, "variants", 1, "weight")) == Location("p.yaml", 8, 39)


def test_both_forms_at_once(complaints):
    text = "source: {plugin: csv}\nsources: {a: {plugin: csv}}\nsinks: {o: {plugin: csv}}\n"
    assert complaints(text) == [
        ("p.yaml:1:1", "both 'source' and 'sources' are there", "move it into 'sources'")
    ]


def test_what_is_required(complaints):
    assert complaints("run_mode: live\n") == [
        (
            "p.yaml:1:1",
            "the pipeline has no source",
            "add `source: {plugin: csv, options: {path: data.csv}}`",
        ),
        (
            "p.yaml:1:1",
            "the pipeline has no sinks",
            "add `sinks: {output: {plugin: csv, options: {path: out.csv}}}`",
        ),
    ]
    assert complaints("source: {options: {}}\nsinks: {}\n") == [
        (
            "p.yaml:1:1",
            "source has no 'plugin'",
            "add `plugin`: The source plugin, e.g. `csv`; `elspeth plugins list` shows all.",
        ),
        ("p.yaml:2:1", "sinks must not be empty", ""),
    ]


TYPOS = """\
source:
  plugn: csv
  on_sucess: x
transforms:
  - name: a b
    plugin: field_mapper
    option: {}
gates:
  - name: quarantine
    condition: 5
    routes: {yes: [a, a], no: 5}
    mode: coppy
sinks:
  fork: {plugin: csv, surprise: 1}
retry: {max_attempts: 0, exponential_base: "2"}
Retries: {}
landscape: 5
checkpoint: {enabled: yes}
"""


def test_every_problem_at_once_in_file_order(complaints):
    assert complaints(TYPOS) == [
        ("p.yaml:2:3", "unknown key 'plugn' in source", "did you mean 'plugin'?"),
        ("p.yaml:3:3", "unknown key 'on_sucess' in source", "did you mean 'on_success'?"),
        (
            "p.yaml:5:11",
            "'a b' is not a name: it contains ' '",
            "use letters, digits, '_', '-' and '.' only",
        ),
        ("p.yaml:7:5", "unknown key 'option' in transforms.0", "did you mean 'options'?"),
        (
            "p.yaml:9:11",
            "'quarantine' is the name of the automatic error sink; only a sink may bear it",
            "choose another name",
        ),
        ("p.yaml:10:16", "gates.0.condition must be text, and this is a whole number", "put it in quotes"),
        ("p.yaml:11:23", "destination 'a' is named twice", "take one out"),
        (
            "p.yaml:11:31",
            "a name must stand here, and this is a whole number",
            "write a name; quote it if need be",
        ),
        (
            "p.yaml:12:11",
            "gates.0.mode must be one of move, copy, and this is 'coppy'",
            "did you mean 'copy'?",
        ),
        (
            "p.yaml:14:3",
            "'fork' is a reserved word and cannot name anything",
            "choose another name, e.g. 'fork_rows'",
        ),
        (
            "p.yaml:14:23",
            "unknown key 'surprise' in sinks.fork",
            "known here: plugin, on_write_failure, options",
        ),
        ("p.yaml:15:23", "retry.max_attempts must be at least 1, and this is 0", ""),
        (
            "p.yaml:15:44",
            "retry.exponential_base must be a number, and this is text",
            "write digits without quotes",
        ),
        ("p.yaml:16:1", "unknown key 'Retries'", "did you mean 'retry'?"),
        (
            "p.yaml:17:12",
            "landscape must be a mapping of keys to values, and this is a whole number",
            "",
        ),
        (
            "p.yaml:18:23",
            "checkpoint.enabled must be true or false, and this is text",
            "write true or false without quotes",
        ),
    ]


def test_the_whole_message(load):
    with pytest.raises(ConfigurationError) as caught:
        load(REST + "retry:\n  max_atempts: 5\n")
    assert str(caught.value) == (
        "1 problem in the pipeline\n"
        "p.yaml:4:3: unknown key 'max_atempts' in retry\n"
        "  4 |   max_atempts: 5\n"
        "    |   ^\n"
        "  fix: did you mean 'max_attempts'?"
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("run_mode: Live\n",
         ("p.yaml:3:11", "run_mode must be one of live, replay, verify, and this is 'Live'",
          "did you mean 'live'?")),
        ("run_mode: replay\n", ("p.yaml:3:11", "run_mode: replay needs the run whose record is used",
                                "add `replay_from: RUN_ID`, or give it on the command line")),
        ("replay_from: run-1\n", ("p.yaml:3:14", "replay_from has no meaning with run_mode: live",
                                  "write `run_mode: replay` or `run_mode: verify`, or take replay_from out")),
        ("transforms:\n", ("p.yaml:3:12", "transforms must be a list, and this is nothing",
                           "give it a value, or take the key out")),
        ("transforms: {name: x}\n", ("p.yaml:3:1", "transforms must be a list, and this is a mapping",
                                     "write [first, second], or a line `- item` for each")),
        ("landscape: {export: {sink: otu, enabled: true}}\n",
         ("p.yaml:3:28", "there is no sink 'otu' to export to", "did you mean 'out'?")),
        ("depends_on: a.yaml\n", ("p.yaml:3:13", "depends_on must be a list, and this is text",
                                  "write [first, second], or a line `- item` for each")),
        ("concurrency: {max_workers: 2.5}\n",
         ("p.yaml:3:28", "concurrency.max_workers must be a whole number, and this is a decimal number",
          "write digits without quotes")),
        ("concurrency: {max_workers: true}\n",
         ("p.yaml:3:28", "concurrency.max_workers must be a whole number, and this is true or false",
          "write digits without quotes")),
        ("concurrency: {max_workers: 5000}\n",
         ("p.yaml:3:28", "concurrency.max_workers must be at most 1024, and this is 5000", "")),
    ],
)  # fmt: skip
def test_single_mistakes(complaints, text, problem):
    assert complaints(REST + text) == [problem]


EXPERIMENT = """\
transforms: [{name: classify, plugin: llm}]
experiments:
  - experiment_id: e
    name: n
    transform: clasify
    variants: [{variant_id: a, weight: 50}, {variant_id: b, weight: 50}]
  - experiment_id: e
    name: n
    variants: [{variant_id: a, weight: 50}, {variant_id: b, weight: 49.99}]
"""


def test_rules_of_experiments(complaints):
    assert complaints(REST + EXPERIMENT) == [
        ("p.yaml:7:16", "there is no transform 'clasify' to vary", "did you mean 'classify'?"),
        ("p.yaml:9:20", "experiment_id 'e' is used twice", "choose another"),
        (
            "p.yaml:11:5",
            "the weights of the variants total 99.99 (50 + 49.99), but must total 100",
            "change the weights so that they total exactly 100",
        ),
    ]


def test_an_alias_with_a_problem_is_reported_once(complaints):
    shared = """\
source: {plugin: csv}
sinks:
  a: &a {plugin: csv, options: {p: 1, p: 2}}
  b: *a
"""
    assert complaints(shared) == [
        ("p.yaml:3:39", "the key 'p' stands twice: both in line 3", "keep one of the two")
    ]


@pytest.mark.parametrize(
    ("data", "where", "what"),
    [
        (b"", "p.yaml", "the file is empty"),
        (b"\n# nothing\n\n", "p.yaml", "the file is empty"),
        (b"---\n", "p.yaml", "the file is empty"),
        (b"\xef\xbb\xbf", "p.yaml", "the file is empty"),
        (b"- a\n- b\n", "p.yaml:1:1", "a pipeline file must be a mapping of keys to values"),
        (b"hello\n", "p.yaml:1:1", "a pipeline file must be a mapping of keys to values"),
        (b"a: 1\nb: caf\xe9\n", "p.yaml:2", "this line is not UTF-8 (byte 0xe9)"),
        ("a: 1".encode("utf-16"), "p.yaml", "the file is UTF-16, not UTF-8"),
        (b"a: 1\n---\nb: 1\n", "p.yaml:2:1", "a second document begins here, but a pipeline is one document"),
        (b"#" * (10 * 1024 * 1024 + 1), "p.yaml", "the file is larger than 10 MB"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_files_that_are_no_pipelines(write, data, where, what):
    with pytest.raises(ConfigurationError) as caught:
        load_pipeline(write(data), environ={})
    (problem,) = caught.value.problems
    location = problem.location
    assert location is not None
    assert (str(location).removesuffix(":0"), problem.what) == (where, what)
    assert problem.fix


def test_a_byte_order_mark_is_no_problem(load):
    assert load("\ufeff" + SMALLEST).locate(("sources", "source", "plugin")).column == 18


def test_files_that_are_not_there(write):
    write(SMALLEST, "pipeline.yaml")
    with pytest.raises(ConfigurationError) as caught:
        load_pipeline("pipelin.yaml")
    assert str(caught.value) == (
        "1 problem in the pipeline\npipelin.yaml: there is no such file\n  fix: here are: pipeline.yaml"
    )
    with pytest.raises(
        ConfigurationError, match=r"this is a directory.*\n.*name a file in it: pipeline\.yaml"
    ):
        load_pipeline(".")
    with pytest.raises(ConfigurationError, match="there is no such file\n  fix: check the path"):
        load_pipeline("no/such/dir.yaml")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_pipeline("pipeline.yaml/x")


def test_a_file_that_may_not_be_read(write, monkeypatch):
    def denied(*_args, **_more):
        raise PermissionError(13, "Permission denied")

    name = write(SMALLEST)
    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(ConfigurationError, match="this file may not be read\n  fix: change its permissions"):
        load_pipeline(name)


def test_values_from_the_environment_are_remembered_and_never_shown(load, complaints):
    text = "source: {plugin: csv, options: {key: '${KEY}', n: '${N:-5}', on_validation_failure: '${S}'}}\n"
    text += "sinks: {out: {plugin: csv}}\n"
    loaded = load(text, {"KEY": "s3cret", "S": "discard"})
    assert loaded.settings.sources["source"].options == {"key": "s3cret", "n": "5"}
    assert loaded.from_environment == {
        ("sources", "source", "options", "key"),
        ("sources", "source", "on_validation_failure"),
    }
    text = REST + "run_mode: ${M}\nreplay_from: x\nretry:\n  max_attempts: ${A}\n"
    text += "transforms:\n  - {name: '${T}', plugin: x}\n"
    found = complaints(text, {"M": "s3cret", "T": "my s3cret", "A": "-77"})
    assert [what for _, what, _ in found] == [
        "run_mode must be one of live, replay, verify, and this is the value of ${M}",
        "retry.max_attempts must be at least 1, and this is the value of ${A}",
        "the value of ${T} is not a name: it contains ' '",
    ]


def test_an_unset_variable_is_the_only_problem_of_its_value(complaints):
    assert complaints(REST + "retry:\n  max_attempts: ${TRIES}\n", {"PATH": "/bin"}) == [
        (
            "p.yaml:4:17",
            "the environment variable TRIES is not set",
            "set it, or give a default: ${TRIES:-value}",
        )
    ]


def test_secrets_of_the_file_are_not_in_excerpts(load):
    text = REST + "landscape: {url: 'postgresql://me:hunter2@db/x', surprise: 1}\n"
    with pytest.raises(ConfigurationError) as caught:
        load(text)
    assert "hunter2" not in str(caught.value)
    assert "postgresql://me:*******@db/x" in str(caught.value)


def test_the_processs_own_environment_is_the_default(write, monkeypatch):
    monkeypatch.setenv("ELSPETH_RETRY__MAX_ATTEMPTS", "7")
    assert load_pipeline(write(REST)).settings.retry.max_attempts == 7
    assert load_pipeline(Path(os.curdir) / "p.yaml", environ={}).settings.retry.max_attempts == 3
