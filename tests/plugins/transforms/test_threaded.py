"""Blocking code in a pool of threads, behind the same contract as everything that is concurrent."""

import threading
from pathlib import Path
from typing import Any, ClassVar

import pytest

import elspeth
from elspeth.api import assemble
from elspeth.contracts import PluginContext, Row, TokenInfo, TransformResult
from elspeth.contracts.errors import PluginError
from elspeth.contracts.plugins import ConcurrentTransform
from elspeth.engine.batch_adapter import SharedBatchAdapter
from elspeth.plugins.registry import load_catalog
from elspeth.plugins.transforms.threaded import ThreadedTransform


class Together(ThreadedTransform):
    """Nobody is done before eight are at work."""

    name: ClassVar[str] = "together"

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self.barrier = threading.Barrier(8)

    def work(self, row: Row, ctx: PluginContext) -> TransformResult:
        self.barrier.wait(30)
        if row["n"] == 5:
            raise ZeroDivisionError("a bug")
        return TransformResult.success({**row, "square": row["n"] ** 2})


def test_as_many_rows_are_at_work_as_the_pool_has_threads() -> None:
    transform = Together({"pool_size": 8})
    assert isinstance(transform, ConcurrentTransform)
    with pytest.raises(PluginError, match="no output"):
        transform.accept({"n": 0}, PluginContext())
    with pytest.raises(NotImplementedError):
        transform.process({"n": 0}, PluginContext())
    adapter = SharedBatchAdapter()
    transform.connect_output(adapter, 64)
    waiters = [adapter.register(f"t{n}") for n in range(16)]
    for n in range(16):
        transform.accept({"n": n}, PluginContext(token=TokenInfo(f"r{n}", f"t{n}")))
    transform.flush()
    assert [waiter.wait(30).row for n, waiter in enumerate(waiters) if n != 5] == [
        {"n": n, "square": n * n} for n in range(16) if n != 5
    ]
    with pytest.raises(ZeroDivisionError):
        waiters[5].wait(30)
    transform.close()
    transform.close()


def test_the_engine_keeps_the_order_of_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Squares(Together):
        name: ClassVar[str] = "squares"

        def work(self, row: Row, ctx: PluginContext) -> TransformResult:
            if row["n"] % 7 == 0:
                threading.Event().wait(0.002)
            return TransformResult.success({**row, "square": row["n"] ** 2})

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(assemble, "load_catalog", lambda: _With(load_catalog(), Squares))
    Path("rows.csv").write_text("n\n" + "".join(f"{n}\n" for n in range(300)))
    Path("pipeline.yaml").write_text(
        "source: {plugin: csv, options: {path: rows.csv}}\n"
        "transforms: [{name: square, plugin: squares, options: {pool_size: 8}}]\n"
        "sinks: {output: {plugin: csv, options: {path: out.csv}}}\n"
    )
    assert elspeth.run("pipeline.yaml").status == "completed"
    assert Path("out.csv").read_text().splitlines()[1:] == [f"{n},{n * n}" for n in range(300)]


def test_close_wakes_who_waits() -> None:
    transform = Together({"pool_size": 1})
    adapter = SharedBatchAdapter()
    transform.connect_output(adapter, 64)
    waiters = [adapter.register(f"t{n}") for n in range(3)]
    for n in range(3):
        transform.accept({"n": n}, PluginContext(token=TokenInfo(f"r{n}", f"t{n}")))
    closing = threading.Thread(target=transform.close)
    closing.start()
    for waiter in waiters[1:]:
        with pytest.raises(PluginError, match="closed before"):
            waiter.wait(30)
    transform.barrier.abort()
    closing.join(30)
    with pytest.raises(threading.BrokenBarrierError):
        waiters[0].wait(30)


class _With:
    """A catalog with one transform more."""

    def __init__(self, catalog: Any, transform: type[Any]) -> None:
        self._catalog = catalog
        self._transform = transform

    def transform(self, name: str) -> Any:
        return self._transform if name == self._transform.name else self._catalog.transform(name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._catalog, name)
