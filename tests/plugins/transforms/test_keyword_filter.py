"""keyword_filter: what is searched, what is said, and that no pattern can hang it."""

from typing import Any

import pytest
from pydantic import ValidationError

from elspeth.contracts.plugins import PluginContext
from elspeth.contracts.results import TransformResult
from elspeth.plugins.transforms.keyword_filter import KeywordFilter

CTX = PluginContext()


def filtered(row: dict[str, Any], *patterns: str, fields: Any = "all") -> TransformResult:
    return KeywordFilter({"fields": fields, "blocked_patterns": list(patterns)}).process(row, CTX)


def test_clean_row_goes_on_as_it_is() -> None:
    row = {"note": "all is well", "n": 7, "none": None}
    assert filtered(row, "secret").row is row


def test_reason_names_pattern_and_field_but_not_the_text() -> None:
    result = filtered({"note": "card 4111-1111"}, "nothing", r"\b4\d{3}-\d{4}\b")
    assert result.reason == {
        "error": r"field 'note' matches the blocked pattern '\\b4\\d{3}-\\d{4}\\b'",
        "kind": "blocked_pattern",
        "field": "note",
        "pattern": r"\b4\d{3}-\d{4}\b",
    }
    assert "4111" not in str(result)


def test_case_matters_unless_told() -> None:
    assert filtered({"a": "SECRET"}, "secret").status == "success"
    assert filtered({"a": "SECRET"}, "(?i)secret").status == "error"


def test_only_the_listed_fields_are_searched() -> None:
    assert filtered({"a": "bad", "b": "good"}, "bad", fields=["b"]).status == "success"
    assert filtered({"a": "bad", "b": "good"}, "bad", fields=["a"]).status == "error"


@pytest.mark.parametrize("value", [["x", {"k": ["bad"]}], {"bad": 1}, {"deep": {"deeper": "so bad"}}])
def test_nested_text_is_searched(value: Any) -> None:
    assert filtered({"a": value}, "bad").status == "error"


def test_deep_nesting() -> None:
    value: Any = "bad"
    for _ in range(50_000):
        value = [value]
    assert filtered({"a": value}, "bad").status == "error"


@pytest.mark.parametrize("value", [12, 1.5, None, True, b"12"])
def test_what_is_no_text_is_not_searched(value: Any) -> None:
    assert filtered({"a": value}, "12|1.5|None|True").status == "success"


def test_missing_field() -> None:
    result = filtered({"b": "x"}, "bad", fields=["a"])
    assert result.reason is not None
    assert result.reason["error"] == "field 'a' is missing; the row has 'b'"
    lenient = KeywordFilter({"fields": ["a"], "blocked_patterns": ["x"], "strict": False})
    assert lenient.process({"b": "x"}, CTX).status == "success"


def test_demands() -> None:
    assert KeywordFilter({"fields": ["a"], "blocked_patterns": ["x"]}).input_schema.demands == {"a"}
    assert not KeywordFilter({"fields": "all", "blocked_patterns": ["x"]}).input_schema.demands


def test_lone_surrogate_is_an_error_of_the_row() -> None:
    assert filtered({"a": "x\ud800"}, "bad").reason == {
        "error": "field 'a' is no valid text",
        "kind": "invalid_text",
        "field": "a",
    }


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(a|aa)+$", r"(.*)*x", r"^(\w+\s?)*$"])
def test_patterns_that_backtrack_without_end_elsewhere(pattern: str) -> None:
    assert filtered({"a": "a" * 100_000 + "!"}, pattern).status == "success"


@pytest.mark.parametrize(
    ("pattern", "cause"),
    [
        ("(a", "missing )"),
        (r"(?=a)b", "invalid perl operator: (?="),
        (r"(a)\1", "invalid escape sequence"),
        (r"\bÜbel\b", "has \\b and letters beyond ASCII"),
    ],
)
def test_bad_pattern(pattern: str, cause: str) -> None:
    with pytest.raises(ValidationError) as caught:
        KeywordFilter({"fields": "all", "blocked_patterns": ["fine", pattern]})
    (error,) = caught.value.errors()
    assert error["loc"] == ("blocked_patterns", 1)
    assert cause in error["msg"]


def test_bad_pattern_leaves_standard_error_alone(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValidationError):
        KeywordFilter({"fields": "all", "blocked_patterns": ["(a"]})
    assert capfd.readouterr().err == ""


def test_letters_beyond_ascii() -> None:
    assert filtered({"a": "das Übel"}, r"(?:^|\PL)Übel(?:\PL|$)").status == "error"
    assert filtered({"a": "Übelkeit"}, r"(?:^|\PL)Übel(?:\PL|$)").status == "success"


@pytest.mark.parametrize("fields", ["some", [], [1], "", None])
def test_bad_fields(fields: Any) -> None:
    with pytest.raises(ValidationError, match="must be a list of field names, or the word 'all'"):
        KeywordFilter({"fields": fields, "blocked_patterns": ["x"]})


def test_no_patterns() -> None:
    with pytest.raises(ValidationError, match="at least 1 item"):
        KeywordFilter({"fields": "all", "blocked_patterns": []})
