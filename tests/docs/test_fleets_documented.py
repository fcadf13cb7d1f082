"""Every key of a fleet file is in the guide."""

from pathlib import Path

from elspeth.fabric.fleet_file import FleetSettings

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "fleets.md"


def test_every_key_of_a_fleet_file_is_documented_as_it_is() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    for name, field in FleetSettings.model_fields.items():
        (line,) = [line for line in lines if line.startswith(f"| `{name}` |")]
        assert line.endswith(f"| {field.description} |")
        assert ("| required |" in line) == field.is_required()
