"""A new plugin's package passes its own test, and its entry point is found."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from elspeth.contracts.errors import UsageError
from elspeth.plugins.scaffold import scaffold_plugin


def run(*arguments: str, cwd: Path, path: list[Path]) -> str:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, path)),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_files(tmp_path: Path) -> None:
    written = scaffold_plugin("loud_voice", tmp_path)
    package = tmp_path / "elspeth-loud-voice"
    assert written == [
        package / "pyproject.toml",
        package / "elspeth_loud_voice.py",
        package / "test_elspeth_loud_voice.py",
    ]
    assert "class LoudVoice(BaseTransform)" in written[1].read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["transform", "source", "sink"])
def test_package_passes_its_own_test(tmp_path: Path, kind: Any) -> None:
    package = scaffold_plugin("loud", tmp_path, kind)[0].parent
    out = run("-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", cwd=package, path=[])
    assert " passed" in out
    assert "failed" not in out


@pytest.mark.parametrize("kind", ["transform", "source", "sink"])
def test_entry_point_is_found(tmp_path: Path, kind: Any) -> None:
    package = scaffold_plugin("loud", tmp_path, kind)[0].parent
    # What an installer would leave behind, made from the project file itself.
    project = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    installed = package / "elspeth_loud-0.1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 0.1.0\n")
    lines = [f"{name} = {value}" for name, value in project["entry-points"]["elspeth"].items()]
    (installed / "entry_points.txt").write_text("\n".join(["[elspeth]", *lines, ""]))
    script = (
        "from elspeth.plugins.registry import load_catalog\n"
        f"found = load_catalog().describe({kind!r}, 'loud')\n"
        "print(found.module, found.distribution)"
    )
    assert run("-c", script, cwd=tmp_path, path=[package]).split() == ["elspeth_loud", "elspeth-loud"]


def test_broken_entry_point_names_the_package(tmp_path: Path) -> None:
    installed = tmp_path / "broken-0.1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 0.1.0\n")
    (installed / "entry_points.txt").write_text("[elspeth]\nbroken = no_such_module_at_all\n")
    script = (
        "from elspeth.contracts.errors import PluginError\n"
        "from elspeth.plugins.registry import load_catalog\n"
        "try:\n    load_catalog()\n"
        "except PluginError as error:\n    print(error)"
    )
    assert run("-c", script, cwd=tmp_path, path=[tmp_path]).splitlines() == [
        "the plugin package 'broken' cannot be loaded: importing 'no_such_module_at_all' raised "
        "ModuleNotFoundError: No module named 'no_such_module_at_all'",
        "  fix: repair or remove it (pip uninstall broken)",
    ]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Loud-Voice", ", such as 'loud_voice'"),
        ("2fast", ", such as 'fast'"),
        ("class", ""),
        ("", ""),
        ("../evil", ", such as 'evil'"),
        ("ü", ""),
    ],
)
def test_bad_name(tmp_path: Path, name: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        scaffold_plugin(name, tmp_path)
    assert caught.value.what == f"'{name}' cannot be the name of a plugin"
    assert caught.value.fix == f"use lower-case letters, digits and underscores, a letter first{hint}"
    assert not list(tmp_path.iterdir())


def test_name_that_is_taken(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is a transform 'truncate' already"):
        scaffold_plugin("truncate", tmp_path)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    scaffold_plugin("loud", tmp_path)
    with pytest.raises(UsageError, match="is already there"):
        scaffold_plugin("loud", tmp_path)


def test_kind_without_template(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no template for a gate"):
        scaffold_plugin("loud", tmp_path, "gate")  # type: ignore[arg-type]
