"""A container of its own for every test, and sources and sinks that use it."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from elspeth.contracts import PluginContext
from elspeth.contracts.tokens import TokenInfo
from elspeth.plugins.packs.azure import AzureBlobSink, AzureBlobSource
from elspeth.providers.azure_blob.client import AzureBlobClient
from elspeth.testing.azurite import Azurite

NUMBERS = itertools.count(1)


@dataclass
class Storage:
    """A container, and what is done to it in a test."""

    server: Azurite
    client: AzureBlobClient
    container: str
    more: dict[str, Any] = field(default_factory=dict)

    def options(self, **options: Any) -> dict[str, Any]:
        known = {"connection_string": self.server.connection_string, "container": self.container}
        return {**known, **self.more, **options}

    def sink(self, **options: Any) -> AzureBlobSink:
        return AzureBlobSink(self.options(**options))

    def source(self, **options: Any) -> AzureBlobSource:
        return AzureBlobSource(self.options(**options))

    def put(self, name: str, data: bytes | str) -> str:
        return self.client.upload_blob(self.container, name, data, overwrite=True).etag

    def get(self, name: str) -> bytes:
        return self.client.download_blob(self.container, name)

    def names(self) -> list[str]:
        return list(self.client.list_blob_names(self.container))

    def rows(self, **options: Any) -> list[Any]:
        source = self.source(**options)
        try:
            return list(source.load(PluginContext(run_id="run-1", node_id="source")))
        finally:
            source.close()


def engine_context(run_id: str, rows: int, first: int = 0, **more: Any) -> PluginContext:
    """What the engine gives a sink."""
    tokens = [
        TokenInfo(f"{run_id}-{number}", f"{run_id}-{number}-0") for number in range(first, first + rows)
    ]
    return PluginContext(run_id=run_id, node_id="out", tokens=tokens, **more)


@pytest.fixture
def storage(azurite: Azurite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    monkeypatch.chdir(tmp_path)
    with AzureBlobClient(connection_string=azurite.connection_string) as client:
        container = f"test-{next(NUMBERS)}"
        client.create_container(container)
        yield Storage(azurite, client, container)


@pytest.fixture
def context() -> Any:
    """Makes contexts such as the engine gives sinks."""
    return engine_context
