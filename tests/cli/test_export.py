"""elspeth export: what it says, writes and refuses."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

Cli = Callable[..., Any]


def test_an_export_says_what_it_wrote(cli: Cli, here: Path, recorded: str) -> None:
    said = cli("export", "latest", "-o", "audit")
    assert said.code == 0
    assert said.out.splitlines()[-1] == "manifest: audit/manifest.json"
    assert (here / "audit" / "rows.jsonl").read_text("utf-8").count("\n") == 6


def test_without_a_target_it_is_named_after_the_run(cli: Cli, here: Path, recorded: str) -> None:
    for form, name in (
        ("csv", "export"), ("prov", "prov.json"), ("openlineage", "openlineage.jsonl"),
    ):  # fmt: skip
        assert cli("export", "--format", form).code == 0
        assert list(here.glob(f"{recorded}*{name}"))


def test_as_json(cli: Cli, here: Path, recorded: str) -> None:
    said = cli("export", recorded, "--output", "audit", "--json").json
    assert said["run_id"] == recorded
    assert said["records"]["rows"] == 6
    manifest = orjson.loads((here / said["manifest"]).read_bytes())
    assert {name: file["sha256"] for name, file in manifest["files"].items()} == said["files"]


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--format", "xml"], "there is no export format 'xml'"),
        (["--row", "3"], "a single row can't be exported as jsonl"),
        (["--format", "prov", "--row", "99"], "has no row 99"),
        (["--format", "prov", "-o", "."], "is a directory"),
        (["nosuch"], "there is no run 'nosuch'"),
    ],
)
def test_what_can_t_be_done_is_told(cli: Cli, recorded: str, arguments: list[str], what: str) -> None:
    said = cli("export", *arguments)
    assert said.code == 2
    assert what in said.err
