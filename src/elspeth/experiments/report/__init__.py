"""Saying what was found: as plain values, as Markdown for a pull request, as one page of HTML."""
