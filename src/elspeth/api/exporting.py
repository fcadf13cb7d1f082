"""The export that a pipeline file wants: lineage events as its run begins, the record when it is over."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread

from elspeth.api.assemble import Assembled
from elspeth.contracts.errors import UsageError
from elspeth.core.clock import Clock
from elspeth.core.config.runtime import ExportSettings
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.recorder import note_event
from elspeth.core.secrets import Redactor

EXPORT_FAILED = "export_failed"

_log = logging.getLogger("elspeth.export")


class RunExport:
    """One run's export. What can't be exported never fails the run: it is warned of, and is on record."""

    def __init__(self, db: LandscapeDB, settings: ExportSettings, *, resumed: bool) -> None:
        self._db = db
        self._settings = settings
        self._resumed = resumed
        self._run_id: str | None = None
        self._greeting: Thread | None = None
        self._greeted = False

    def begun(self, run_id: str) -> None:
        """The run has this id, and is under way: who wants OpenLineage events is told so now."""
        self._run_id = run_id
        if not self._settings.enabled or self._settings.format != "openlineage":
            return
        # Not needed by runs that are not exported, and not quick to load.
        from elspeth.api.export import lineage_events, write_events  # noqa: PLC0415
        from elspeth.core.landscape.export.openlineage import is_endpoint, send  # noqa: PLC0415

        try:
            target = str(self._settings.path)
            events = lineage_events(self._db, run_id, under_way="RUNNING" if self._resumed else "START")
            if not is_endpoint(target):
                write_events(target, events)
                return
        except Exception as error:  # noqa: BLE001  # whatever is wrong with the copy, the run itself goes on
            self._warn(error)
            return

        def greet() -> None:
            try:
                send(target, events, os.environ)
                self._greeted = True
            except Exception as error:  # noqa: BLE001  # it is said, and tried again at the end
                self._warn(error, "; the run goes on, and it is tried again when it is over")

        # Who does not answer must not keep the rows waiting.
        self._greeting = Thread(target=greet, name="elspeth-openlineage", daemon=True)
        self._greeting.start()

    def over(self) -> None:
        """The run has ended, however it did."""
        if not self._settings.enabled or self._run_id is None:
            return
        from elspeth.api.export import Manner, export_from  # noqa: PLC0415

        if self._greeting is not None:
            self._greeting.join()
        settings = self._settings
        try:
            key = self._db.proof.key if settings.sign else None
            manner = Manner(settings.format, key=key, greeted=self._greeted)
            export_from(self._db, self._run_id, settings.path, manner)
        except Exception as error:  # noqa: BLE001  # whatever is wrong with the copy, the run itself stands
            what = self._warn(error)
            detail = {"format": settings.format, "target": self._target(), "error": what}
            with suppress(Exception):
                self._note(detail)

    def _note(self, detail: dict[str, str]) -> None:
        from elspeth.core.landscape.reader import LandscapeReader  # noqa: PLC0415

        run = LandscapeReader(self._db).run(str(self._run_id))
        with self._db.writing() as connection:
            note_event(connection, run.run_no, EXPORT_FAILED, detail, Clock().now())
            head = self._db.proof.close(connection, run.run_id)
        self._db.proof.publish(head)

    def _target(self) -> str:
        return Redactor(None).text(self._settings.path or "")

    def _warn(self, error: Exception, and_then: str = "") -> str:
        what = Redactor(None).text(getattr(error, "what", None) or f"{type(error).__name__}: {error}")
        what = self._db.redactor.text(what)
        where = "" if self._target() in what else f" to {self._target()}"
        _log.warning("the run's record could not be exported%s: %s%s", where, what, and_then)
        return what


@contextmanager
def exported(db: LandscapeDB, assembled: Assembled, *, resumed: bool = False) -> Iterator[RunExport]:
    """Export the run that happens inside, as ``landscape.export`` says, also if it fails.

    The run tells ``begun`` of itself. Raises UsageError, before the run, for what can't be asked for.
    """
    settings = assembled.loaded.settings.landscape.export
    if settings.enabled:
        _refuse_what_can_t_be(db, settings)
    export = RunExport(db, settings, resumed=resumed)
    try:
        yield export
    except BaseException as error:
        db.redactor.scrub(error)
        raise
    finally:
        export.over()


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
