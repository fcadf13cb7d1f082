"""What a run tells those who watch its spans: the run, its nodes, and its rows at each node.

Rows are told of once their commit stands, from the times that their tokens carry anyway: so nothing is
measured twice, and nothing at all is done where nobody watches.
"""

from collections.abc import Mapping, Sequence

from elspeth.contracts.enums import RunStatus
from elspeth.contracts.errors import RunInterruptedError
from elspeth.contracts.spans import Span, node_key
from elspeth.core.clock import Clock
from elspeth.core.dag import Graph
from elspeth.engine.live import LiveToken
from elspeth.engine.spans import SpanFactory


class Telling:
    """One process's work on one run, as spans."""

    def __init__(self, spans: SpanFactory, clock: Clock, run_id: str, graph: Graph, pipeline: str) -> None:
        self._spans = spans
        self._clock = clock
        self._run_id = run_id
        self._graph = graph
        self._pipeline = pipeline
        self._began = clock.ns()

    def ended(self, status: RunStatus | None, error: BaseException | None = None) -> None:
        """The run is over for this process: its nodes, and the run itself."""
        if not self._spans.enabled:
            return
        if status is None:
            interrupted = isinstance(error, RunInterruptedError | KeyboardInterrupt)
            status = RunStatus.INTERRUPTED if interrupted else RunStatus.FAILED
        broke = f"{type(error).__name__}: {error}" if status is RunStatus.FAILED else None
        now = self._clock.ns()
        for node in self._graph.nodes:
            about = {"node_id": node.node_id, "node_type": node.node_type.value, "plugin": node.plugin_name}
            self._tell(
                f"{node.node_type} {node.node_id}",
                about,
                (self._began, now),
                node_key(self._run_id, node.node_id),
            )
        facts = {"run_id": self._run_id, "pipeline": self._pipeline, "status": status.value}
        attributes = {f"elspeth.{fact}": value for fact, value in facts.items()}
        began, ended = (moment + self._clock.epoch_ns for moment in (self._began, now))
        self._spans.tell(Span("run", attributes, began, ended, broke, key=self._run_id, run_id=self._run_id))

    def tokens(self, tokens: Sequence[LiveToken]) -> None:
        """These have ended, and that is on record."""
        for token in tokens:
            self._token(token)

    def _token(self, token: LiveToken) -> None:
        facts = {"row_id": token.row_id, "token_id": token.token_id}
        if token.branch_name is not None:
            facts["branch"] = token.branch_name
        every = (*token.times, *token.sunk)
        for path in token.path.line():
            step = path.step
            assert step is not None
            assert path.parent is not None
            begin = path.times - 2 if step.gap else path.parent.times - 1
            times = (every[begin] if begin >= 0 else token.t0, every[path.times - 1])
            state_id = f"{token.token_id}-{path.step_index}.{step.attempt}"
            told = {
                **facts,
                "node_id": step.node_id,
                "state_id": state_id,
                "attempt": step.attempt,
                "status": step.status,
            }
            self._tell(step.node_id, told, times, state_id, failed=step.status == "failed")

    def _tell(
        self,
        name: str,
        facts: Mapping[str, object],
        times: tuple[int, int],
        key: str,
        *,
        failed: bool = False,
    ) -> None:
        epoch = self._clock.epoch_ns
        node = str(facts["node_id"])
        own = node_key(self._run_id, node)
        self._spans.tell(
            Span(
                name,
                {f"elspeth.{fact}": value for fact, value in {"run_id": self._run_id, **facts}.items()},
                times[0] + epoch,
                times[1] + epoch,
                "failed" if failed else None,
                key,
                self._run_id if key == own else own,
                self._run_id,
            )
        )
