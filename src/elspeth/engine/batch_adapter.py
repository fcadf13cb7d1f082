"""Many rows in flight in one concurrent transform, each waited for by whoever sent it in."""

import threading
import time
from dataclasses import dataclass
from weakref import WeakValueDictionary

from elspeth.contracts.errors import PluginError
from elspeth.contracts.plugins import AnyToken
from elspeth.contracts.results import TransformResult
from elspeth.contracts.tokens import TokenInfo

Answer = TransformResult | BaseException
DEFAULT_TIMEOUT_S = 300.0


@dataclass(slots=True)
class AttemptToken(TokenInfo):
    """A token as one attempt sends it in: whoever answers for it answers for that attempt and no other."""

    attempt: int = 0


class RowWaiter:
    """One attempt's claim to one answer. Made by `SharedBatchAdapter.register`.

    ``attempt`` is a number that no other claim at this adapter has.
    """

    def __init__(self, adapter: "SharedBatchAdapter", token_id: str, attempt: int, *, retry: bool) -> None:
        self.token_id = token_id
        self.attempt = attempt
        # An earlier attempt has had no answer yet, so one that doesn't say which it is for may be for that.
        self._retry = retry
        self._adapter = adapter
        self._answer: Answer | None = None
        self._doubtful = False
        self._closed = False
        self._ready = threading.Condition()

    def token(self, token: TokenInfo) -> AttemptToken:
        """The token to send in with the row: what is answered for it is for this attempt and no other."""
        return AttemptToken(token.row_id, token.token_id, token.row_data, token.branch_name, self.attempt)

    def wait(self, timeout: float = DEFAULT_TIMEOUT_S) -> TransformResult:
        """The token's result as soon as it is there, and the same again if asked again.

        Raises TimeoutError, which names the token, after ``timeout`` seconds: the claim is given
        up by that, a later answer is dropped. Raises the worker's error if the worker died.
        """
        deadline = time.monotonic() + timeout
        with self._ready:
            while self._answer is None and not self._closed:
                remaining = deadline - time.monotonic()
                if remaining <= 0 or not self._ready.wait(remaining):
                    self._closed = self._answer is None
            self._closed = True
            answer = self._answer
        if answer is None:
            raise TimeoutError(f"token {self.token_id!r} had no result within {timeout:g} s")
        self._adapter._forget(self)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def _give(self, answer: Answer, exact: bool) -> None:
        """Take an answer, unless the claim is given up or met by one that is surely its own."""
        with self._ready:
            if self._closed or (self._answer is not None and not self._doubtful):
                return
            self._answer, self._doubtful = answer, self._retry and not exact
            self._ready.notify_all()

    def _unanswered(self) -> bool:
        with self._ready:
            return self._answer is None


class SharedBatchAdapter:
    """Brings the answers of one transform's workers to those who wait for them, in whatever order they come.

    Safe to use from all threads; `emit` and `fail` never block. An answer that nobody waits for
    (twice, too late, for an unknown token) is dropped. A claim lives as long as somebody holds
    its `RowWaiter`: nothing is kept for those who went away.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiters: WeakValueDictionary[str, RowWaiter] = WeakValueDictionary()
        self._attempts = 0

    def register(self, token_id: str) -> RowWaiter:
        """Claim the next result of this token. Do it before the row is sent in.

        A new claim takes the place of an earlier one for the same token, whose `RowWaiter.wait`
        then ends with a PluginError.
        """
        with self._lock:
            earlier = self._waiters.get(token_id)
            self._attempts += 1
            retry = earlier is not None and earlier._unanswered()
            waiter = RowWaiter(self, token_id, self._attempts, retry=retry)
            self._waiters[token_id] = waiter
        if earlier is not None:
            earlier._give(
                PluginError(f"token {token_id!r} was sent in again: this attempt is given up"), True
            )
        return waiter

    def emit(self, token: AnyToken | str, result: Answer) -> None:
        """Answer for a token (or its id): with its result, or with the error of the worker that died over it.

        An `AttemptToken` reaches its own attempt only. Any other token can't say which attempt it
        is for: the first answer counts, or, after an attempt that was given up without one, the
        last that is there when it is asked for.
        """
        token_id = token if isinstance(token, str) else token.token_id
        attempt = token.attempt if isinstance(token, AttemptToken) else None
        with self._lock:
            waiter = self._waiters.get(token_id)
            if waiter is None or attempt not in (None, waiter.attempt):
                return
        waiter._give(result, attempt is not None)
        with self._lock:
            if waiter._closed and self._waiters.get(token_id) is waiter:
                del self._waiters[token_id]

    def fail(self, error: BaseException) -> None:
        """The workers died: everybody who waits now gets ``error``."""
        with self._lock:
            waiters = list(self._waiters.values())
            self._waiters.clear()
        for waiter in waiters:
            waiter._give(error, True)

    def clear(self) -> None:
        """Forget all claims. Who still waits is woken with a PluginError."""
        with self._lock:
            waiters = list(self._waiters.values())
            self._waiters.clear()
        for waiter in waiters:
            waiter._give(
                PluginError(f"token {waiter.token_id!r} was still waited for when all claims were cleared"),
                True,
            )

    def __len__(self) -> int:
        """How many claims are open."""
        return len(self._waiters)

    def _forget(self, waiter: RowWaiter) -> None:
        with self._lock:
            if self._waiters.get(waiter.token_id) is waiter:
                del self._waiters[waiter.token_id]
