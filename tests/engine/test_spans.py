"""Spans do nothing unless somebody wants them."""

from itertools import count

import pytest

from elspeth.engine.spans import Span, SpanFactory


def test_spans_that_nobody_wants_do_nothing() -> None:
    found: list[Span] = []
    spans = SpanFactory(enabled=False, export=found.append)
    with spans.run_span("run-1"), spans.node_span("gate", "large", "t1"):
        pass
    assert found == []


def test_a_span_is_handed_over_when_it_is_left() -> None:
    found: list[Span] = []
    spans = SpanFactory(enabled=True, export=found.append, ns=count(10, 5).__next__)
    with spans.run_span("run-1"), spans.node_span("gate", "large", "t1"):
        pass
    assert found == [
        Span("gate", {"node_id": "large", "token_id": "t1"}, 15, 20),
        Span("run", {"run_id": "run-1"}, 10, 25),
    ]


def test_a_span_tells_what_broke_it_and_lets_that_through() -> None:
    found: list[Span] = []
    spans = SpanFactory(enabled=True, export=found.append)
    with pytest.raises(ValueError, match="no"), spans.span("work"):
        raise ValueError("no")
    assert found[0].error == "ValueError: no"


def test_enabled_without_an_export_is_harmless() -> None:
    with SpanFactory(enabled=True).span("work"):
        pass
