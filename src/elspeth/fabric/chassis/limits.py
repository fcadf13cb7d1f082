"""Limits, and what happens at them."""

from dataclasses import dataclass

from elspeth.contracts.errors import ElspethError, UsageError


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call may use.

    ``fuel``: about one per WebAssembly instruction, and the same for the same input on every machine.
    ``memory_bytes``: of the module's memories together, from its start. ``seconds``: of wall-clock
    time, held to within some 10 ms; a call that fuel would let go on longer than that depends on the
    machine. ``output_bytes``: of the answer.
    """

    fuel: int = 50_000_000
    memory_bytes: int = 64 * 1024 * 1024
    seconds: float = 1.0
    output_bytes: int = 1_000_000


class ChassisError(ElspethError):
    """A call ended badly; the next one starts afresh. ``reason``: ``fuel``, ``time``, ``memory``,
    ``trap``, ``output``.
    """

    def __init__(self, reason: str, what: str) -> None:
        super().__init__(what)
        self.reason = reason


class ModuleError(UsageError):
    """A module that cannot be used at all: no WebAssembly, other functions, or it wants what nobody
    granted.
    """
