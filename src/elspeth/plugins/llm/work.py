"""One row on its way through a node: its questions, what is known of each, and what comes of it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from elspeth.contracts.plugins import AnyToken, PluginContext, Row
from elspeth.contracts.results import TransformResult
from elspeth.core.landscape.calls.journal import request_hash, step_of
from elspeth.fabric.governor import Reservation
from elspeth.plugins.llm.calling import Request
from elspeth.plugins.llm.completion import Answer
from elspeth.plugins.llm.errors import Failure, Kind
from elspeth.plugins.llm.queries import Frame, Message, Query

_MESSAGE_TOKENS = 8  # what a message costs beside its text, at most, in all known formats


@dataclass(slots=True, eq=False)
class RowWork:
    """A row that was accepted, until its result is emitted."""

    row: Row
    token: AnyToken
    run_id: str
    state_id: str
    shown: Row
    """What prompts are made of."""
    open: int = 0
    answers: dict[str, tuple[Answer, Any]] = field(default_factory=dict)
    failures: dict[str, dict[str, Any]] = field(default_factory=dict)
    accepted_at: float = field(default_factory=time.perf_counter)

    @classmethod
    def of(cls, row: Row, ctx: PluginContext, node_id: str, shown: Row) -> "RowWork":
        """A row as it comes from the engine. Without a state the token and the node name its place."""
        token = ctx.token
        if token is None:
            raise ValueError("a concurrent transform needs to know the row's token: PluginContext(token=…)")
        state_id = ctx.state_id or f"{token.token_id}-{ctx.node_id or node_id}.{ctx.attempt}"
        return cls(row, token, ctx.run_id, state_id, shown)

    @property
    def place(self) -> str:
        """Where in its run this is: the same in every run over the same rows."""
        return step_of(self.state_id)[0].removeprefix(self.run_id)

    def result(self, queries: Sequence[Query]) -> TransformResult:
        """The row with all answers, or the error of the first question that has none."""
        if self.failures:
            name, reason = next(iter(self.failures.items()))
            if name:
                reason = {**reason, "query": name, "error": f"query '{name}': {reason['error']}"}
            if len(self.failures) > 1:
                reason = {**reason, "failed_queries": sorted(self.failures)}
            return TransformResult.error(reason, retryable=bool(reason.get("retryable")))
        out = dict(self.row)
        lost = [spec.name for query in queries for spec in query.fields if spec.name in out]
        if lost:
            names = ", ".join(f"'{name}'" for name in lost)
            what = (
                f"the answer would overwrite {names}, which the row has already: name another response_field"
            )
            return TransformResult.error({"error": what, "kind": Kind.FIELD_EXISTS.value, "fields": lost})
        for query in queries:
            answer, value = self.answers[query.name]
            query.fill(out, answer, value)
        return TransformResult.success(out)


@dataclass(slots=True, eq=False)
class Ask:
    """One question about one row, through all its attempts and repair turns.

    ``round`` counts what was put on record of it: record ``round`` of question ``ordinal`` of n is call
    ``ordinal + n × round`` of the state, the same number in whatever order calls complete. ``cache_key`` is
    what later runs find the next answer by, ``cached_from`` the call whose answer is being taken.
    """

    work: RowWork
    query: Query
    ordinal: int
    of: int
    frame: Frame
    messages: list[Message]
    request: Request = field(init=False)
    attempt: int = 1
    throttles: int = 0
    turn: int = 0
    round: int = 0
    reservations: list[Reservation] = field(default_factory=list)
    cache_key: str | None = None
    cached_from: str | None = None

    def __post_init__(self) -> None:
        self._compose()

    def _compose(self) -> None:
        text = self.frame.text(self.messages)
        self.request = Request(text, request_hash(text), self.work.place, self.ordinal, self.of)

    def repair(self, answer: str, complaint: str) -> None:
        """Show the model its answer and what is wrong with it; the next call is a new one."""
        self.messages = [
            *self.messages,
            {"role": "assistant", "content": answer},
            {
                "role": "user",
                "content": f"That does not have the form that was asked for. {complaint}."
                " Answer again, with the corrected JSON and nothing else.",
            },
        ]
        self.turn += 1
        self.attempt = 1
        self._compose()

    @property
    def index(self) -> int:
        """The call index of what is put on record next."""
        return self.ordinal + self.of * self.round

    def next_index(self) -> int:
        """The same, and the one after it comes next."""
        index = self.index
        self.round += 1
        return index

    def tokens_at_most(self) -> int:
        """No tokenizer makes more tokens of a text than it has bytes."""
        text = sum(len(message["content"].encode()) + _MESSAGE_TOKENS for message in self.messages)
        return text + len(str(self.frame.body.get("response_format", "")))

    def tokens_expected(self) -> int:
        """About what the call will use: four characters to a token, and half of the longest answer."""
        text = sum(len(message["content"]) for message in self.messages) // 4
        return text + (self.query.max_tokens or 200) // 2

    def reason(self, failure: Failure) -> dict[str, Any]:
        """Why this question has no answer, for the row's error."""
        return {**failure.facts(), "attempts": self.attempt + self.throttles}
