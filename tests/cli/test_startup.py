"""What a command loads: nothing heavy that it does not need."""

from collections.abc import Callable
from typing import Any

import pytest

WATCH = (
    "import atexit\n"
    "atexit.register(lambda: print('LOADED', *(n for n in sys.modules if '.' not in n), file=sys.stderr))"
)


def loaded(start_cli: Callable[..., Any], *arguments: str) -> set[str]:
    out, err = start_cli(*arguments, before=WATCH).communicate()
    assert out
    return set(err.rpartition("LOADED")[2].split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"], ["explain", "--help"]])
def test_help_needs_none_of_the_large_libraries(start_cli: Callable[..., Any], arguments: list[str]) -> None:
    heavy = {"sqlalchemy", "yaml", "rich", "pluggy", "orjson", "rfc8785", "alembic", "pyarrow"}
    assert heavy & loaded(start_cli, *arguments) == set()


def test_the_list_of_commands_needs_no_pydantic_either(start_cli: Callable[..., Any]) -> None:
    assert "pydantic" not in loaded(start_cli, "--help")


def test_validate_loads_no_optional_library(
    start_cli: Callable[..., Any], write_pipeline: Callable[..., Any]
) -> None:
    write_pipeline("1,5,x")
    assert {"alembic", "pyarrow", "psycopg"} & loaded(start_cli, "validate", "pipeline.yaml") == set()
