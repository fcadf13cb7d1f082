"""How long to wait before another attempt."""

from elspeth.core.config.runtime import RetrySettings


class Retry:
    """Exponential back-off with full jitter, as tenacity does it.

    Before attempt n + 1 it waits a random time between 0 and
    ``initial_delay_seconds * exponential_base ** (n - 1)``, at most ``max_delay_seconds``.
    """

    def __init__(self, settings: RetrySettings) -> None:
        self.max_attempts = settings.max_attempts
        self._settings = settings

    def delay(self, attempt: int) -> float:
        """Seconds to wait after ``attempt`` (counted from 1) has failed."""
        # Loads asyncio: 60 ms that most runs have no use for.
        from tenacity import RetryCallState, wait_random_exponential  # noqa: PLC0415

        wait = wait_random_exponential(
            multiplier=self._settings.initial_delay_seconds,
            max=self._settings.max_delay_seconds,
            exp_base=self._settings.exponential_base,
        )
        state = RetryCallState(retry_object=None, fn=None, args=(), kwargs={})  # type: ignore[arg-type]
        state.attempt_number = attempt
        return float(wait(state))
