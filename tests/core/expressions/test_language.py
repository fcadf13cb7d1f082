"""What is in the language, and what it gives."""

from decimal import Decimal

import pytest

from elspeth.core.expressions import ExpressionError, compile_expression, label_of
from elspeth.core.expressions.labels import NoLabel

ROW = {
    "amount": 1200.5,
    "count": 7,
    "name": "Ada Lovelace",
    "empty": None,
    "tags": ["a", "b", "c"],
    "nested": {"x": {"y": 3}},
    "price": Decimal("12.50"),
    "flag": True,
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("row['amount'] > 1000", True),
        ("  row['amount'] > 1000  ", True),
        ("row['amount'] >\n  1000\n", True),
        ("1000 < row['amount'] <= 1200.5", True),
        ("row.get('missing')", None),
        ("row.get('missing', 3) + 1", 4),
        ("row['empty'] is None", True),
        ("row['empty'] is not None and row['empty'] > 3", False),
        ("'name' in row and 'x' not in row", True),
        ("row['count'] % 2", 1),
        ("row['count'] // 2 - -row['count']", 10),
        ("row['count'] ** 2 / 7", 7.0),
        ("row['name'].lower().startswith('ada')", True),
        ("startswith(lower(row['name']), ('x', 'ada'))", True),
        ("row['name'].upper().endswith('LACE')", True),
        ("upper(row['name'][:3]) + '!'", "ADA!"),
        ("row['tags'][-1] * 3", "ccc"),
        ("row['tags'][1:]", ["b", "c"]),
        ("row['nested']['x']['y']", 3),
        ("row[row['tags'][0] + 'mount']", 1200.5),
        ("len(row['tags']) + len(row['name'])", 15),
        ("min(row['count'], 3) + max(row['tags'] and [1, 2])", 5),
        ("round(row['amount'] / 7, 2)", 171.5),
        ("round(row['price'])", 12),
        ("abs(-row['count'])", 7),
        ("'big' if row['count'] > 5 else 'small'", "big"),
        ("{'a': 1, 'b': 2}[row['tags'][1]]", 2),
        ("row['count'] in {1, 7} and row['count'] in [7] and row['count'] in (7,)", True),
        ("not row['flag']", False),
        ("row['price'] > 12.4", True),
        ("row['price'] * 12 / 10 == row['price'] + row['price'] / 5", True),
        ("row['name'] == 'Ada' 'x' or row['flag']", True),
        ("row == row and len(row) > 3", True),
        ("True", True),
        ("'é' + row['name'][0]", "éA"),
    ],
)
def test_value(text: str, value: object) -> None:
    assert compile_expression(text).evaluate(ROW) == value


def test_other_names_give_their_items_by_a_dot() -> None:
    expression = compile_expression(
        "usage.cost + row['x'] * state['factor'] + usage.get('tax', 1)", names=("row", "usage", "state")
    )
    assert expression.fn({"x": 2}, {"cost": 10}, {"factor": 3}) == 17
    assert expression.required_fields == expression.fields == {"x"}


@pytest.mark.parametrize("names", [("row", "len"), ("row", "_x"), ("row", "if"), ("a b",)])
def test_names_that_would_hide_the_language_are_a_bug_of_the_caller(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="can't be a name in expressions"):
        compile_expression("1", names=names)


@pytest.mark.parametrize(
    ("text", "required", "fields"),
    [
        ("row['a'] > row['b']", {"a", "b"}, {"a", "b"}),
        ("row['a'] > 1 and row['b'] > 1", {"a"}, {"a", "b"}),
        ("row.get('a', row['b'])", {"b"}, {"a", "b"}),
        ("row['a'] if 'a' in row else row['b']", set(), {"a", "b"}),
        ("row['x'] + 1 if row['t'] else row['x'] - 1", {"x", "t"}, {"x", "t"}),
        ("row['a'] < row['b'] < row['c']", {"a", "b"}, {"a", "b", "c"}),
        ("row[row['k']]", {"k"}, {"k"}),
        ("row['fo' 'o'] == row['b' + 'ar']", {"foo", "bar"}, {"foo", "bar"}),
        ("(row['a'] or row['b']) + row['c']", {"a", "c"}, {"a", "b", "c"}),
        ("len(row) > 2", set(), set()),
    ],
)
def test_fields(text: str, required: set[str], fields: set[str]) -> None:
    expression = compile_expression(text)
    assert expression.required_fields == required
    assert expression.fields == fields


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("row['a'] > 1", {"true", "false"}),
        ("row['a'] > 1 and not row['b']", {"true", "false"}),
        ("startswith(row['a'], 'x')", {"true", "false"}),
        ("True", {"true"}),
        ("'x' if row['a'] else 'y' if row['b'] else 'z'", {"x", "y", "z"}),
        ("'x' if row['a'] else row['b'] > 2", {"x", "true", "false"}),
        ("1 if row['a'] else 2", {"1", "2"}),
        ("{'a': 'x', 'b': 'y'}[row['k']]", {"x", "y"}),
        ("row['a'] and row['b']", None),
        ("row['a'] > 1 and row['b']", None),
        ("row['a']", None),
        ("row['a'].lower()", None),
        ("'x' if row['a'] else row['b']", None),
    ],
)
def test_labels(text: str, labels: set[str] | None) -> None:
    assert compile_expression(text).labels() == labels


def test_conditions_that_never_give_a_label_are_known() -> None:
    never = compile_expression("'x' if row['a'] else None").never_label()
    assert never == "None is None, which is never a route label"
    assert compile_expression("row['a'] / 2").never_label() == (
        "row['a'] / 2 is a fractional number, which is never a route label"
    )
    assert compile_expression("row['a'] + 1").never_label() is None
    assert compile_expression("row['a'] > 1").never_label() is None


@pytest.mark.parametrize(
    ("value", "label"), [(True, "true"), (False, "false"), ("Yes", "Yes"), (3, "3"), (0, "0"), ("", "")]
)
def test_label_of(value: object, label: str) -> None:
    assert label_of(value) == label


@pytest.mark.parametrize("value", [None, 1.0, [1], Decimal(1), b"x"])
def test_label_of_refuses_what_has_no_one_spelling(value: object) -> None:
    with pytest.raises(NoLabel, match="a route label is True, False, text or a whole number"):
        label_of(value)


REFUSED = [
    ("amout > 1", 0, "unknown name 'amout'", "write row['amout'] for a field, 'amout' in quotes for text"),
    ("rwo['x'] > 1", 0, "unknown name 'rwo'", "did you mean row? Otherwise write row['rwo'] for a field"),
    ("row.amount > 1", 0, "attributes such as .amount are not in the language", "write row['amount']"),
    ("row['x'] = 1", 9, "'=' assigns", "write '==' to compare"),
    ("row['=='] && 1", 10, "'&&' is not an operator here", "write 'and'"),
    ("row['x'] || 1", 9, "'||' is not an operator here", "write 'or'"),
    ("!row['x']", 0, "'!' is not an operator here", "write 'not'"),
    ("row['x'] == true", 12, "unknown name 'true'", "write True"),
    ("row['x'] == null", 12, "unknown name 'null'", "write None"),
    ("row['x'] <> 1", 9, "'<>' is not an operator here", "write '!='"),
    ("row['x'] === 1", 9, "there is no such comparison", "write '==' or '!='"),
    ("row['x'] ? 1 : 2", 9, "there is no '? :' here", "write 'this if condition else that'"),
    ("row['x'] AND row['y']", 9, "'AND' is not an operator here", "write 'and' in small letters"),
    ("row['x'] like 'a%'", 9, "there is no LIKE here", "write startswith"),
    ("row[“x”] > 1", 4, "typographic quotes are not quotes here", "write ' or \""),
    ("row['x'] | row['y']", 0, "'|' is not in the language", "write 'or'"),
    ("row['x'] is True", 12, "'is' is only for 'is None' and 'is not None'", "write '=='"),
    ("lenn(row)", 0, "unknown function lenn()", "did you mean len()?"),
    ("row['x'].lowr()", 0, "unknown method .lowr()", "did you mean .lower()?"),
    (
        "row['x'].lower == 'a'",
        0,
        "attributes such as .lower are not in the language",
        "write row['x'].lower(…)",
    ),
    ("row('x')", 0, "unknown function row()", "write row['field'] with square brackets"),
    ("row[0]", 4, "row is a map of fields by name; 0 is not a name", "write row['field']"),
    ("row[amount]", 4, "unknown name 'amount'", "put the field's name in quotes: ['amount']"),
    ("row.get(amount)", 8, "unknown name 'amount'", "put the field's name in quotes: 'amount'"),
    ("row['x'", 3, "this can't be read: '[' was never closed", "close the bracket"),
    ("row['x] > 1", 4, "this can't be read: unterminated string literal", "close the quote"),
    (
        "row['x'] in '\\d'",
        12,
        "this can't be read: invalid escape sequence '\\d'",
        "write \\\\ for a backslash",
    ),
    ("row['é'] > amt", 11, "unknown name 'amt'", "write row['amt'] for a field"),
    ("\n  row['x'] > amt", 14, "unknown name 'amt'", "write row['amt'] for a field"),
    ("len(row['x'], 2)", 0, "len() takes 1 values, not 2", "give it that many"),
    ("max(row['x'], key=1)", 14, "arguments can't be named here", "give the values in order"),
    ("", 0, "the expression is empty", "write a condition"),
]


@pytest.mark.parametrize(("text", "offset", "what", "fix"), REFUSED)
def test_refusals_say_where_and_how_to_fix(text: str, offset: int, what: str, fix: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text)
    assert what in caught.value.what
    assert fix in caught.value.fix
    assert caught.value.offset == offset
    assert caught.value.expression == text


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("1 / 0 > row['x']", "1 / 0 can never be computed: division by zero"),
        ("row['x'] > 1 and [1][5]", "[1][5] can never be computed: its parts don't fit together"),
        ("row['x'] % 'a'", "this operator is for numbers only ('a' is text)"),
        ("'%s' % row['x']", "this operator is for numbers only ('%s' is text)"),
        ("len(row['x'] > 1)", "len() is for text and lists (row['x'] > 1 is True or False)"),
        ("lower(len(row['x']))", "lower() is for text (len(row['x']) is a number)"),
        ("startswith(row['x'], 5)", "startswith() looks for text (5 is a number)"),
        ("row['x'] + 1 > 'a'", "a number can't be ordered against text ('a' is text)"),
        ("row['x'] > None", "this can't be ordered (None is None)"),
        ("row['x'] in 5", "'in' needs a list or text on its right (5 is a number)"),
        ("len(row['x']) in 'abc'", "only text can be in text (len(row['x']) is a number)"),
        ("len(row['x']) + 'a'", "a number and text can't be combined ('a' is text)"),
        ("-lower(row['x'])", "a sign is for numbers (lower(row['x']) is text)"),
        ("max(row['x'], 1, 'a')", "max() needs values of one kind ('a' is text)"),
        ("max(len(row['x']))", "max() needs several values or a list (len(row['x']) is a number)"),
        ("round(row['x'], 1.5)", "places are counted in whole numbers (1.5 is a fractional number)"),
        ("row[[1]]", "this can't be the name of a field ([1] is a list)"),
        ("'abc'[lower(row['x'])]", "positions are whole numbers (lower(row['x']) is text)"),
        ("(row['x'] > 1)['a']", "this has no parts (row['x'] > 1 is True or False)"),
    ],
)
def test_what_fails_on_every_row_is_refused_at_once(text: str, what: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text)
    assert caught.value.what == what
