"""Every hook, plugin and option is in the reference, and the reference is what the code says."""

from pathlib import Path

import pytest

import elspeth.testing
from elspeth.plugins import hookspecs
from elspeth.plugins.reference import BEGIN, render, renewed
from elspeth.plugins.registry import KINDS, load_catalog

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "plugins.md"
RENEW = (
    "from pathlib import Path; from elspeth.plugins.reference import renewed; "
    "page = Path('docs/reference/plugins.md'); page.write_text(renewed(page.read_text('utf-8')), 'utf-8')"
)


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("hook", [name for name in dir(hookspecs) if name.startswith("elspeth_")])
def test_hook_is_documented(hook: str, page: str) -> None:
    assert f"| `{hook}` |" in page


@pytest.mark.parametrize("contract", elspeth.testing.__all__)
def test_contract_is_documented(contract: str, page: str) -> None:
    assert f"`{contract}`" in page


def test_plugins_are_documented_as_they_are(page: str) -> None:
    assert BEGIN in page
    assert page == renewed(page), f'renew the page: python -c "{RENEW}"'


def test_every_option_has_a_line() -> None:
    catalog, reference = load_catalog(), render()
    for kind in KINDS:
        for name in catalog.names(kind):
            found = catalog.describe(kind, name)
            if found.distribution == "elspeth":
                section = reference.partition(f"### {kind.capitalize()} `{name}`\n")[2].partition("\n### ")[0]
                missing = [
                    option for option in found.options["properties"] if f"| `{option}` |" not in section
                ]
                assert not missing, f"{kind} {name}: {missing}"
