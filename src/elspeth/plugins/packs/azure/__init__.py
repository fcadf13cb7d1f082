"""The Azure pack (extra ``azure``)."""

from elspeth.plugins.packs.azure.sink import AzureBlobSink
from elspeth.plugins.packs.azure.source import AzureBlobSource

__all__ = ["AzureBlobSink", "AzureBlobSource"]
