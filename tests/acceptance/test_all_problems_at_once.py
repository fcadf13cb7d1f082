"""Whatever is wrong with a pipeline file is told at once, in file order, each thing once."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elspeth import validate
from elspeth.contracts.errors import ConfigurationError, Problem

GOOD = """\
source:
  plugin: csv
  options: {path: in.csv, schema: {mode: fixed, fields: ["id: int", "amount: int", "note: str"]}}
transforms:
  - name: clean
    plugin: field_mapper
    options: {mapping: {note: remark}}
    on_error: failed
  - name: cut
    plugin: truncate
    options: {fields: {remark: 10}}
gates:
  - name: large
    condition: "row['amount'] > 1000"
    routes: {"true": review, "false": paid}
    mode: move
sinks:
  review: {plugin: csv, options: {path: review.csv}}
  paid: {plugin: csv, options: {path: paid.csv}}
  failed: {plugin: json, options: {path: failed.jsonl}}
landscape: {url: "sqlite:///audit.db"}
retry: {max_attempts: 3}
"""

# What is written instead of what, where the problem is, and a part of its text. Every one of these
# can be told whatever else is wrong.
MISTAKES: Mapping[str, tuple[str, str, str, str]] = {
    "misspelt key": ("source:\n  plugin: csv\n  options:", "source:\n  plugin: csv\n  optoins:", "optoins",
                     "unknown key 'optoins' in source"),
    "key of nobody": ("    on_error: failed\n", "    on_error: failed\n    zzz: 1\n", "zzz",
                      "unknown key 'zzz' in transforms.0"),
    "misspelt section": ("retry:", "retri:", "retri", "unknown key 'retri'"),
    "unknown setting": ("{url: ", "{ulr: ", "ulr", "unknown key 'ulr' in landscape"),
    "bad number": ("max_attempts: 3", "max_attempts: three", "three", ".max_attempts must be a whole number"),
    "unknown transform": ("field_mapper", "field_maper", "field_maper",
                          "there is no transform plugin 'field_maper'"),
    "unknown sink plugin": ("failed: {plugin: json", "failed: {plugin: jsn", "jsn",
                            "there is no sink plugin 'jsn'"),
    "unknown option": ("options: {fields: {remark: 10}}", "options: {fields: {remark: 10}, sufix: x}",
                       "sufix", "unknown key 'sufix' in transforms.1.options"),
    "bad option": ("{path: review.csv}", "{path: review.csv, mode: wrte}", "wrte",
                   "sinks.review.options.mode must be one of"),
    "unknown sink": ('"false": paid', '"false": payd', "payd", "gate 'large' writes to 'payd'"),
    "bad expression": ("row['amount'] > 1000", "row['amount' > 1000", "['amount' >",
                       "this can't be read: '[' was never closed"),
    "sink over source": ("path: paid.csv", "path: in.csv", "in.csv}}", "sink 'paid' would write to"),
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("problems")
    (folder / "in.csv").write_text("id,amount,note\n1,2,x\n", encoding="utf-8")
    return folder


def _problems(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> list[Problem]:
    file = folder / "p.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        try:
            validate("p.yaml", environ=environ or {})
        except ConfigurationError as error:
            return list(error.problems)
    return []


def _place(problem: Problem) -> str:
    assert problem.location is not None
    return f"{problem.location.line}:{problem.location.column}"


def test_the_pipeline_is_good_without_the_mistakes(folder: Path) -> None:
    assert _problems(folder, GOOD) == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.sets(st.sampled_from(sorted(MISTAKES)), min_size=1))
def test_mistakes_hide_neither_each_other_nor_anything_else(folder: Path, names: set[str]) -> None:
    text = GOOD
    for name in names:
        old, new, _, _ = MISTAKES[name]
        assert text.count(old) == 1
        text = text.replace(old, new)
    wanted = []
    for name in names:
        _, _, marker, what = MISTAKES[name]
        assert text.count(marker) == 1
        before = text[: text.index(marker)]
        wanted.append((before.count("\n") + 1, len(before) - before.rfind("\n"), what))
    found = _problems(folder, text)
    assert len(found) == len(wanted), [str(problem) for problem in found]
    for problem, (line, column, what) in zip(found, sorted(wanted), strict=True):
        assert what in problem.what
        assert _place(problem) == f"{line}:{column}"
        assert problem.excerpt
    assert not (folder / "audit.db").exists()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        # A value that could not be read is told once, and all that follows from it is not.
        (GOOD.replace("path: in.csv", "path: '${NOWHERE}'"), ["the environment variable NOWHERE is not set"]),
        (GOOD.replace("row['amount'] > 1000", "row['${NOWHERE}'] > 1"), ["variable NOWHERE is not set"]),
        (GOOD.replace("condition: ", "condtion: "), ["unknown key 'condtion' in gates.0"]),
        (GOOD.replace("condition: \"row['amount'] > 1000\"", "mode: move"), ["gates.0 has no 'condition'",
                                                                            "the key 'mode' stands twice"]),
        (GOOD.replace("sqlite:///audit.db", "mysql://u:geheim@h/x"), ["a landscape can't live in 'mysql'"]),
        (GOOD.replace("sinks:", "snks:"), ["unknown key 'snks'"]),
        (GOOD.replace("source:", "sorce:"), ["unknown key 'sorce'"]),
        (f"{GOOD}\nsorce: {{plugin: csv}}\n", ["unknown key 'sorce'"]),
        (GOOD.replace("  failed: {", "  a b: {").replace("field_mapper", "field_maper"),
         ["there is no transform plugin 'field_maper'", "'a b' is not a name"]),
        (GOOD.replace("  options: {path: in.csv, schema", "  path: in.csv\n  options: {schema"),
         ["unknown key 'path' in source"]),
        (GOOD.replace("  - name: cut\n    plugin: truncate\n    options: {fields: {remark: 10}}", "  - cut"),
         ["transforms.1 must be a mapping"]),
        (GOOD.replace("plugin: truncate", "plugin: [truncate]"), ["transforms.1.plugin must be text"]),
        (GOOD.replace("routes: {", "routs: {"), ["unknown key 'routs' in gates.0"]),
        (GOOD.replace('"true": review, ', '"true": [], ').replace("truncate", "trunkate"),
         ["there is no transform plugin 'trunkate'", "this route has no destinations"]),
        (GOOD.replace("mode: move", "mode: fast").replace('"false": paid', '"false": fork'),
         ["route 'false' forks, but there is no fork_to", "gates.0.mode must be one of"]),
    ],
)  # fmt: skip
def test_one_mistake_makes_one_message(folder: Path, text: str, wanted: list[str]) -> None:
    found = _problems(folder, text)
    assert len(found) == len(wanted), [str(problem) for problem in found]
    for problem, what in zip(found, wanted, strict=True):
        assert what in problem.what
