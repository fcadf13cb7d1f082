"""Columns of values as lines of CSV.

Half the cost of the csv module's writer, because whole columns are turned and looked at together;
and a carriage return inside a cell is quoted, which that module forgets.
"""

import re
from collections.abc import Sequence
from typing import Any

from elspeth.plugins.sinks.cells import cell, escape_formula

_IN_NUMBERS = frozenset("0123456789+-.einfa")


class CsvText:
    """One way of writing CSV: delimiter, quote character, and whether formulas are disarmed."""

    def __init__(self, delimiter: str, quotechar: str, *, escape_formulas: bool = False) -> None:
        self._delimiter = delimiter
        self._quote = quotechar
        self._special = (delimiter, quotechar, "\n", "\r")
        self._needs_quotes = re.compile("[" + re.escape("".join(self._special)) + "]")
        self._numbers_are_safe = not _IN_NUMBERS & {delimiter, quotechar}
        self._escape_formulas = escape_formulas

    def lines(self, columns: Sequence[Sequence[Any]]) -> str:
        """All rows of these columns, each line ended. Raises TypeError for values that are no cells."""
        texts = list(map(self._column, columns))
        if len(texts) == 1:
            # A line with nothing in it would be no row at all.
            texts = [[text or self._quote * 2 for text in texts[0]]]
        return "\n".join(map(self._delimiter.join, zip(*texts, strict=True))) + "\n"

    def _column(self, values: Sequence[Any]) -> Sequence[str]:
        kinds = set(map(type, values))
        if kinds == {str}:
            texts = list(map(escape_formula, values)) if self._escape_formulas else values
        elif kinds == {int}:
            texts = list(map(str, values))
        elif kinds == {float}:
            texts = list(map(repr, values))
        else:
            texts = list(map(cell, map(escape_formula, values) if self._escape_formulas else values))
        if self._numbers_are_safe and kinds <= {int, float}:
            return texts
        joined = "".join(texts)
        if not any(special in joined for special in self._special):
            return texts
        return list(map(self._quoted, texts))

    def _quoted(self, text: str) -> str:
        if self._needs_quotes.search(text):
            quote = self._quote
            return f"{quote}{text.replace(quote, quote * 2)}{quote}"
        return text
