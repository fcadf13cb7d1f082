"""Rows through WebAssembly, alone and in a pipeline."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import elspeth
from elspeth.contracts.plugins import PluginContext
from elspeth.contracts.schema import OBSERVED
from elspeth.plugins.transforms.wasm import Wasm
from elspeth.testing import TransformContract

ECHO = Path(__file__).parents[2] / "fabric" / "chassis" / "echo.wat"
CTX = PluginContext()


def says(folder: Path, text: str) -> Path:
    """A module that answers every row with the same text."""
    path = folder / "says.wat"
    quoted = "".join(f"\\{byte:02x}" for byte in text.encode())
    path.write_text(
        f'(module (memory (export "memory") 2) (data (i32.const 16) "{quoted}")'
        '(func (export "buffer") (param i32) (result i32) (i32.const 1024))'
        f'(func (export "process") (param i32) (result i64) (i64.const {16 << 32 | len(text.encode())})))',
        encoding="utf-8",
    )
    return path


@pytest.fixture
def wasm() -> Iterator[Wasm]:
    made = Wasm({"module": str(ECHO)})
    yield made
    made.close()


class TestWasm(TransformContract):
    """The contract of every transform."""

    def make(self) -> Wasm:
        return Wasm({"module": str(ECHO)})

    def rows(self) -> list[dict[str, Any]]:
        return [{"note": "hello", "n": 1}, {"note": None, "n": 2.5}]


def test_values_come_back_as_what_they_were(wasm: Wasm) -> None:
    row = {
        "n": 5,
        "f": 5.0,
        "d": Decimal("1.50"),
        "day": date(2026, 11, 21),
        "big": 2**70,
        "deep": [{"a": None}],
        "ü": "ß",
    }
    result = wasm.process(row, CTX)
    assert result.row == row
    assert [type(value) for value in result.row.values()] == [type(value) for value in row.values()]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ('"the score is missing"', "the score is missing"),
        ('""', "gave no reason"),
        ("no json", "no JSON"),
        ("[1]", "neither an object nor a text"),
        ("", "no JSON"),
        ('{"other": 1}', "lacks 'score'"),
    ],
)
def test_an_answer_that_is_no_row_is_the_rows_error(tmp_path: Path, answer: str, said: str) -> None:
    made = Wasm({"module": str(says(tmp_path, answer)), "promises": ["score"]})
    result = made.process({"a": 1}, CTX)
    made.close()
    assert result.status == "error"
    assert result.reason is not None
    assert said in result.reason["error"]


def test_a_limit_that_is_met_is_named(tmp_path: Path) -> None:
    made = Wasm({"module": str(says(tmp_path, '{"long": "answer"}')), "output_bytes": 5})
    result = made.process({}, CTX)
    made.close()
    assert result.reason == {"error": "the answer has 18 bytes, 5 are allowed", "limit": "output"}


def test_what_is_granted_and_what_that_means_for_repeating(tmp_path: Path) -> None:
    module = {"module": str(ECHO)}
    assert Wasm(module).determinism == "deterministic"
    assert Wasm({**module, "grants": {}}).determinism == "deterministic"
    folder = {"folders": [{"path": str(tmp_path), "at": "/in"}]}
    assert Wasm({**module, "grants": folder}).determinism == "io_dependent"
    assert Wasm({**module, "grants": {**folder, "clock": True}}).determinism == "non_deterministic"
    with pytest.raises(ValidationError, match="is not there"):
        Wasm({**module, "grants": {"folders": [{"path": str(tmp_path / "no"), "at": "/in"}]}})
    with pytest.raises(ValidationError, match="networks"):
        Wasm({**module, "grants": {"networks": True}})


def test_a_module_that_wants_what_is_not_granted_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "clock.wat"
    imported = '(import "wasi_snapshot_preview1" "clock_time_get" (func (param i32 i64 i32) (result i32)))'
    path.write_text(
        ECHO.read_text(encoding="utf-8").replace("(module", f"(module {imported}", 1), encoding="utf-8"
    )
    with pytest.raises(ValidationError, match="is not granted: clock"):
        Wasm({"module": str(path), "grants": {}})
    made = Wasm({"module": str(path), "grants": {"clock": True}})
    assert made.process({"n": 1}, CTX).row == {"n": 1}
    made.close()


def test_promised_fields_are_promised(tmp_path: Path) -> None:
    made = Wasm({"module": str(ECHO), "promises": ["score"]})
    assert made.output_schema(OBSERVED).promises == {"score"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"module": "nowhere.wasm"}, "can't be read"),
        ({"module": str(ECHO), "sha256": "0" * 64}, "is another one: its SHA-256 is"),
        ({"module": str(ECHO), "fuel": 0}, "greater than or equal to 1"),
        ({"module": str(Path(__file__))}, "no WebAssembly"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Wasm(options)
    Wasm({"module": str(ECHO), "sha256": sha256(ECHO.read_bytes()).hexdigest()})


def test_in_a_pipeline_bad_rows_go_to_quarantine_and_good_ones_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The module gives up on every row that is longer than 30 bytes of JSON."""
    monkeypatch.chdir(tmp_path)
    text = ECHO.read_text(encoding="utf-8").replace(
        "(i64.or", "(if (i32.gt_u (local.get $length) (i32.const 30)) (then (unreachable))) (i64.or"
    )
    (tmp_path / "short.wat").write_text(text, encoding="utf-8")
    (tmp_path / "in.csv").write_text(
        "id,note\n1,short\n2,much too long for this module\n3,fine\n", encoding="utf-8"
    )
    (tmp_path / "p.yaml").write_text(
        "source: {plugin: csv, options: {path: in.csv}}\n"
        "transforms:\n  - {name: check, plugin: wasm, options: {module: short.wat}}\n"
        "sinks:\n  output: {plugin: csv, options: {path: out.csv}}\n",
        encoding="utf-8",
    )
    result = elspeth.run("p.yaml")
    assert result.status == "completed_with_failures"
    assert (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines() == ["id,note", "1,short", "3,fine"]
