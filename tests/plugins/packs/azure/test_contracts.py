"""The contracts that every source and sink must hold to."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from elspeth.plugins.packs.azure import AzureBlobSink, AzureBlobSource
from elspeth.providers.azure_blob.client import AzureBlobClient
from elspeth.testing import SinkContract, SourceContract
from elspeth.testing.azurite import Azurite

NUMBERS = itertools.count(1)


class CommittedSink(AzureBlobSink):
    """As the engine uses it, though the contract gives no tokens."""

    completes_by_hand: ClassVar[bool] = False


class _OnAzurite:
    """A container for every directory of a contract test."""

    @pytest.fixture(autouse=True)
    def _server(self, azurite: Azurite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        self.azurite = azurite
        self.containers: dict[Path, str] = {}
        self.client = AzureBlobClient(connection_string=azurite.connection_string)

    def options(self, directory: Path) -> dict[str, Any]:
        if directory not in self.containers:
            self.containers[directory] = f"contract-{next(NUMBERS)}"
            self.client.create_container(self.containers[directory])
        return {
            "connection_string": self.azurite.connection_string,
            "container": self.containers[directory],
        }

    def visible(self, directory: Path) -> object:
        container = self.options(directory)["container"]
        names = list(self.client.list_blob_names(container))
        return {name: self.client.download_blob(container, name) for name in names} or None


class TestOneBlob(_OnAzurite, SinkContract):
    def make(self, directory: Path) -> AzureBlobSink:
        return CommittedSink({**self.options(directory), "blob_path": "out.json"})

    def rows(self) -> Sequence[dict[str, Any]]:
        return [{"id": number, "text": "é" * number} for number in range(4)]

    def bad_row(self) -> dict[str, Any]:
        return {"id": float("nan"), "text": ""}


class TestSource(_OnAzurite, SourceContract):
    def make(self, directory: Path) -> AzureBlobSource:
        options = self.options(directory)
        if not list(self.client.list_blob_names(options["container"])):
            self.client.upload_blob(options["container"], "a.json", b'[{"id": 1}, {"id": 2}]')
            self.client.upload_blob(options["container"], "b.jsonl", b'{"id": 3}\n{"id": 4}\n')
        return AzureBlobSource(options)
