"""SQL over one CSV or JSON blob, answered by the service."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from azure.storage.blob import DelimitedJsonDialect, DelimitedTextDialect

from elspeth.providers.azure_blob.base import ClientBase
from elspeth.providers.azure_blob.calls import Attempt
from elspeth.providers.azure_blob.errors import BlobError


@dataclass(frozen=True, slots=True)
class QueryFault:
    """What the service could not read. ``position`` is in bytes from the blob's beginning."""

    name: str
    description: str
    position: int
    fatal: bool


class Queries(ClientBase):
    """Reads only what a query selects."""

    def query_blob(
        self,
        container: str,
        blob: str,
        query: str,
        *,
        format: Literal["csv", "jsonl"] = "csv",
        on_fault: Callable[[QueryFault], None] | None = None,
    ) -> bytes:
        """What ``query`` (``SELECT … FROM BlobStorage``) selects, as CSV with a header, or as JSON lines.

        A row that the service can't read is a BlobError with reason ``unreadable``, unless ``on_fault`` takes
        it and the query goes on. The emulator does not have this. Raises BlobError.
        """
        client = self._blob(container, blob)
        dialect: DelimitedJsonDialect | DelimitedTextDialect
        if format == "csv":
            dialect = DelimitedTextDialect(has_header=True)
        else:
            dialect = DelimitedJsonDialect(delimiter="\n")

        def ask(attempt: Attempt) -> tuple[bytes, list[QueryFault]]:
            # Faults of rows come in the middle of the answer, and the library keeps them to itself.
            faults: list[QueryFault] = []
            reader = client.query_blob(
                query,
                blob_format=dialect,
                output_format=dialect,
                on_error=lambda error: faults.append(_fault(error)),
                raw_response_hook=attempt.note,
            )
            data: bytes = reader.readall()
            attempt.received = len(data)
            if bad := [fault for fault in faults if fault.fatal or on_fault is None]:
                what = f"{bad[0].name} at byte {bad[0].position:,}: {bad[0].description}"
                raise BlobError("query_blob", self._target(container, blob), "unreadable", what)
            return data, faults

        data, faults = self._call("query_blob", container, blob, ask, query=query, format=format)
        for fault in faults:
            assert on_fault is not None
            on_fault(fault)
        return data


def _fault(error: Any) -> QueryFault:
    return QueryFault(error.error, error.description, error.position, fatal=bool(error.is_fatal))
