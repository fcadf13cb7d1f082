"""What a call is, and what may answer it."""

from dataclasses import dataclass
from typing import Protocol

from elspeth.plugins.llm.completion import Answer


@dataclass(frozen=True, slots=True)
class Request:
    """One call to be made. ``text`` is the body, which is also what goes on record.

    ``place`` says where in the run it is made (the state's id without the run's, and the query's
    number of ``of``), so that a replay finds its own answer.
    """

    text: str
    digest: str
    place: str
    ordinal: int
    of: int


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds for the connection, for the first byte and between any two, and for the whole."""

    connect: float
    first_byte: float
    total: float


class CallSource(Protocol):
    """Where answers come from: the network, or the record of a run. A bad answer is a value too."""

    live: bool
    """Whether calls go out, cost money and need the governor."""

    async def answer(self, request: Request) -> Answer: ...

    async def close(self) -> None: ...
