"""One concurrent transform at work: many rows in flight, results released in the order of the rows.

Tokens enter a *window*. So many of them as the window has room for are with the plugin at the same
time; a token leaves when it is the oldest and has its result. So what follows sees rows in the order
in which they came, whatever the order of completion. The window has to be several times the
plugin's pool: with latencies that vary, one slow call at the head would else keep the pool idle
(a window of the pool's size gives 20 % of the ideal rate, of 8 times 80 %, of 16 times 94 %).
"""

import threading
from collections import deque
from dataclasses import dataclass

from elspeth.contracts.errors import ElspethError
from elspeth.contracts.plugins import AnyToken, ConcurrentTransform, PluginContext
from elspeth.contracts.results import TransformResult
from elspeth.engine.executors.outcomes import Outcomes
from elspeth.engine.live import LiveToken
from elspeth.engine.retry import Retry
from elspeth.engine.steps import Held, Workshop

WINDOW_POOLS = 16
DEFAULT_POOL = 8


@dataclass(slots=True, eq=False)
class Flight:
    """One token in the window. ``result`` is set once the plugin has answered."""

    token: LiveToken
    attempt: int = 1
    result: TransformResult | Exception | None = None


class Inbox:
    """Results from other threads, for the engine's. ``arrived`` is set when there may be any."""

    def __init__(self) -> None:
        self.arrived = threading.Event()
        self._results: deque[tuple[ConcurrentStep, str, TransformResult | Exception]] = deque()

    def put(self, step: "ConcurrentStep", token_id: str, result: TransformResult | Exception) -> None:
        """Leave a result; callable from any thread."""
        self._results.append((step, token_id, result))
        if not self.arrived.is_set():  # which takes a tenth of the time: most results come in a swarm
            self.arrived.set()

    def collect(self) -> bool:
        """Hand every result to its step; True if there were any. Only the engine's thread calls this."""
        self.arrived.clear()
        any_came = False
        while self._results:
            step, token_id, result = self._results.popleft()
            step.receive(token_id, result)
            any_came = True
        return any_came


class _Output:
    """Where a plugin leaves its results."""

    polled = True
    """Results are taken in by the thread that calls `flush`: a plugin must not wait for them there."""

    def __init__(self, step: "ConcurrentStep", inbox: Inbox) -> None:
        self._step = step
        self._inbox = inbox

    def emit(self, token: AnyToken, result: TransformResult | Exception) -> None:
        """The answer for ``token``, once per `accept`; from any thread. An exception stops the run."""
        self._inbox.put(self._step, token.token_id, result)


class ConcurrentStep:
    """One concurrent transform of a run."""

    def __init__(
        self,
        workshop: Workshop,
        plugin: ConcurrentTransform,
        ctx: PluginContext,
        outcomes: Outcomes,
        retry: Retry,
        inbox: Inbox,
    ) -> None:
        self._workshop = workshop
        self._plugin = plugin
        self._ctx = ctx
        self._outcomes = outcomes
        self._retry = retry
        self._attempts = 1 if getattr(plugin, "retries_itself", False) else retry.max_attempts
        self.node_id = ctx.node_id
        self.room = WINDOW_POOLS * max(1, getattr(plugin, "pool_size", DEFAULT_POOL))
        self.window: deque[Flight] = deque()
        self._flying: dict[str, Flight] = {}
        self._unhanded: deque[Flight] = deque()
        plugin.connect_output(_Output(self, inbox), self.room)

    @property
    def congested(self) -> bool:
        """Whether no more rows should be read for now."""
        return len(self.window) >= self.room

    def step(self, token: LiveToken) -> None:
        """Take the token into the window."""
        token.times.append(self._workshop.clock.ns())
        self._workshop.hold(token, Held(self.node_id, None, token.join))
        self.enter(token)

    def enter(self, token: LiveToken) -> None:
        """Put a token behind those in the window, and hand it to the plugin as soon as there is room."""
        flight = Flight(token)
        tried = token.path.step
        if tried is not None and tried.node_id == self.node_id:
            # A resumed token whose last attempt had failed.
            flight.attempt = tried.attempt + 1
            token.times.append(self._workshop.clock.ns())
        self.window.append(flight)
        self._unhanded.append(flight)
        self._hand_over()

    def receive(self, token_id: str, result: TransformResult | Exception) -> None:
        """The plugin has answered. An answer that nobody waits for (any more) is dropped."""
        flight = self._flying.pop(token_id, None)
        if flight is None:
            return
        passing = isinstance(result, TransformResult) and result.status != "success" and result.retryable
        if passing and flight.attempt < self._attempts:
            self._later(flight, result)
        else:
            flight.result = result

    def release(self) -> None:
        """Let go of the tokens at the head that have their results, oldest first."""
        window, leaving = self.window, []
        while window and window[0].result is not None:
            flight = window.popleft()
            token, result = flight.token, flight.result
            self._workshop.release(token)
            if isinstance(result, ElspethError):
                raise result
            if isinstance(result, Exception):
                what = f"failed with {type(result).__name__}: {result}"
                raise self._outcomes.broken(token, what) from result
            if result.__class__ is not TransformResult:
                raise self._outcomes.broken(token, f"gave {type(result).__name__}, not a TransformResult")
            token.times.append(self._workshop.clock.ns())
            leaving.append((token, self._outcomes.settle(token, result, flight.attempt)))
        if leaving:
            self._workshop.stack.extend(reversed(leaving))
            self._hand_over()

    def expire(self, key: Flight) -> None:
        """The wait before another attempt is over."""
        key.token.times.append(self._workshop.clock.ns())
        key.attempt += 1
        self._accept(key)

    def flush(self) -> None:
        """No more rows will come: the plugin need not wait for company."""
        self._plugin.flush()

    @property
    def oldest_row(self) -> int | None:
        """The lowest row number in the window; None if it is empty."""
        return min((flight.token.row_no for flight in self.window), default=None)

    def _hand_over(self) -> None:
        while self._unhanded and len(self._flying) < self.room:
            self._accept(self._unhanded.popleft())

    def _accept(self, flight: Flight) -> None:
        token = flight.token
        self._flying[token.token_id] = flight
        ctx = PluginContext(
            token=token,
            landscape=self._ctx.landscape,
            run_id=self._ctx.run_id,
            node_id=self.node_id,
            attempt=flight.attempt,
            config=self._ctx.config,
            state_id=f"{token.token_id}-{self._step_index(token)}.{flight.attempt}",
        )
        self._plugin.accept(token.row, ctx)

    def _step_index(self, token: LiveToken) -> int:
        step = token.path.step
        tried = step is not None and step.node_id == self.node_id  # an attempt of this node failed
        return token.path.step_index + (not tried)

    def _later(self, flight: Flight, result: TransformResult | Exception) -> None:
        assert isinstance(result, TransformResult)
        now = self._workshop.clock.ns()
        flight.token.times.append(now)
        self._outcomes.try_again(flight.token, result, flight.attempt)
        self._workshop.touch(flight.token)
        delay = int(self._retry.delay(flight.attempt) * 1e9)
        self._workshop.timers.set(now + delay, self, flight)


class Flights:
    """All that is in flight in a run. ``steps`` are in order of flow."""

    def __init__(self, steps: tuple[ConcurrentStep, ...], inbox: Inbox) -> None:
        self._steps = steps
        self._inbox = inbox

    @property
    def congested(self) -> bool:
        """Whether no more rows should be read for now."""
        return any(step.congested for step in self._steps)

    @property
    def any(self) -> bool:
        """Whether anything is in flight."""
        return any(step.window for step in self._steps)

    @property
    def oldest_row(self) -> int | None:
        """The lowest row number in flight; None if nothing is."""
        rows = [step.oldest_row for step in self._steps]
        return min((row for row in rows if row is not None), default=None)

    def wait(self, seconds: float) -> None:
        """Wait until a result comes, but not longer."""
        self._inbox.arrived.wait(seconds)

    def land(self) -> None:
        """Take in the results that have come, and put what they set free on the stack."""
        if self._inbox.arrived.is_set():
            self._inbox.collect()
            for step in reversed(self._steps):
                step.release()

    def flush(self) -> None:
        """No more rows will come: the plugins need not wait for company."""
        for step in self._steps:
            step.flush()
