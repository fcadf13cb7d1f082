"""Operations under way in Azure, remembered so that another process can wait on."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class PendingOperation:
    """A long-running operation that Azure has accepted and we have not seen the end of.

    ``kind`` is the SDK's word (``create_or_update``, ``power_off``), ``token`` its continuation token,
    ``started_at`` seconds since 1970. The token holds addresses, no secrets.
    """

    operation_id: str
    kind: str
    rg_name: str
    vm_name: str
    token: str
    started_at: float


class OperationStore(Protocol):
    """Where pending operations are kept."""

    def put(self, operation: PendingOperation) -> None:
        """Remember; durable when it returns."""

    def remove(self, operation_id: str) -> None:
        """Forget; unknown ids are no error."""

    def pending(self) -> list[PendingOperation]:
        """All that are remembered, oldest first."""


class MemoryOperationStore:
    """Remembers for as long as the process lives."""

    def __init__(self) -> None:
        self._operations: dict[str, PendingOperation] = {}

    def put(self, operation: PendingOperation) -> None:
        """Remember."""
        self._operations[operation.operation_id] = operation

    def remove(self, operation_id: str) -> None:
        """Forget."""
        self._operations.pop(operation_id, None)

    def pending(self) -> list[PendingOperation]:
        """All that are remembered, oldest first."""
        return sorted(self._operations.values(), key=lambda one: one.started_at)


class FileOperationStore:
    """Remembers in a folder, one small file per operation; survives the death of the process."""

    def __init__(self, folder: Path | str) -> None:
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)

    def put(self, operation: PendingOperation) -> None:
        """Remember: the file appears whole or not at all."""
        part = self._folder / f"{operation.operation_id}.part"
        with part.open("w", encoding="utf-8") as file:
            json.dump(asdict(operation), file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._folder / f"{operation.operation_id}.json")

    def remove(self, operation_id: str) -> None:
        """Forget."""
        (self._folder / f"{operation_id}.json").unlink(missing_ok=True)

    def pending(self) -> list[PendingOperation]:
        """All that are remembered, oldest first."""
        found = [
            PendingOperation(**json.loads(path.read_text(encoding="utf-8")))
            for path in self._folder.glob("*.json")
        ]
        return sorted(found, key=lambda one: one.started_at)
