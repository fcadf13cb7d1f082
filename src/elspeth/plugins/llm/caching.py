"""Answers of earlier runs in the place of calls, if the pipeline file asks for that."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from elspeth.core.landscape.calls.cache import CallCache, cache_key
from elspeth.core.landscape.calls.log import CallRecording
from elspeth.plugins.llm.completion import Answer
from elspeth.plugins.llm.options import CacheOptions
from elspeth.plugins.llm.recording import read_answer
from elspeth.plugins.llm.structured import InvalidOutputError
from elspeth.plugins.llm.work import Ask


@dataclass(frozen=True, slots=True)
class AnswerCache:
    """Finds earlier answers of one service, and gives calls the keys under which later runs find theirs."""

    calls: CallCache
    service: str
    refresh: bool

    def key(self, ask: Ask) -> str:
        """Under what the answer to this question is found."""
        return cache_key(self.service, ask.request.digest)

    def find(self, ask: Ask) -> tuple[str, Answer] | None:
        """The call that was asked the same, and its answer; None if there is none that can be used."""
        if self.refresh:
            return None
        found = self.calls.find(self.key(ask), ask.request.digest)
        if found is None:
            return None
        answer = read_answer(found.response)
        if answer.failure is not None:
            return None
        if ask.query.form is not None:
            try:
                ask.query.form.read(answer.text)
            except InvalidOutputError:
                return None  # one that was of no use then would be of no use for ever
        return found.call_id, answer


def cache_for(landscape: Any, run_id: str, url: str, options: CacheOptions | None) -> AnswerCache | None:
    """The cache that a node asks for, if its landscape can be one."""
    if options is None or not isinstance(landscape, CallRecording):
        return None
    db = landscape.db
    if db.engine.dialect.name == "sqlite" and not db.is_file:
        return None
    age = None if options.max_age_days is None else timedelta(days=options.max_age_days)
    return AnswerCache(CallCache(db, run_id, landscape.clock, age), url, options.refresh)


def unpaid(answer: Answer) -> Answer:
    """An answer as it goes on record of a call that was not made: it used no tokens."""
    return replace(answer, tokens_in=None, tokens_out=None)
