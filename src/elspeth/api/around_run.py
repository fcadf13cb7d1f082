"""What a pipeline file wants done around its run: what to keep where, and the export of its record."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from elspeth.api.assemble import Assembled
from elspeth.contracts.errors import UsageError
from elspeth.core.clock import Clock
from elspeth.core.config.runtime import ExportSettings
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.reader import LandscapeReader
from elspeth.core.landscape.recorder import note_event
from elspeth.core.secrets import Redactor

EXPORT_FAILED = "export_failed"

_log = logging.getLogger("elspeth.export")
_LOOK_BACK = 20


def configure(db: LandscapeDB, assembled: Assembled) -> None:
    """Tell a landscape what the pipeline file says of payloads, and which secrets to keep out of it."""
    db.redactor = assembled.redactor
    settings = assembled.loaded.settings.payload_store
    db.payloads.configure(settings.base_path, settings.threshold_bytes)


@contextmanager
def exported_afterwards(db: LandscapeDB, assembled: Assembled) -> Iterator[None]:
    """Export the run that happens inside, as ``landscape.export`` says, also if it fails.

    Raises UsageError, before the run, for an export that can't be asked for. One that can't be made
    never fails the run: it is warned of, and the run's history says so.
    """
    settings = assembled.loaded.settings.landscape.export
    if settings.enabled:
        _refuse_what_can_t_be(db, settings)
    try:
        yield
    except BaseException as error:
        db.redactor.scrub(error)
        raise
    finally:
        if settings.enabled:
            _export(db, assembled.assembly.config_hash, settings)


def _refuse_what_can_t_be(db: LandscapeDB, settings: ExportSettings) -> None:
    if settings.sink is not None:
        raise UsageError(
            "landscape.export.sink: a record can't be exported to a sink yet", fix="write `path:` instead"
        )
    if settings.sign and db.proof.key is None:
        raise UsageError(
            "landscape.export.sign: there is no key to sign with",
            fix="make one with `elspeth keys new`, and name it in landscape.signing_key",
        )


def _export(db: LandscapeDB, config_hash: str, settings: ExportSettings) -> None:
    # Not needed by runs that are not exported, and not quick to load.
    from elspeth.api.export import Manner, export_from  # noqa: PLC0415

    run = None
    try:
        runs = LandscapeReader(db).runs(_LOOK_BACK)
        run = next((run for run in runs if run.config_hash == config_hash), None)
        if run is not None:
            key = db.proof.key if settings.sign else None
            export_from(db, run.run_id, settings.path, Manner(settings.format, key=key))
    except Exception as error:  # noqa: BLE001  # whatever is wrong with the copy, the run itself stands
        target = Redactor(None).text(settings.path or "")
        what = Redactor(None).text(getattr(error, "what", None) or f"{type(error).__name__}: {error}")
        _log.warning("the run's record could not be exported to %s: %s", target, what)
        if run is not None:
            detail = {"format": settings.format, "target": target, "error": what}
            with suppress(Exception):
                with db.writing() as connection:
                    note_event(connection, run.run_no, EXPORT_FAILED, detail, Clock().now())
                    head = db.proof.close(connection, run.run_id)
                db.proof.publish(head)
