"""The governor's limits and breaker for one account."""

import time
from collections.abc import Callable

from elspeth.fabric.governor import ServiceGovernor, ServiceLimits

_THROTTLED = frozenset({429, 500, 503})


class Governed:
    """A `Throttle` that asks a governor: fewer calls while the account is throttled, none while it is down.

    Give several clients of one account the same one. Blob Storage says 503 ServerBusy or 500
    OperationTimeout where others say 429.
    """

    def __init__(
        self,
        governor: ServiceGovernor | None = None,
        *,
        most_in_flight: int = 64,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.governor = governor or ServiceGovernor(ServiceLimits())
        self.governor.join(most_in_flight)
        self._clock = clock
        self._sleep = sleep

    def before(self, account: str) -> None:
        """Wait until a call may be made."""
        while (wait := self.governor.admit(self._clock())) > 0.0:
            self._sleep(wait)

    def after(self, account: str, *, status: int | None, retry_after: float | None) -> None:
        """Tell the governor how the call ended."""
        if status is None:
            self.governor.failed(self._clock())
        elif status in _THROTTLED:
            self.governor.throttled(self._clock(), retry_after)
        else:
            self.governor.answered()
