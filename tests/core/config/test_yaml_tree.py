"""YAML that is read, and YAML that is refused: where, why, and what to do."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from elspeth.contracts.errors import Location
from elspeth.core.config.document import Document, construct
from elspeth.core.config.yaml_errors import BadYaml, Mark
from elspeth.core.config.yaml_tree import MAX_DEPTH, compose


def read(text, environ=None):
    document = Document("p.yaml", text)
    root = compose(text)
    if root is not None:
        construct(document, root, environ or {})
    return document


def refused(text):
    with pytest.raises(BadYaml) as caught:
        compose(text)
    return caught.value


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=12)
KEYS = WORDS.filter(lambda word: "${" not in word)  # what stands in a key is never taken for a variable
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=150)
@given(VALUES, st.booleans())
def test_what_the_standard_loader_reads_is_read_alike(value, flow):
    text = yaml.safe_dump(value, default_flow_style=flow, allow_unicode=True)
    document = read(text.replace("${", "$${"))
    assert not document.problems
    # 1.2 knows fewer ways to write a float; safe_dump writes 1e+16 as 1.0e+16, which both know.
    assert document.data == yaml.safe_load(text)


@settings(max_examples=100)
@given(VALUES)
def test_every_value_has_a_place(value):
    document = read(yaml.safe_dump(value, allow_unicode=True).replace("${", "$${"))

    def visit(data, path):
        assert document.locate(path).line > 0
        below = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
        for key, item in below:
            visit(item, (*path, key))

    visit(document.data, ())


@settings(max_examples=300)
@given(st.text(st.sampled_from("ab:- \n\t{}[],&*!|>'\"#%@`?~1.<"), max_size=40))
def test_no_text_breaks_the_reader(text):
    try:
        read(text)
        bad = BadYaml("fine", "", Mark(1, 1))
    except BadYaml as refusal:
        bad = refusal
    assert bad.what
    assert bad.mark >= (1, 1)


def test_keys_are_text_and_keep_their_case():
    assert read("{true: 1, False: 2, 3: c, Yes: d, 'null': e, 1.50: f}").data == {
        "true": 1,
        "False": 2,
        "3": "c",
        "Yes": "d",
        "null": "e",
        "1.50": "f",
    }


def test_quoted_and_block_text_is_never_a_number():
    assert read("a: '5'\nb: \"true\"\nc: |\n  5\nd: >-\n  6\n").data == {
        "a": "5",
        "b": "true",
        "c": "5\n",
        "d": "6",
    }


def test_aliases_and_merges():
    text = """\
base: &base {a: 1, b: {c: 2}}
other: &other {b: 9, d: 4}
merged: {<<: *base, a: 5}
several: {<<: [*base, *other], e: 6}
alias: *base
quoted: {"<<": 1}
"""
    document = read(text)
    assert not document.problems
    assert document.data == {**yaml.safe_load(text.replace('"<<": 1', "x: 1")), "quoted": {"<<": 1}}
    assert document.locate(("merged", "b", "c")) == Location("p.yaml", 1, 27)
    assert document.locate(("merged", "a")) == Location("p.yaml", 3, 24)


def test_positions():
    document = read("a:\n  - name: x\n    deep: {k: v}\n  - y\nb: [1, 2]\n")

    def at(*path):
        where = document.locate(path)
        return where.line, where.column

    assert at() == (1, 1)
    assert at("a") == (1, 1)
    assert at("a", 0) == (2, 5)
    assert at("a", 0, "name") == (2, 11)
    assert at("a", 0, "deep") == (3, 5)
    assert at("a", 0, "deep", "k") == (3, 15)
    assert at("a", 1) == (4, 5)
    assert at("b", 1) == (5, 8)
    assert at("b", 7) == (5, 1)
    assert at("a", 0, "missing", "more") == (2, 5)
    assert at("nowhere") == (1, 1)
    assert document.locate(("a", 0, "name"), at_key=True) == Location("p.yaml", 2, 5)


@pytest.mark.parametrize(
    ("text", "what", "fix", "mark"),
    [
        (
            "a:\n\tb: 1\n",
            "a tab is used for indentation, which YAML does not allow",
            "replace the tabs at the beginning of the line by spaces",
            (2, 1),
        ),
        (
            "a: 1\n  b: 2\n",
            "a ':' is not expected here",
            "check the indentation; a text that contains ': ' must be quoted",
            (2, 4),
        ),
        (
            "condition: row['a'] == 'x: y'\n",
            "a ':' is not expected here",
            "check the indentation; a text that contains ': ' must be quoted",
            (1, 26),
        ),
        ("a: 1\nb\nc: 2\n", "this line has no ':' after its key", "write `key: value`", (3, 1)),
        ("a: 'x\nb: 2\n", "a quote is opened here but never closed", "close the quote", (1, 4)),
        ("a: @x\n", "a value cannot begin with '@'", "quote the value", (1, 4)),
        ("a: `x`\n", "a value cannot begin with '`'", "quote the value", (1, 4)),
        (
            'a: "C:\\temp\\data"\nb: "\\d"\n',
            "a backslash in double quotes begins an escape, and this one does not exist",
            "use single quotes, or write \\\\ for a backslash",
            (1, 12),
        ),
        (
            "a: {b: ${HOME}}\n",
            "inside {…} and […] a ${VARIABLE} must be quoted",
            'write "${VARIABLE}"',
            (1, 8),
        ),
        (
            "a: 1\n---\nb: 2\n",
            "a second document begins here, but a pipeline is one document",
            "take the line `---` out, or move what follows to a file of its own",
            (2, 1),
        ),
        (
            "a: *b\n",
            "*b refers to nothing: there is no &b above it",
            "put &b before the value that is meant, or quote the text if no alias is meant",
            (1, 4),
        ),
        ("a: &b\n  c: *b\n", "*b stands inside &b itself", "take the alias out", (2, 6)),
        (
            "a: x\0y\n",
            "the character U+0000 must not stand in a YAML file",
            'remove it, or write it as an escape such as "\\x00" in double quotes',
            (1, 5),
        ),
        (
            "a:\n  - x\n b: 1\n",
            "the indentation does not fit the lines above",
            "align this line with its neighbours, using spaces only",
            (3, 2),
        ),
        (
            "a: {b:}\n",
            "a ':' inside {…} or […] needs a space behind it",
            "write `key: value`",
            (1, 6),
        ),
        ("a: [1, 2\nb: 3\n", "a ']' or ',' is missing", "close the list that is open here", (2, 2)),
    ],
)
def test_refusals(text, what, fix, mark):
    bad = refused(text)
    assert (bad.what, bad.fix, tuple(bad.mark)) == (what, fix, mark)


def test_a_bomb_is_refused_quickly():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    bad = refused("\n".join(lines))
    assert bad.what == "the aliases stand for more than 100,000 values"


def test_a_bomb_of_merges_is_refused():
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}], k{n}: 1}}" for n in range(1, 30)]
    assert refused("\n".join(lines)).what == "the aliases stand for more than 100,000 values"


def test_data_is_refused():
    bad = refused("x: [" + "1," * 200_000 + "]")
    assert (bad.what, bad.fix) == ("more than 200,000 values", "a pipeline file is no place for data")


@pytest.mark.parametrize("text", ["[" * 5000, "{a: " * 5000, "- " * 5000, "a:\n" + " - " * 300])
def test_deep_nesting_is_refused(text):
    assert refused(text).what == f"more than {MAX_DEPTH} levels of nesting"


def test_depth_counts_what_aliases_stand_for():
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 200)]
    assert refused("\n".join(lines)).what == f"more than {MAX_DEPTH} levels of nesting"


def problems(text, environ=None):
    return [(p.what, p.fix, str(p.location)) for p in read(text, environ).problems]


def test_duplicate_keys_name_both_lines():
    assert problems("a: 1\nb: 2\na: 3\n") == [
        ("the key 'a' stands twice: in line 1 and in line 3", "keep one of the two", "p.yaml:3:1")
    ]
    assert problems("x: {true: 1, 'true': 2}\n") == [
        ("the key 'true' stands twice: both in line 1", "keep one of the two", "p.yaml:1:14")
    ]


def test_keys_must_be_text():
    assert problems("? [a, b]\n: 1\n") == [
        ("a key must be text, not a mapping or a list", "write `key: value`", "p.yaml:1:3")
    ]


def test_only_mappings_are_merged():
    assert problems("a: {<<: 5}\n") == [
        ("<< can merge mappings only", "name an anchored mapping: `<<: *name`", "p.yaml:1:9")
    ]


def test_tags_and_numbers_out_of_range():
    assert problems("a: !!python/object:os.system {}\nb: !!set {x}\nc: .inf\n") == [
        ("the tag !!python/object:os.system is not supported", "take the tag out", "p.yaml:1:1"),
        ("the tag !!set is not supported", "take the tag out", "p.yaml:2:1"),
        (
            ".inf is not a finite number, and has no place in a pipeline file",
            "quote it if text is meant",
            "p.yaml:3:4",
        ),
    ]


def test_variables_are_resolved_again_only_where_unquoted():
    document = read(
        "a: ${N}\nb: '${N}'\nc: ${M:-5}\nd: ${T:-true}\ne: x${N}\nf: ${L}\n", {"N": "12", "L": "a: [b]"}
    )
    assert document.data == {"a": 12, "b": "12", "c": 5, "d": True, "e": "x12", "f": "a: [b]"}
    assert set(document.from_environment) == {("a",), ("b",), ("e",), ("f",)}


def test_unset_variables_have_a_position_and_a_guess():
    assert problems("a: 1\nb: ${API_KY}\nc: ${X y}\n", {"API_KEY": "s3cret"}) == [
        (
            "the environment variable API_KY is not set; did you mean API_KEY?",
            "set it, or give a default: ${API_KY:-value}",
            "p.yaml:2:4",
        ),
        (
            "'${X y}' is not a reference to an environment variable",
            "write ${NAME} or ${NAME:-default}; write $${ for a literal ${",
            "p.yaml:3:4",
        ),
    ]


def test_values_from_the_environment_must_be_unicode_and_finite_but_are_not_shown():
    assert problems("a: ${A}\nb: ${B}\n", {"A": "x\udcff", "B": "1e999"}) == [
        ("this text is not valid Unicode", "use UTF-8 in variables and escapes", "p.yaml:1:4"),
        ("this number is too large or not finite", "quote it if text is meant", "p.yaml:2:4"),
    ]
