"""Every storage call on record."""

import threading
from typing import Any

from elspeth.contracts.enums import CallStatus, CallType
from elspeth.contracts.errors import ElspethError
from elspeth.core.canonical import canonical
from elspeth.core.landscape.calls.journal import CallJournal, JournalCall
from elspeth.core.landscape.calls.log import ExternalCall
from elspeth.core.landscape.recorder import LandscapeRecorder
from elspeth.plugins.packs.azure.context import text, tokens_of
from elspeth.providers.azure_blob.calls import BlobCall

PROVIDER = "azure_blob"


class CallBook:
    """Takes the calls of all threads and puts them down when the plugin says so.

    They belong to the node state that the context names, else to the run and the node: a blob holds the
    rows of many states.
    """

    def __init__(self, ctx: Any) -> None:
        self._landscape = getattr(ctx, "landscape", None)
        self._run_id = text(ctx, "run_id")
        self._state_id = f"{self._run_id}-{text(ctx, 'node_id') or PROVIDER}"
        self._lock = threading.Lock()
        self._calls: list[BlobCall] = []
        self._journal: CallJournal | None = None
        self._index = 0
        if isinstance(self._landscape, LandscapeRecorder) and _is_shared(self._landscape):
            # A transaction for each call would cost more than the call.
            self._journal = CallJournal(self._landscape.db, self._landscape.clock)
            self._index = len(self._landscape.get_external_calls(self._state_id))

    def note(self, call: BlobCall) -> None:
        """Remember a call; safe to use from all threads."""
        with self._lock:
            self._calls.append(call)

    def write(self, ctx: Any = None, *, wait: bool = True) -> None:
        """Put down what was remembered, under the node state that ``ctx`` names, if it names one.

        ``wait``: return when it is durable.
        """
        with self._lock:
            calls, self._calls = self._calls, []
        if self._landscape is None:
            self._landscape = getattr(ctx, "landscape", None)
        state = self._state_of(ctx) if calls else ""
        for call in calls:
            if self._journal is not None and not state:
                self._journal.put(_entry(external(call), self._run_id, self._state_id, self._index))
                self._index += 1
            elif self._landscape is not None:
                run_id = self._run_id or (None if state else "")
                self._landscape.record_call(state or self._state_id, external(call), run_id=run_id)
        if calls and wait and self._journal is not None:
            self._journal.flush()

    def _state_of(self, ctx: Any) -> str:
        """The node state that the context names; without an engine the last one of its token, if any."""
        if state := text(ctx, "state_id"):
            return state
        token = getattr(ctx, "token", None)
        if token is None or tokens_of(ctx) or not isinstance(self._landscape, LandscapeRecorder):
            return ""
        try:
            states = self._landscape.get_node_states(token_id=str(token.token_id))
        except ElspethError:
            return ""  # nobody recorded this token
        return str(states[-1].state_id) if states else ""

    def close(self) -> None:
        """Put down the rest. Raises LandscapeError if that fails."""
        self.write(wait=False)
        if self._journal is not None:
            journal, self._journal = self._journal, None
            journal.close()


def _is_shared(landscape: LandscapeRecorder) -> bool:
    """Whether other threads may write to the database: one in memory has a single connection."""
    return landscape.db.engine.url.database not in (None, "", ":memory:")


def external(call: BlobCall) -> ExternalCall:
    """A storage call as the landscape keeps it."""
    target = call.target
    answer = {
        "status": call.status,
        "request_id": call.request_id,
        "etag": call.etag,
        "version_id": call.version_id,
        "bytes_sent": call.bytes_sent,
        "bytes_received": call.bytes_received,
        "retries": call.retries,
    }
    return ExternalCall(
        CallType.BLOB,
        CallStatus.SUCCESS if call.ok else CallStatus.ERROR,
        {
            "operation": call.operation,
            "account": target.account,
            "container": target.container,
            "blob": target.blob,
            **call.request,
        },
        response={name: value for name, value in answer.items() if value not in (None, "")},
        error=None if call.ok else {"reason": call.reason, "error": call.error},
        latency_ms=call.duration_ms,
        provider=PROVIDER,
        attempt=call.retries + 1,
        operation=call.operation,
    )


def _entry(call: ExternalCall, run_id: str, state_id: str, index: int) -> JournalCall:
    return JournalCall(
        run_id,
        state_id,
        index,
        CallStatus(call.status),
        canonical(call.request).decode(),
        response=canonical(call.response).decode(),
        error=None if call.error is None else canonical(call.error).decode(),
        call_type=CallType.BLOB,
        provider=PROVIDER,
        attempt=call.attempt,
        latency_ms=call.latency_ms,
        operation=call.operation,
    )
