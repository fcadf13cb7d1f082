"""A module computes, and can do nothing else; what it overdoes ends its call, not ours."""

from pathlib import Path

import pytest

from elspeth.fabric.chassis import Chassis, ChassisError, Limits, ModuleError

ECHO = (Path(__file__).parent / "echo.wat").read_bytes()
BUFFER = '(func (export "buffer") (param i32) (result i32) (i32.const 1024))'


def module(body: str, memory: str = '(memory (export "memory") 2)', more: str = BUFFER) -> bytes:
    """A module whose ``process`` has this body; its argument is ``$n``."""
    process = f'(func (export "process") (param $n i32) (result i64) {body})'
    return f"(module {memory} {more} {process})".encode()


LOOP = module("(loop $again (br $again)) (unreachable)")
COUNTS = module(
    """(i32.store8 (i32.const 1024) (global.get $seen))
    (global.set $seen (i32.add (global.get $seen) (i32.const 1)))
    (i64.or (i64.shl (i64.const 1024) (i64.const 32)) (i64.const 1))""",
    more=f"(global $seen (mut i32) (i32.const 65)) {BUFFER}",
)


def failure(code: bytes, limits: Limits | None = None, data: bytes = b"{}") -> ChassisError:
    with Chassis(code, limits) as chassis, pytest.raises(ChassisError) as caught:
        chassis.call(data)
    return caught.value


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 60_000])
def test_bytes_go_in_and_come_back(size: int) -> None:
    with Chassis(ECHO) as chassis:
        assert chassis.call(b"x" * size) == b"x" * size
        assert chassis.call(b"again") == b"again"


def test_an_endless_loop_ends_when_the_fuel_is_used_up() -> None:
    error = failure(LOOP, Limits(fuel=100_000))
    assert error.reason == "fuel"
    assert "its fuel of 100,000" in str(error)


def test_an_endless_loop_ends_when_the_time_is_over() -> None:
    error = failure(LOOP, Limits(fuel=2**62, seconds=0.1))
    assert (error.reason, error.what) == ("time", "the module took longer than 0.1 s")


def test_four_gigabytes_are_not_to_be_had() -> None:
    grows = module(
        "(if (i32.eq (memory.grow (i32.const 65000)) (i32.const -1)) (then (unreachable))) (i64.const 0)"
    )
    assert failure(grows).what == "the module gave up: unreachable"


@pytest.mark.parametrize(
    ("body", "reason", "said"),
    [
        ("(unreachable)", "trap", "unreachable"),
        ("(i64.div_u (i64.const 1) (i64.const 0))", "trap", "integer division by zero"),
        ("(i64.load (i32.const -8))", "memory", "outside of its memory"),
        ("(call $deep (local.get $n)) (i64.const 0)", "memory", "stack is full"),
        ("(i64.const -1)", "output", "4,294,967,295 bytes, 1,000,000 are allowed"),
        ("(i64.const 0x7fffffff00000010)", "output", "outside of the module's memory"),
        ("(i64.const 0x0001ffff00000010)", "output", "outside of the module's memory"),
    ],
)
def test_what_a_module_does_wrong_is_told(body: str, reason: str, said: str) -> None:
    deep = "(func $deep (param i32) (call $deep (local.get 0)))"
    error = failure(module(body, more=BUFFER + deep))
    assert error.reason == reason
    assert said in str(error)


def test_a_row_for_which_the_module_has_no_room() -> None:
    for address in ("0", "131071", "-1"):
        nowhere = f'(func (export "buffer") (param i32) (result i32) (i32.const {address}))'
        chassis = Chassis(module("(i64.const 0)", more=nowhere))
        with chassis, pytest.raises(ChassisError, match="no room for 200,000 bytes"):
            chassis.call(b"x" * 200_000)


def test_after_a_failure_the_module_starts_afresh() -> None:
    """It traps on the letter T, and remembers otherwise how often it was called."""
    traps = module(
        "(if (i32.eq (i32.load8_u (i32.const 1024)) (i32.const 84)) (then (unreachable)))"
        "(i32.store8 (i32.const 1024) (global.get $seen))"
        "(global.set $seen (i32.add (global.get $seen) (i32.const 1)))"
        "(i64.or (i64.shl (i64.const 1024) (i64.const 32)) (i64.const 1))",
        more=f"(global $seen (mut i32) (i32.const 65)) {BUFFER}",
    )
    with Chassis(traps) as chassis:
        assert [chassis.call(b"-"), chassis.call(b"-")] == [b"A", b"B"]
        with pytest.raises(ChassisError):
            chassis.call(b"T")
        assert chassis.call(b"-") == b"A"


def test_with_fresh_a_module_can_remember_nothing() -> None:
    with Chassis(COUNTS) as chassis:
        assert [chassis.call(b"") for _ in range(3)] == [b"A", b"B", b"C"]
    with Chassis(COUNTS, fresh=True) as chassis:
        assert [chassis.call(b"") for _ in range(3)] == [b"A", b"A", b"A"]


def test_fuel_is_counted_per_call() -> None:
    with Chassis(ECHO, Limits(fuel=1_000)) as chassis:
        assert [chassis.call(b"x") for _ in range(500)] == [b"x"] * 500


def test_a_closed_chassis_can_be_used_again() -> None:
    chassis = Chassis(ECHO)
    for _ in range(2):
        assert chassis.call(b"x") == b"x"
        chassis.close()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (b"nonsense", "no WebAssembly"),
        (b"", "no WebAssembly"),
        (
            b'(module (import "wasi_snapshot_preview1" "fd_write" (func (param i32))) (memory 1))',
            "wants wasi_snapshot_preview1.fd_write; nothing is granted",
        ),
        (b"(module)", 'exports no memory "memory"'),
        (b'(module (memory (export "memory") 1))', r"exports no function buffer\(i32\) -> i32"),
        (module("(i64.const 0)", memory='(memory (export "memory") 2000)'), "starts with 131,072,000 bytes"),
        (module("(i64.const 0)", memory='(memory i64 (export "memory") 1)'), "no WebAssembly"),
    ],
)
def test_a_module_that_cannot_be_used_is_refused_before_it_is_called(code: bytes, said: str) -> None:
    with pytest.raises(ModuleError, match=said):
        Chassis(code)
