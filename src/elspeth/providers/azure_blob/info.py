"""What is known of a blob."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class BlobState(StrEnum):
    """Where a blob is in its life."""

    PENDING = "pending"
    """Blocks are staged but not committed, or a copy or a rehydration is under way."""
    AVAILABLE = "available"
    ARCHIVED = "archived"
    DELETED = "deleted"
    """Soft-deleted: it can be undeleted."""
    DESTROYED = "destroyed"
    """There is nothing (any more)."""


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """A blob's properties. ``size`` is in bytes, ``content_md5`` hex; ``etag`` has its quotes."""

    container: str
    name: str
    size: int = 0
    etag: str = ""
    last_modified: datetime | None = None
    content_type: str = ""
    content_md5: str = ""
    blob_type: str = ""
    tier: str = ""
    archive_status: str = ""
    copy_status: str = ""
    version_id: str = ""
    snapshot: str = ""
    deleted: bool = False
    leased: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    """Only from a listing that was asked for them."""
    immutable_until: datetime | None = None
    legal_hold: bool = False

    @property
    def state(self) -> BlobState:
        """As far as the properties tell."""
        if self.deleted:
            return BlobState.DELETED
        if self.archive_status or self.copy_status == "pending":
            return BlobState.PENDING
        return BlobState.ARCHIVED if self.tier == "Archive" else BlobState.AVAILABLE


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What an upload left behind. ``sha256`` (hex) and ``size`` are those of the whole content.

    ``blocks_reused`` were there already from an upload that was cut off.
    """

    container: str
    name: str
    size: int
    sha256: str
    etag: str
    version_id: str = ""
    blocks_staged: int = 0
    blocks_reused: int = 0


def info_of(container: str, properties: Any) -> BlobInfo:
    """The library's BlobProperties as ours."""
    settings, copied, lease = properties.content_settings, properties.copy, properties.lease
    md5 = settings.content_md5 if settings else None
    return BlobInfo(
        container,
        properties.name,
        properties.size or 0,
        quoted(properties.etag),
        properties.last_modified,
        (settings.content_type if settings else None) or "",
        bytes(md5).hex() if md5 else "",
        str(getattr(properties.blob_type, "value", properties.blob_type) or ""),
        str(getattr(properties.blob_tier, "value", properties.blob_tier) or ""),
        properties.archive_status or "",
        (copied.status if copied else None) or "",
        properties.version_id or "",
        properties.snapshot or "",
        deleted=bool(properties.deleted),
        leased=bool(lease and lease.status == "locked"),
        metadata=dict(properties.metadata or {}),
        immutable_until=properties.immutability_policy.expiry_time
        if properties.immutability_policy
        else None,
        legal_hold=bool(properties.has_legal_hold),
    )


def quoted(etag: str | None) -> str:
    """An ETag as the service writes it: listings leave the quotes out."""
    if not etag:
        return ""
    return etag if etag.startswith('"') else f'"{etag}"'
