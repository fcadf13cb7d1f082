"""SQL over one CSV or JSON blob, answered by the service."""

from typing import Literal

from azure.storage.blob import DelimitedJsonDialect, DelimitedTextDialect

from elspeth.providers.azure_blob.base import ClientBase
from elspeth.providers.azure_blob.calls import Attempt


class Queries(ClientBase):
    """Reads only what a query selects."""

    def query_blob(
        self, container: str, blob: str, query: str, *, format: Literal["csv", "jsonl"] = "csv"
    ) -> bytes:
        """What ``query`` (``SELECT … FROM BlobStorage``) selects, as CSV with a header, or as JSON lines.

        The emulator does not have this. Raises BlobError.
        """
        client = self._blob(container, blob)
        dialect: DelimitedJsonDialect | DelimitedTextDialect
        if format == "csv":
            dialect = DelimitedTextDialect(has_header=True)
        else:
            dialect = DelimitedJsonDialect(delimiter="\n")

        def ask(attempt: Attempt) -> bytes:
            reader = client.query_blob(
                query, blob_format=dialect, output_format=dialect, raw_response_hook=attempt.note
            )
            data: bytes = reader.readall()
            attempt.received = len(data)
            return data

        return self._call("query_blob", container, blob, ask, query=query, format=format)
