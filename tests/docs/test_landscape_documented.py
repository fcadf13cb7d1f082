"""Every table, view and column that people query is in the reference, and nothing else is."""

import re
from pathlib import Path

import pytest
from sqlalchemy import Table

from elspeth.core.landscape import schema
from elspeth.core.landscape.tables import metadata

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "landscape.md"
TABLES = {table.name: table for table in vars(schema).values() if isinstance(table, Table)}


@pytest.fixture(scope="module")
def sections() -> dict[str, str]:
    """The text under each heading, by the tables and views that the heading names."""
    parts = re.split(r"^### (?:Table|View)s? (.*)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    found = {}
    for heading, text in zip(parts[1::2], parts[2::2], strict=True):
        body = re.split(r"^## ", text, flags=re.MULTILINE)[0]
        found |= dict.fromkeys(re.findall(r"`(\w+)`", heading), body)
    return found


def test_every_table_and_view_has_a_section(sections: dict[str, str]) -> None:
    assert set(sections) == set(TABLES)


@pytest.mark.parametrize("name", TABLES)
def test_every_column_has_a_line_in_its_section(name: str, sections: dict[str, str]) -> None:
    cells = re.findall(r"^\| (.*?) \|", sections[name], re.MULTILINE)
    named = {column for cell in cells for column in re.findall(r"`(\w+)`", cell)}
    columns = {column.name for column in TABLES[name].columns}
    assert columns - named == set()
    # Two tables may share a section, so that a name is wrong only if none of them has it.
    shared = {other for other in TABLES if sections[other] == sections[name]}
    assert named - {column.name for other in shared for column in TABLES[other].columns} == set()


def test_the_tables_behind_the_views_are_named() -> None:
    behind = PAGE.read_text(encoding="utf-8").partition("## Behind the views")[2]
    assert [name for name in metadata.tables if name not in TABLES and f"`{name}`" not in behind] == []
