"""The repository as a stranger finds it: self-contained, licensed, and described as it is."""

import re
import subprocess
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "elspeth"


def tracked_files() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    paths = [ROOT / name for name in listing.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


def tracked_texts() -> dict[str, str]:
    return {
        str(path.relative_to(ROOT)): data.decode("utf-8", errors="replace")
        for path in tracked_files()
        if b"\0" not in (data := path.read_bytes())
    }


def test_nothing_names_a_place_on_somebodys_machine() -> None:
    place = re.compile(r"(?<![\w./:])/(?:work|root|home|Users)/\w")
    hosts = re.compile(r"\b(?:pypi|pythonhosted)\.org\b")
    found = [name for name, text in tracked_texts().items() if place.search(text) or hosts.search(text)]
    assert found == []


def test_what_runs_and_tests_make_is_not_tracked() -> None:
    suspects = re.compile(r"(^|/)(out|\.elspeth|\.venv|__pycache__|dist|build)/|\.(db|pyc|part)$")
    assert [name for path in tracked_files() if suspects.search(name := str(path.relative_to(ROOT)))] == []


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-oracles.lock"])
def test_the_lock_pins_every_package_by_hash_and_says_not_where_from(name: str) -> None:
    lock = (ROOT / name).read_text(encoding="utf-8")
    assert "://" not in lock
    assert "--index" not in lock
    assert "--find-links" not in lock
    entries = re.split(r"\n(?=\S)", lock.strip())
    assert [entry for entry in entries if not re.match(r"[\w.-]+(\[\w+\])?==\S+", entry)] == []
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []


def test_the_lock_covers_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = project["dependency-groups"]
    apart = groups.pop("apart")
    wanted = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    wanted += [entry for group in groups.values() for entry in group if isinstance(entry, str)]
    for extra in project["project"]["optional-dependencies"].values():
        wanted += [entry for entry in extra if not entry.startswith("elspeth[")]
    for name, entries in (("requirements.lock", wanted), ("requirements-oracles.lock", apart)):
        lock = (ROOT / name).read_text(encoding="utf-8")
        locked = {normal(found) for found in re.findall(r"^([\w.-]+)==", lock, re.MULTILINE)}
        assert {normal(re.split(r"[\[<>=~! ]", entry)[0]) for entry in entries} - locked == set()


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_changelog_has_a_place_for_the_next_change() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## [Unreleased]" in text
    assert "Keep a Changelog" in text


def test_the_licence_is_mit() -> None:
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")


def test_types_are_shipped() -> None:
    assert files("elspeth").joinpath("py.typed").is_file()


def test_every_room_is_in_the_architecture() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    packages = {path.parent.relative_to(PACKAGE.parent) for path in PACKAGE.rglob("*.py")} - {Path("elspeth")}
    modules = {path.relative_to(PACKAGE.parent).with_suffix("") for path in PACKAGE.glob("*.py")}
    rooms = packages | {module for module in modules if not module.name.startswith("__")}
    assert {str(room) for room in rooms if f"`{'.'.join(room.parts[1:])}`" not in text} == set()


def test_the_demo_data_are_what_their_description_says() -> None:
    data = (ROOT / "examples/claims/data/randhie.csv").read_bytes()
    description = (ROOT / "examples/claims/data/README.md").read_text(encoding="utf-8")
    assert data.count(b"\n") == 20_191
    for column in data.split(b"\n", 1)[0].decode().split(","):
        assert f"`{column}`" in description
