"""The catalog: what it lists, loads lazily, and says when it cannot."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest

from elspeth.contracts.enums import Determinism
from elspeth.contracts.errors import NotFoundError, PluginError, UsageError
from elspeth.plugins.hookspecs import hookimpl
from elspeth.plugins.refs import PluginRef
from elspeth.plugins.registry import KINDS, load_catalog
from elspeth.plugins.transforms.base import BaseTransform
from elspeth.plugins.transforms.truncate import Truncate

CORE_TRANSFORMS = {
    "passthrough",
    "field_mapper",
    "truncate",
    "keyword_filter",
    "type_coerce",
    "value_transform",
    "json_explode",
    "line_explode",
}


def announcing(**hooks: object) -> SimpleNamespace:
    """A hook module that announces what it is told, by hook name."""

    def hook(value):
        return lambda: value

    return SimpleNamespace(**{name: hookimpl(hook(value)) for name, value in hooks.items()})


class Shout(BaseTransform):
    """Make text loud.

    Further lines are not part of the summary.
    """

    name: ClassVar[str] = "shout"


def test_core_plugins_are_listed_by_kind() -> None:
    catalog = load_catalog()
    assert set(catalog.names("transform")) >= CORE_TRANSFORMS
    files = {"csv", "json", "parquet", "text", "database", "null"}
    assert files <= set(catalog.names("source"))
    assert files <= set(catalog.names("sink"))
    assert list(catalog.names("sink")) == sorted(catalog.names("sink"))


def test_listing_loads_no_plugin() -> None:
    script = (
        "import sys\n"
        "from elspeth.plugins.registry import KINDS, load_catalog\n"
        "catalog = load_catalog()\n"
        "lines = [catalog.summary(kind, name) for kind in KINDS for name in catalog.names(kind)]\n"
        "assert all(lines), lines\n"
        "heavy = {'sqlalchemy', 'pyarrow', 'pydantic', 're2', 'elspeth.plugins.transforms.truncate'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_core_class_is_where_it_is_announced() -> None:
    catalog = load_catalog()
    for kind in KINDS:
        for name in catalog.names(kind):
            assert catalog.load(kind, name).name == name


def test_lookup_by_kind() -> None:
    assert load_catalog().transform("truncate") is Truncate
    assert load_catalog().source("csv").name == "csv"
    assert load_catalog().sink("csv").name == "csv"


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(NotFoundError) as caught:
        load_catalog().transform("feild_mapper")
    assert (
        str(caught.value)
        == "there is no transform plugin 'feild_mapper'\n  fix: did you mean 'field_mapper'?"
    )


def test_name_of_another_kind_is_pointed_out() -> None:
    with pytest.raises(NotFoundError, match="'truncate' is a transform; the sinks are azure_blob, csv, "):
        load_catalog().sink("truncate")


def test_name_like_nothing_lists_all() -> None:
    with pytest.raises(NotFoundError, match="the installed sources are azure_blob, csv, database, json"):
        load_catalog().source("zzzzzzzz")


def test_unknown_kind() -> None:
    with pytest.raises(NotFoundError, match="there are no plugins of kind 'sauce'"):
        load_catalog().names("sauce")  # type: ignore[arg-type]


def test_description() -> None:
    found = load_catalog().describe("transform", "truncate")
    assert (found.kind, found.name, found.distribution) == ("transform", "truncate", "elspeth")
    assert found.version == Truncate.plugin_version
    assert found.determinism == Determinism.DETERMINISTIC.value
    assert found.module == "elspeth.plugins.transforms.truncate"
    assert found.summary == "Cut long text to a length."
    assert found.options["additionalProperties"] is False
    assert "suffix" in found.options["properties"]


def test_classes_of_other_packages_are_found() -> None:
    catalog = load_catalog([("loud", announcing(elspeth_transforms=[Shout]))])
    assert catalog.transform("shout") is Shout
    assert catalog.summary("transform", "shout") == "Make text loud."
    assert catalog.describe("transform", "shout").distribution == "loud"


def test_one_distribution_may_have_several_hook_modules() -> None:
    first = announcing(elspeth_transforms=[Shout])
    second = announcing(elspeth_sinks=[PluginRef("void", "nowhere:Void", "Nothing.")])
    catalog = load_catalog([("loud", first), ("loud", second)])
    assert "shout" in catalog.names("transform")
    assert "void" in catalog.names("sink")


def test_two_plugins_of_one_name_name_both_packages() -> None:
    hooks = announcing(elspeth_transforms=[PluginRef("truncate", "other:Truncate", "Mine.")])
    with pytest.raises(
        PluginError, match="two transform plugins 'truncate': one of 'elspeth', one of 'rival'"
    ):
        load_catalog([("rival", hooks)])


def test_same_name_in_different_kinds_is_fine() -> None:
    hooks = announcing(elspeth_sinks=[PluginRef("truncate", "other:Truncate", "Mine.")])
    assert "truncate" in load_catalog([("rival", hooks)]).names("sink")


def test_missing_extra_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elspeth_freezer_test.py").write_text("import elspeth_no_such_library\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    ref = PluginRef("cold", "elspeth_freezer_test:Cold", "Needs ice.", extra="ice")
    catalog = load_catalog([("freezer", announcing(elspeth_sources=[ref]))])
    with pytest.raises(UsageError) as caught:
        catalog.source("cold")
    assert str(caught.value) == (
        "the source 'cold' needs 'elspeth_no_such_library', which is not installed\n"
        '  fix: pip install "freezer[ice]"'
    )


def test_missing_module_without_extra() -> None:
    ref = PluginRef("cold", "elspeth_no_such_library:Cold", "Needs ice.")
    catalog = load_catalog([("freezer", announcing(elspeth_sources=[ref]))])
    with pytest.raises(PluginError, match="'cold' of 'freezer' cannot be loaded: no module"):
        catalog.source("cold")


@pytest.mark.parametrize(
    ("target", "message"),
    [("json:NoSuchClass", "has no attribute 'NoSuchClass'"), ("json:dumps", "is no class: json:dumps")],
)
def test_announced_class_is_not_there(target: str, message: str) -> None:
    catalog = load_catalog([("odd", announcing(elspeth_sources=[PluginRef("x", target, "X.")]))])
    with pytest.raises(PluginError, match=message):
        catalog.source("x")


def test_announcing_what_is_no_plugin() -> None:
    with pytest.raises(PluginError, match="'odd' announces 'csv' as a source, which is no plugin"):
        load_catalog([("odd", announcing(elspeth_sources=["csv"]))])


def test_unknown_hook_is_refused() -> None:
    with pytest.raises(PluginError, match=r"the plugin package 'odd' does not fit: .*elspeth_sorces"):
        load_catalog([("odd", announcing(elspeth_sorces=[]))])
