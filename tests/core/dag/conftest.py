"""Graphs from the text of pipeline files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from elspeth.contracts.errors import ConfigurationError, Problem
from elspeth.core.config import load_pipeline
from elspeth.core.dag import Graph, PluginSchemas, build_graph

Build = Callable[..., Graph]
Refuse = Callable[..., list[Problem]]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Build the graph of a pipeline's text; a source is added if it has none."""

    def run(text: str, schemas: PluginSchemas | None = None) -> Graph:
        if "source" not in text:
            text = "source: {plugin: csv}\n" + text
        file = tmp_path / "pipeline.yaml"
        file.write_text(text, encoding="utf-8")
        return build_graph(load_pipeline(file, environ={}), schemas)

    return run


@pytest.fixture
def refuse(build: Build) -> Refuse:
    """Build a graph that must be refused; gives its problems."""

    def run(*arguments: Any) -> list[Problem]:
        with pytest.raises(ConfigurationError) as caught:
            build(*arguments)
        return list(caught.value.problems)

    return run
