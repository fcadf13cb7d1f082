"""The manifest itself: provider, version, capabilities, limits."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from elspeth.contracts.errors import UsageError


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Slo(_Part):
    """What is promised: the share of calls that succeed, and how long 95 of 100 take at most."""

    availability: float = Field(gt=0.0, lt=1.0)
    latency_p95_ms: float | None = Field(default=None, gt=0.0)


class Capability(_Part):
    """One thing that a provider can do."""

    id: str = Field(min_length=1)
    operations: tuple[str, ...] = Field(min_length=1)
    slo_targets: Slo | None = None
    breaking_changes: tuple[str, ...] = ()


def _in_utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("must say its time zone, such as 2027-01-01T00:00:00Z")
    return moment.astimezone(UTC)


class Manifest(_Part):
    """What a provider can do. ``version`` is the date of the API that it speaks, such as ``2024-07-01``."""

    provider: str = Field(min_length=1)
    version: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}(-preview)?$")
    capabilities: tuple[Capability, ...] = Field(min_length=1)
    limits: dict[str, float] = {}
    expires_at: Annotated[datetime, AfterValidator(_in_utc)] | None = None


def parse_manifest(data: bytes) -> Manifest:
    """Read a manifest. Raises UsageError for what is no JSON, has a key twice, or does not fit."""
    try:
        content = json.loads(data, object_pairs_hook=_once)
        manifest = Manifest.model_validate_json(json.dumps(content))
    except ValidationError as error:
        told = "; ".join(
            f"{'.'.join(map(str, one['loc'])) or 'manifest'}: {one['msg']}" for one in error.errors()
        )
        raise UsageError(f"this is no manifest: {told}", fix="see docs/explanation/fabric.md") from error
    except ValueError as error:
        raise UsageError(f"this is no manifest: {error}", fix="see docs/explanation/fabric.md") from error
    ids = [capability.id for capability in manifest.capabilities]
    if len(set(ids)) != len(ids):
        raise UsageError("this is no manifest: a capability is there twice", fix="give each an id of its own")
    return manifest


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Two readers could take two different values of a key that is there twice.
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found
