"""What `scaffold_plugin` writes; ``$name`` and the like are filled in."""

PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "$distribution"
version = "0.1.0"
dependencies = ["elspeth"]

[project.entry-points.elspeth]
$name = "$module"

[tool.hatch.build.targets.wheel]
only-include = ["$module.py"]
"""

TRANSFORM = '''\
"""The transform ``$name``."""

from elspeth.contracts import PluginContext, Row, TransformResult
from elspeth.plugins.hookspecs import hookimpl
from elspeth.plugins.transforms.base import BaseTransform, TransformOptions
from pydantic import Field


class ${cls}Options(TransformOptions):
    field: str = Field(description="The text field to write in capitals.")


class $cls(BaseTransform):
    """Write a text field in capitals."""

    name = "$name"
    options_model = ${cls}Options
    options: ${cls}Options

    def process(self, row: Row, ctx: PluginContext) -> TransformResult:
        value = row.get(self.options.field)
        if not isinstance(value, str):
            return TransformResult.error(f"field '{self.options.field}' holds no text")
        return TransformResult.success({**row, self.options.field: value.upper()})


@hookimpl
def elspeth_transforms() -> list[type]:
    return [$cls]
'''

TRANSFORM_TEST = """\
from elspeth.contracts import PluginContext, Row
from elspeth.testing import TransformContract
from $module import $cls


class Test${cls}(TransformContract):
    def make(self) -> $cls:
        return $cls({"field": "note"})

    def rows(self) -> list[Row]:
        return [{"note": "hello", "id": 1}, {"note": None}, {}]

    def test_capitals(self) -> None:
        assert self.make().process({"note": "hello"}, PluginContext()).row == {"note": "HELLO"}
"""

SOURCE = '''\
"""The source ``$name``."""

from collections.abc import Iterator, Mapping
from typing import Any

from elspeth.contracts import PluginContext, Row
from elspeth.plugins.hookspecs import hookimpl
from elspeth.plugins.sources.base import BaseSource, SourceOptions
from pydantic import Field


class ${cls}Options(SourceOptions):
    count: int = Field(ge=0, description="How many numbers to give.")


class $cls(BaseSource):
    """Count from 1."""

    name = "$name"
    options_model = ${cls}Options
    last = 0

    def load(self, ctx: PluginContext) -> Iterator[Row]:
        while self.last < self.options.count:
            self.last += 1
            yield {"number": self.last}

    def position(self) -> Mapping[str, Any]:
        return {"last": self.last}

    def seek(self, position: Mapping[str, Any]) -> None:
        self.last = position["last"]


@hookimpl
def elspeth_sources() -> list[type]:
    return [$cls]
'''

SOURCE_TEST = """\
from pathlib import Path

from elspeth.testing import SourceContract
from $module import $cls


class Test${cls}(SourceContract):
    def make(self, directory: Path) -> $cls:
        return $cls({"count": 5})
"""

SINK = '''\
"""The sink ``$name``."""

from collections.abc import Sequence

from elspeth.contracts import PluginContext, Row, RowFailure
from elspeth.plugins.hookspecs import hookimpl
from elspeth.plugins.sinks.file_sink import FileSink, FileSinkOptions
from pydantic import Field


class ${cls}Options(FileSinkOptions):
    field: str = Field(description="The text field to write.")


class $cls(FileSink):
    """A line for each row: one of its fields, quoted."""

    name = "$name"
    options_model = ${cls}Options

    def write(self, rows: Sequence[Row], ctx: PluginContext) -> list[RowFailure]:
        failures = []
        for index, row in enumerate(rows):
            value = row.get(self.options.field)
            if isinstance(value, str):
                self._put(f"{value!r}\\n".encode(), 1)
            else:
                failures.append(RowFailure(index, f"field '{self.options.field}' holds no text"))
        return failures


@hookimpl
def elspeth_sinks() -> list[type]:
    return [$cls]
'''

SINK_TEST = """\
from collections.abc import Sequence
from pathlib import Path

from elspeth.contracts import Row
from elspeth.testing import SinkContract
from $module import $cls


class Test${cls}(SinkContract):
    def make(self, directory: Path) -> $cls:
        return $cls({"path": str(directory / "out.txt"), "field": "note"})

    def rows(self) -> Sequence[Row]:
        return [{"note": "one"}, {"note": "two", "id": 2}, {"note": ""}]

    def bad_row(self) -> Row:
        return {"note": 5}
"""
