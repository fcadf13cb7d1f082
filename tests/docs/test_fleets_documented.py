"""Every key of a fleet file is in its reference, and the files that pages show are good."""

import re
from pathlib import Path

import pytest

from elspeth.fabric.fleet_file import (
    ApprovalSettings,
    BudgetSettings,
    FleetSettings,
    NetworkSettings,
    PolicySettings,
    read_fleet,
)
from elspeth.fabric.manifest.settings import ManifestSettings

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "reference" / "fleet-file.md").read_text(encoding="utf-8")
SECTIONS = {
    "Keys": FleetSettings,
    "`budget`": BudgetSettings,
    "`network`": NetworkSettings,
    "`policies`": PolicySettings,
    "`approval`": ApprovalSettings,
    "`manifest`": ManifestSettings,
}


@pytest.mark.parametrize("title", SECTIONS)
def test_every_key_of_a_fleet_file_is_documented_as_it_is(title: str) -> None:
    lines = PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0].splitlines()
    for name, field in SECTIONS[title].model_fields.items():
        (line,) = [line for line in lines if line.startswith(f"| `{name}` |")]
        assert line.endswith(f"| {field.description} |")
        assert ("| required |" in line) == field.is_required()
        if not field.is_required() and isinstance(field.default, bool | int | float | str):
            shown = str(field.default).lower() if isinstance(field.default, bool) else str(field.default)
            assert f"| `{shown}` |" in line


@pytest.mark.parametrize("page", ["reference/fleet-file.md", "how-to/fleets.md"])
def test_the_files_that_pages_show_are_good(page: str, tmp_path: Path) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    files = re.findall(r"^```text\n(fleet: .*?)^```", text, re.MULTILINE | re.DOTALL)
    assert files
    for content in files:
        (tmp_path / "fleet.yaml").write_text(content, encoding="utf-8")
        assert read_fleet(tmp_path / "fleet.yaml", {"AZURE_SUBSCRIPTION_ID": "x"}).settings.count == 10
