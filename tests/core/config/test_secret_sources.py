"""Variables that `secrets` defines: under other names, or from a vault."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from elspeth.contracts.errors import ConfigurationError, ElspethError
from elspeth.core.config import load_pipeline
from elspeth.core.config.runtime import SecretsSettings
from elspeth.core.config.secret_sources import Fetch

PIPELINE = """
source: {plugin: csv, options: {path: in.csv, note: "${KEY}"}}
sinks: {output: {plugin: csv, options: {path: out.csv}}}
secrets: %s
"""
VAULT = "{source: keyvault, vault_url: '${WHERE}', mapping: {KEY: the-key, OTHER: not-needed}}"


def note(home: Path, secrets: str, environ: Mapping[str, str], fetch: Fetch | None = None) -> object:
    """What ``${KEY}`` became."""
    file = home / "p.yaml"
    file.write_text(PIPELINE % secrets)
    loaded = load_pipeline(file, environ=environ, fetch=fetch)
    assert ("sources", "source", "options", "note") in loaded.from_environment
    return loaded.settings.sources["source"].options["note"]


def test_another_variable(tmp_path: Path) -> None:
    assert note(tmp_path, "{mapping: {KEY: TEAM_KEY}}", {"TEAM_KEY": "a", "KEY": "b"}) == "a"


def test_another_variable_that_is_not_set(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        note(tmp_path, "{mapping: {KEY: TEAM_KEY}}", {"KEY": "b"})
    (problem,) = caught.value.problems
    assert problem.what == "the environment variable TEAM_KEY is not set"
    assert problem.location is not None
    assert problem.location.line == 4


def test_a_vault_is_asked_for_what_the_file_needs(tmp_path: Path) -> None:
    asked: list[tuple[str | None, Mapping[str, str]]] = []

    def fetch(settings: SecretsSettings, wanted: Mapping[str, str]) -> dict[str, str | ElspethError]:
        asked.append((settings.vault_url, wanted))
        return {"KEY": "of the vault"}

    assert note(tmp_path, VAULT, {"WHERE": "https://v"}, fetch) == "of the vault"
    assert asked == [("https://v", {"KEY": "the-key"})]


def test_what_a_vault_does_not_give(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        note(tmp_path, VAULT, {"WHERE": "https://v"}, lambda *_: {"KEY": ElspethError("no", fix="do")})
    (problem,) = caught.value.problems
    assert (problem.what, problem.fix, problem.key) == ("no", "do", "secrets.mapping.KEY")

    def nobody(*_: object) -> dict[str, str | ElspethError]:
        raise ElspethError("nobody is there")

    with pytest.raises(ConfigurationError) as caught:
        note(tmp_path, VAULT, {"WHERE": "https://v"}, nobody)
    (problem,) = caught.value.problems
    assert (problem.what, problem.key) == ("nobody is there", "secrets.source")
