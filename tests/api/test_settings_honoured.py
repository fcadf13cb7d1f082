"""No setting is accepted and then does nothing."""

from pathlib import Path

import pytest

from elspeth import run, validate
from elspeth.api.assemble import assemble
from elspeth.contracts.errors import ConfigurationError, NotFoundError

PIPELINE = """
source: {plugin: csv, options: {path: in.csv}}
sinks: {output: {plugin: csv, options: {path: out.csv}}}
"""


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory with an input."""
    monkeypatch.chdir(tmp_path)
    Path("in.csv").write_text("id,note\n1,one\n")


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        (
            "secrets: {source: keyvault, vault_url: 'https://v.vault.azure.net'}",
            "secrets come from a key vault, but mapping names none",
        ),
        ("landscape: {export: {enabled: true, sink: output}}", "the record can't be exported to a sink yet"),
    ],
)
def test_what_is_not_there_is_refused(setting: str, why: str) -> None:
    Path("p.yaml").write_text(f"{PIPELINE}{setting}\n")
    with pytest.raises(ConfigurationError) as caught:
        validate("p.yaml")
    assert [problem.what for problem in caught.value.problems] == [why]
    (problem,) = caught.value.problems
    assert problem.location is not None
    assert problem.location.line > 3
    assert problem.fix


def test_a_replay_of_nothing_is_refused_also_where_nobody_calls_out() -> None:
    Path("p.yaml").write_text(f"{PIPELINE}run_mode: replay\nreplay_from: nope\n")
    with pytest.raises(NotFoundError, match="there is no run 'nope'"):
        run("p.yaml")


def test_unknown_options_are_told_by_the_names_that_a_file_has() -> None:
    Path("p.yaml").write_text(PIPELINE.replace("path: in.csv", "path: in.csv, zzz: 1"))
    with pytest.raises(ConfigurationError) as caught:
        validate("p.yaml")
    (problem,) = caught.value.problems
    assert problem.fix.startswith("known here: schema, ")


@pytest.mark.parametrize(
    ("concurrency", "options", "pool"),
    [("", "", 30), ("max_workers: 3", "", 3), ("max_workers: 3", "pool_size: 9,", 9)],
)
def test_workers_are_limited_where_the_transform_says_nothing(
    concurrency: str, options: str, pool: int
) -> None:
    Path("p.yaml").write_text(
        f"{PIPELINE}concurrency: {{{concurrency}}}\n"
        "transforms:\n  - name: ask\n    plugin: llm\n"
        f"    options: {{{options} model: m, endpoint: 'http://localhost:1/v1', api_key: k,"
        " prompt_template: 'about {{ row.note }}'}\n"
    )
    assert getattr(assemble("p.yaml").assembly.transforms["ask"], "pool_size") == pool  # noqa: B009
