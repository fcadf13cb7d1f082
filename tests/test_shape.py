"""The shape of the house: small files, short functions, few parameters, names that say something."""

import ast
import statistics
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "src" / "elspeth").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py")) + sorted((ROOT / "benchmarks").rglob("*.py"))

# Signatures that people call by keyword, as fixed; everything else takes one frozen object instead.
MORE_THAN_SIX_PARAMETERS = frozenset({"compare", "verify", "explain", "export", "run"})
CONTRACT_NAMES = frozenset({"TokenManager"})
EMPTY_WORDS = ("Manager", "Service", "Impl")
EMPTY_MODULES = frozenset({"helpers", "helper", "utils", "util", "common", "misc", "shared"})

Function = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def functions_of(path: Path) -> Iterator[Function]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length_of(function: Function) -> int:
    """Lines of code: the docstring is for the reader, and doesn't count."""
    total = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    ):
        total -= (first.end_lineno or first.lineno) - first.lineno + 1
    return total


def parameters_of(function: Function) -> int:
    names = [arg.arg for arg in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


@pytest.mark.parametrize(("paths", "limit"), [(SOURCES, 500), (TESTS, 600)], ids=["src", "tests"])
def test_no_file_is_too_long(paths: list[Path], limit: int) -> None:
    assert {name_of(path): lines_of(path) for path in paths if lines_of(path) > limit} == {}


def test_files_are_short_on_the_whole() -> None:
    lengths = [lines_of(path) for path in SOURCES if lines_of(path) > 0]
    assert statistics.median(lengths) <= 160


def test_functions_are_short() -> None:
    lengths = {
        f"{name_of(path)}:{function.lineno} {function.name}": length_of(function)
        for path in SOURCES
        for function in functions_of(path)
    }
    assert {name: length for name, length in lengths.items() if length > 80} == {}
    assert statistics.quantiles(lengths.values(), n=20)[-1] <= 45


def test_functions_have_few_parameters() -> None:
    found = {
        f"{name_of(path)}:{function.lineno} {function.name}"
        for path in SOURCES
        for function in functions_of(path)
        if parameters_of(function) > 6 and function.name not in MORE_THAN_SIX_PARAMETERS
    }
    assert found == set()


def test_names_say_something() -> None:
    modules = {
        name_of(path) for path in SOURCES if path.stem in EMPTY_MODULES or path.parent.name in EMPTY_MODULES
    }
    classes = {
        f"{name_of(path)}: {node.name}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
        and node.name.endswith(EMPTY_WORDS)
        and node.name not in CONTRACT_NAMES
    }
    assert modules | classes == set()


def test_every_package_says_what_it_is_in_an_init_file() -> None:
    packages = {path.parent for path in SOURCES}
    assert {name_of(package) for package in packages if not (package / "__init__.py").is_file()} == set()


def test_files_do_not_import_each_other_in_circles() -> None:
    """Imports for type checkers and in functions count too."""
    modules = {
        ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__"): path
        for path in SOURCES
    }
    imports: dict[str, set[str]] = {name: set() for name in modules}
    for name, path in modules.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                wanted = {f"{node.module}.{alias.name}" for alias in node.names}
                imports[name] |= {
                    one if one in modules else node.module for one in wanted if node.module in modules
                } - {name}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' → '.join(error.args[1])}")
