"""A run that dies where it is told to, in a process of its own: POINT COUNT SIGNAL [broken] [resume]."""

import os
import signal
import sys
from random import SystemRandom

from elspeth.api.assemble import assemble
from elspeth.contracts.plugins import PluginContext, Row
from elspeth.contracts.results import TransformResult
from elspeth.core.clock import Clock
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.reader import LandscapeReader
from elspeth.engine import processor
from elspeth.engine.orchestrator import Surroundings, execute, go_on
from elspeth.plugins.registry import PluginCatalog
from elspeth.plugins.transforms.passthrough import Passthrough

point, count, how = sys.argv[1], int(sys.argv[2]), getattr(signal, sys.argv[3])
seen = 0


def probe(name: str) -> None:
    """Die at the COUNT-th time that POINT is passed."""
    global seen
    seen += name == point
    if name == point and seen == count:
        os.kill(os.getpid(), how)


class Watched(Passthrough):
    """Tells of every row that it is given."""

    def process(self, row: Row, ctx: PluginContext) -> TransformResult:
        probe("transform")
        return super().process(row, ctx)


original = PluginCatalog.transform
PluginCatalog.transform = lambda self, name: Watched if name == "passthrough" else original(self, name)
processor.GROUP_TOKENS = 100
processor.LOOK_NS = 0  # the clock must not decide where a group ends


if "broken" in sys.argv[4:]:
    written = processor.Processor._write_sinks

    def write_late(self: processor.Processor) -> None:
        """Skip the sinks at every commit but the last: the order that must not be."""
        if self.standing.phase == "publishing":
            written(self)

    processor.Processor._write_sinks = write_late

stopping = []
signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
db = LandscapeDB.from_url("sqlite:///.elspeth/landscape.db")
around = Surroundings(db, Clock(), SystemRandom(), stop=lambda: bool(stopping), probe=probe)
assembly = assemble("p.yaml", resuming="resume" in sys.argv[4:]).assembly
if "resume" in sys.argv[4:]:
    go_on(assembly, around, LandscapeReader(db).run("latest"), {})
else:
    execute(assembly, around)
