"""Every setting is in the reference, and its tables are what the models say."""

from pathlib import Path

import pytest

from elspeth.core.config import iter_settings
from elspeth.core.config.reference import renewed, settings_table

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "pipeline.md"
RENEW = (
    "from pathlib import Path; from elspeth.core.config.reference import renewed; "
    "page = Path('docs/reference/pipeline.md'); page.write_text(renewed(page.read_text('utf-8')), 'utf-8')"
)


def test_every_setting_is_documented_once() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    keys = [setting.key for setting in iter_settings()]
    counts = {key: sum(line.startswith(f"| `{key}` |") for line in lines) for key in keys}
    assert {key: count for key, count in counts.items() if count != 1} == {}


def test_the_tables_are_what_the_models_say() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == renewed(page), f'renew the page: python -c "{RENEW}"'


def test_every_setting_says_what_it_means() -> None:
    assert [setting.key for setting in iter_settings() if not setting.description] == []


def test_a_table_has_a_line_per_setting() -> None:
    table = settings_table("queues").splitlines()
    assert table[0] == "| key | type | default | meaning |"
    assert [line.split("`")[1] for line in table[2:]] == ["queues", "queues.<name>.description"]


def test_alternatives_do_not_break_the_table() -> None:
    (line,) = [line for line in settings_table("gates").splitlines() if line.startswith("| `gates[].mode`")]
    assert r"| move \| copy | `move` |" in line


def test_there_is_no_table_of_an_unknown_section() -> None:
    with pytest.raises(KeyError, match="sauces"):
        settings_table("sauces")
