"""``providers``: how the services that were called have been, and what they promise."""

from collections.abc import Callable, Sequence
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from elspeth.api.database import default_database_url
from elspeth.api.keys import public_key
from elspeth.contracts.errors import NotFoundError
from elspeth.core.clock import Clock
from elspeth.core.landscape.calls.history import calls_between
from elspeth.core.landscape.database import LandscapeDB
from elspeth.fabric.health import WINDOWS, CapabilityHealth, ProviderHealth, WindowFigures, health_of
from elspeth.fabric.manifest import (
    Manifest,
    ManifestError,
    load_manifest,
    parse_manifest,
    require_signed,
    require_trusted,
)
from elspeth.fabric.manifest.settings import ManifestSettings

SHIPPED = ("azure_blob", "azure_vm")
"""Providers whose manifest comes with this release."""


def shipped_manifest(provider: str) -> bytes:
    """The manifest of one of our own providers, as it comes with this release: not signed. Raises
    NotFoundError.
    """
    if provider not in SHIPPED:
        raise NotFoundError(f"there is no provider {provider!r} here", fix=f"there are {', '.join(SHIPPED)}")
    return (files("elspeth.providers") / provider / "manifest.json").read_bytes()


def manifests(paths: Sequence[str] = (), keys: Sequence[str] = ()) -> dict[str, Manifest]:
    """Manifests by provider: those that come with this release, replaced by those in these files.

    With ``keys`` (public keys, or files) each file must be signed by one of them. Raises ManifestError,
    NotFoundError, UsageError.
    """
    found = {name: parse_manifest(shipped_manifest(name)) for name in SHIPPED}
    trusted = [public_key(key) for key in keys]
    for path in paths:
        if trusted:
            manifest = require_signed(Path(path), trusted, Clock().now())
        else:
            manifest = load_manifest(Path(path)).manifest
        found[manifest.provider] = manifest
    return found


def believed(settings: ManifestSettings, provider: str) -> tuple[Manifest, tuple[str, ...]]:
    """The manifest that a configuration lets count for a provider, and the pinned keys that signed it.

    Raises ManifestError for one that may not be believed, or is another provider's: then the provider must
    not be used. NotFoundError, UsageError for files that can't be read.
    """
    keys = [public_key(key) for key in settings.trusted_keys]
    if settings.file is None:
        return parse_manifest(shipped_manifest(provider)), ()
    path = Path(settings.file)
    if settings.require_signed:
        found = require_trusted(path, keys, Clock().now(), provider)
    else:
        found = load_manifest(path, keys)
    if found.manifest.provider != provider:
        raise ManifestError(
            "wrong_provider", f"{path} is the manifest of {found.manifest.provider!r}, not of {provider!r}"
        )
    return found.manifest, found.signed_by


def providers_health(
    database: str | None = None, known: dict[str, Manifest] | None = None, now: datetime | None = None
) -> tuple[ProviderHealth, ...]:
    """The health of every provider that was called in 30 days, from the calls on record in one landscape.

    Raises as opening the landscape does (`landscape_reader`).
    """
    until = now or Clock().now()
    promised = manifests() if known is None else known
    db = LandscapeDB.from_url(database or default_database_url(), create=False)
    try:
        calls = calls_between(db, until - max(WINDOWS.values()), until)
        found = health_of(calls, promised, until)
    finally:
        db.close()
    # A manifest of something that nobody called says nothing of its health.
    return tuple(one for one in found if any(c.windows["30d"].calls for c in one.capabilities))


def prometheus_text(database: str | None = None, known: dict[str, Manifest] | None = None) -> str:
    """The same as text for Prometheus. Raises UsageError without the extra ``metrics``."""
    from elspeth.fabric.health.exposition import exposition  # noqa: PLC0415  # an extra

    return exposition(lambda: providers_health(database, known))


def serve_metrics(
    host: str, port: int, database: str | None = None, known: dict[str, Manifest] | None = None
) -> Callable[[], None]:
    """Answer Prometheus at ``http://host:port/metrics``, from the record as it is at each scrape.

    Returns what ends it. Raises UsageError, and as opening the landscape does.
    """
    from elspeth.fabric.health.exposition import serve  # noqa: PLC0415  # an extra

    providers_health(database, known)  # what can't be read should be said now, not to every scrape
    server, thread = serve(lambda: providers_health(database, known), host, port)

    def end() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return end


def health_dict(found: Sequence[ProviderHealth]) -> dict[str, Any]:
    """Health as plain JSON values; numbers that can't be known are null."""
    return {
        "providers": [
            {
                "provider": one.provider,
                "promised": one.promised,
                "reputation": None if one.reputation is None else round(one.reputation, 2),
                "capabilities": [_capability(capability) for capability in one.capabilities],
            }
            for one in found
        ]
    }


def _capability(one: CapabilityHealth) -> dict[str, Any]:
    return {
        "capability": one.capability,
        "windows": {name: _window(figures) for name, figures in one.windows.items()},
    }


def _window(figures: WindowFigures) -> dict[str, Any]:
    target = figures.target
    return {
        "calls": figures.calls,
        "failed": figures.failed,
        "throttled": figures.throttled,
        "refused": figures.refused,
        "availability": figures.availability,
        "p50_ms": figures.p50_ms,
        "p95_ms": figures.p95_ms,
        "p99_ms": figures.p99_ms,
        "target": None if target is None else target.model_dump(),
        "error_budget_left": figures.budget_left,
        "burn_rate": figures.burn_rate,
        "latency_met": figures.latency_met,
    }
