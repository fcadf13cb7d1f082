"""Runs that die where they are told to, each in a process of its own, forked from one that has all loaded.

One request per line on stdin (JSON; see `Order`), one answer per line on stdout: the exit code, with
a signal as a negative number, and 1000 for a process that was stopped (its id comes with it).
"""

import ctypes
import json
import os
import resource
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import SystemRandom
from typing import Any

import pyarrow.parquet  # noqa: F401  # so that no child has to load it

from elspeth.api.assemble import assemble
from elspeth.contracts.plugins import PluginContext, Row
from elspeth.contracts.results import TransformResult
from elspeth.core.clock import Clock
from elspeth.core.landscape import database
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.reader import LandscapeReader
from elspeth.engine import processor
from elspeth.engine.orchestrator import Surroundings, execute, go_on
from elspeth.plugins.registry import PluginCatalog
from elspeth.plugins.transforms.base import BaseTransform, TransformOptions
from elspeth.plugins.transforms.passthrough import Passthrough
from elspeth.plugins.transforms.threaded import ThreadedTransform

STOPPED = 1000


@dataclass(frozen=True)
class Order:
    """What one process does, and when it dies: at the ``count``-th passage of ``point``, by ``how``.

    ``broken``: the order of commit is wrong on purpose. ``largest``: no file may grow beyond so many
    bytes. ``alarm_ms``: the kernel ends the process after so many milliseconds, whatever it is at.
    ``powerless``: even as root, what may not be written is not written. ``patience_ms``: how
    long it waits for a locked database. ``hours_back``: by how much the clock jumps at the point,
    in place of dying.
    """

    cwd: str
    url: str
    point: str = ""
    count: int = 1
    how: str = "SIGKILL"
    resume: bool = False
    broken: bool = False
    group: int = 100
    largest: int = 0
    powerless: bool = False
    patience_ms: int = 0
    hours_back: int = 0
    alarm_ms: int = 0


class FlakyOptions(TransformOptions):
    """Rows whose id leaves 0 work the second time, those that leave 1 never."""

    modulus: int


class Flaky(BaseTransform):
    """Fails for a while, or for ever; what is tried again is the row as it was."""

    name = "flaky"
    options_model = FlakyOptions
    options: FlakyOptions

    def process(self, row: Row, ctx: PluginContext) -> TransformResult:
        left = row["id"] % self.options.modulus
        if left == 1 or (left == 0 and ctx.attempt < 2):
            return TransformResult.error({"error": f"not at attempt {ctx.attempt}"}, retryable=True)
        return TransformResult.success(row)


class JumpingClock(Clock):
    """A clock that somebody sets back."""

    back = timedelta(0)

    def now(self) -> datetime:
        return super().now() - self.back


def carry_out(order: Order) -> None:
    """Run or resume; does not come back if the order says so."""
    os.chdir(order.cwd)
    seen = 0
    clock = JumpingClock()

    def probe(name: str) -> None:
        nonlocal seen
        seen += name == order.point
        if name == order.point and seen == order.count:
            if order.hours_back:
                clock.back = timedelta(hours=order.hours_back)
                clock.epoch_ns -= order.hours_back * 3_600_000_000_000
            else:
                os.kill(os.getpid(), getattr(signal, order.how))

    class Watched(Passthrough):
        def process(self, row: Row, ctx: PluginContext) -> TransformResult:
            probe("transform")
            return super().process(row, ctx)

    class Slow(ThreadedTransform):
        name = "slow"

        def work(self, row: Row, ctx: PluginContext) -> TransformResult:
            probe("transform")
            time.sleep(row["id"] % 7 / 2000)
            return TransformResult.success(row)

    original, own = PluginCatalog.transform, {"passthrough": Watched, "slow": Slow, "flaky": Flaky}
    PluginCatalog.transform = lambda self, name: own.get(name) or original(self, name)  # type: ignore[method-assign]
    processor.GROUP_TOKENS = order.group
    processor.LOOK_NS = 0  # the clock must not decide where a group ends
    if order.broken:
        _break()
    if order.patience_ms:
        _hurry(order.patience_ms)
    if order.powerless:
        _give_up_powers()
    if order.alarm_ms:
        signal.setitimer(signal.ITIMER_REAL, order.alarm_ms / 1000)
    if order.largest:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order.largest, order.largest))
    stopping: list[bool] = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    db = LandscapeDB.from_url(order.url)
    around = Surroundings(db, clock, SystemRandom(), stop=lambda: bool(stopping), probe=probe)
    assembly = assemble("p.yaml", database=order.url, resuming=order.resume).assembly
    if order.resume:
        go_on(assembly, around, LandscapeReader(db).run("latest"), {})
    else:
        execute(assembly, around)


def _break() -> None:
    written = processor.Processor._write_sinks

    def write_late(self: processor.Processor) -> None:
        """Skip the sinks at every commit but the last: the order that must not be."""
        if self.standing.phase == "publishing":
            written(self)

    processor.Processor._write_sinks = write_late  # type: ignore[method-assign]


def _hurry(milliseconds: int) -> None:
    configure = database._configure_sqlite

    def configured(connection: Any, record: Any) -> None:
        configure(connection, record)
        connection.execute(f"PRAGMA busy_timeout={milliseconds}")

    database._configure_sqlite = configured


def _give_up_powers() -> None:
    """Without its capabilities, root too is held by the rights of files."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    ctypes.CDLL(None).capset(header, (ctypes.c_uint32 * 6)())


def main() -> None:
    """Answer requests until there are no more."""
    for line in sys.stdin:
        request = json.loads(line)
        if "wake" in request:
            child = request["wake"]
            os.kill(child, signal.SIGCONT)
        else:
            child = os.fork()
            if child == 0:
                _child(Order(**request))
        _, status = os.waitpid(child, os.WUNTRACED)
        code = STOPPED if os.WIFSTOPPED(status) else os.waitstatus_to_exitcode(status)
        sys.stdout.write(json.dumps({"code": code, "process": child}) + "\n")
        sys.stdout.flush()


def _child(order: Order) -> None:
    code = 0
    with (Path(order.cwd) / "victim.log").open("w") as log:
        try:
            carry_out(order)
        except BaseException:  # noqa: BLE001  # whatever it is, the test reads it
            traceback.print_exc(file=log)
            code = 1
    os._exit(code)


if __name__ == "__main__":
    main()
