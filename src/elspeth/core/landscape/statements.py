"""Statements as plain text that still give values of the columns' own types."""

from typing import Any

from sqlalchemy import Table, text
from sqlalchemy.sql.selectable import TextualSelect


def statement(table: Table, record: type[Any], rest: str) -> TextualSelect:
    """Select the columns that a record (a dataclass with slots) has fields for; ``rest`` is SQL."""
    names = record.__slots__
    query = text(f"SELECT {', '.join(names)} FROM {table.name} {rest}")
    return query.columns(*(table.c[name] for name in names))
