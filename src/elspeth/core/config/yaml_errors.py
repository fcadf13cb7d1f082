"""What a YAML parser complains about, in the words of somebody who writes pipelines."""

import re
from typing import Any, NamedTuple

import yaml


class Mark(NamedTuple):
    """A place in the text; both count from 1."""

    line: int
    column: int

    @classmethod
    def of(cls, mark: Any) -> "Mark":
        """From a parser's mark, whose numbers count from 0."""
        return cls(mark.line + 1, mark.column + 1)


class BadYaml(Exception):
    """The text cannot be read. Turned into a ConfigurationError by the loader."""

    def __init__(self, what: str, fix: str, mark: Mark) -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix
        self.mark = mark


_INDENTATION = "the indentation does not fit the lines above"
_ALIGN = "align this line with its neighbours, using spaces only"

_WORDS: tuple[tuple[str, str, str], ...] = (
    (
        "mapping values are not allowed",
        "a ':' is not expected here",
        "check the indentation; a text that contains ': ' must be quoted",
    ),
    ("could not find expected ':'", "this line has no ':' after its key", "write `key: value`"),
    ("did not find expected key", _INDENTATION, _ALIGN),
    ("expected <block end>", _INDENTATION, _ALIGN),
    ("did not find expected '-' indicator", _INDENTATION, "begin each item of the list with `- `"),
    ("block sequence entries are not allowed", "a '- ' is not expected here", "begin the list on a new line"),
    (
        "unknown escape character",
        "a backslash in double quotes begins an escape, and this one does not exist",
        "use single quotes, or write \\\\ for a backslash",
    ),
    ("did not find expected ',' or '}'", "a '}' or ',' is missing", "close the mapping that is open here"),
    ("expected ',' or '}'", "a '}' or ',' is missing", "close the mapping that is open here"),
    ("did not find expected ',' or ']'", "a ']' or ',' is missing", "close the list that is open here"),
    ("expected ',' or ']'", "a ']' or ',' is missing", "close the list that is open here"),
    ("document start", "the document is over, but more follows", "check the indentation of this line"),
    ("found unexpected ':'", "a ':' inside {…} or […] needs a space behind it", "write `key: value`"),
    ("undefined tag handle", "this tag is not known", "quote the text if no tag is meant"),
    ("duplicate %YAML", "the %YAML directive stands twice", "take one out"),
    ("incompatible YAML", "this version of YAML is not supported", "take the %YAML directive out"),
)


def in_readers_words(error: yaml.YAMLError, text: str) -> BadYaml:
    """The same complaint with a position in ``text``, its likely cause and a remedy."""
    if isinstance(error, yaml.reader.ReaderError):
        return _strange_character(error, text)
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return BadYaml("this is not YAML", "check the file", Mark(1, 1))
    mark = Mark.of(error.problem_mark)
    problem = error.problem or ""
    line = _line(text, mark)
    if "\t" in line[: len(line) - len(line.lstrip())] or "'\\t'" in problem:
        return BadYaml(
            "a tab is used for indentation, which YAML does not allow",
            "replace the tabs at the beginning of the line by spaces",
            Mark(mark.line, line.find("\t") + 1 if "\t" in line else mark.column),
        )
    if "end of stream" in problem and error.context_mark is not None:
        return BadYaml(
            "a quote is opened here but never closed", "close the quote", Mark.of(error.context_mark)
        )
    if "cannot start any token" in problem:
        return _needs_quotes(line, mark)
    if re.search(r"[{\[].*\$\{", line) and "expected" in problem:
        return BadYaml(
            "inside {…} and […] a ${VARIABLE} must be quoted",
            'write "${VARIABLE}"',
            Mark(mark.line, line.index("${") + 1),
        )
    for needle, what, fix in _WORDS:
        if needle in problem:
            return BadYaml(what, fix, mark)
    return BadYaml(f"this is not YAML: {problem or 'unreadable'}", "check this line", mark)


def _needs_quotes(line: str, mark: Mark) -> BadYaml:
    char = line[mark.column - 1 : mark.column]
    what = f"a value cannot begin with {char!r}" if char else "a value cannot begin here"
    return BadYaml(what, "quote the value", mark)


def _strange_character(error: Any, text: str) -> BadYaml:
    """Control characters are refused before parsing begins, with an offset only."""
    found = yaml.reader.Reader.NON_PRINTABLE.search(text)
    position = found.start() if found else 0
    before = text[:position]
    mark = Mark(before.count("\n") + 1, position - before.rfind("\n"))
    code = ord(text[position]) if found else 0
    return BadYaml(
        f"the character U+{code:04X} must not stand in a YAML file",
        'remove it, or write it as an escape such as "\\x00" in double quotes',
        mark,
    )


def _line(text: str, mark: Mark) -> str:
    lines = text.splitlines()
    return lines[mark.line - 1] if mark.line <= len(lines) else ""
