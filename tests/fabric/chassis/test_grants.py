"""What is granted can be touched, what is not can't: folders, variables, the clock, randomness, things
outside.
"""

from pathlib import Path

import pytest

from elspeth.fabric.chassis import Chassis, ChassisError, Folder, Grants, ModuleError

WASI = "wasi_snapshot_preview1"


def module(imports: str, body: str, more: str = "") -> bytes:
    """A module with these imports; ``process`` answers with what its body returns."""
    return f"""(module {imports}
      (memory (export "memory") 2) {more}
      (func (export "buffer") (param i32) (result i32) (i32.const 1024))
      (func $answer (param $at i32) (param $n i32) (result i64)
        (i64.or (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32)) (i64.extend_i32_u (local.get
        $n))))
      (func (export "process") (param $length i32) (result i64) (local $wrong i32) {body}))""".encode()


READS = module(
    f"""(import "{WASI}" "path_open"
          (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (import "{WASI}" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))""",
    """(local.set $wrong (call $open (i32.const 3) (i32.const 0) (i32.const 1024) (local.get $length)
         (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 8)))
       (if (local.get $wrong) (then
         (i32.store8 (i32.const 64) (local.get $wrong)) (return (call $answer (i32.const 64) (i32.const 1)))))
       (i32.store (i32.const 32) (i32.const 4096)) (i32.store (i32.const 36) (i32.const 1000))
       (drop (call $read (i32.load (i32.const 8)) (i32.const 32) (i32.const 1) (i32.const 40)))
       (call $answer (i32.const 4096) (i32.load (i32.const 40)))""",
)
CREATES = module(
    f"""(import "{WASI}" "path_create_directory" (func $make (param i32 i32 i32) (result i32)))""",
    """(i32.store8 (i32.const 64) (call $make (i32.const 3) (i32.const 1024) (local.get $length)))
       (call $answer (i32.const 64) (i32.const 1))""",
)
VARIABLES = module(
    f"""(import "{WASI}" "environ_get" (func $get (param i32 i32) (result i32)))
        (import "{WASI}" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))""",
    """(drop (call $sizes (i32.const 32) (i32.const 36)))
       (drop (call $get (i32.const 2048) (i32.const 4096)))
       (call $answer (i32.const 4096) (i32.load (i32.const 36)))""",
)
CLOCK = module(
    f"""(import "{WASI}" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))""",
    """(drop (call $time (i32.const 0) (i64.const 1) (i32.const 64)))
       (call $answer (i32.const 64) (i32.const 8))""",
)
RANDOM = module(
    f"""(import "{WASI}" "random_get" (func $random (param i32 i32) (result i32)))""",
    """(drop (call $random (i32.const 64) (i32.const 16))) (call $answer (i32.const 64) (i32.const 16))""",
)
SOCKETS = module(
    f"""(import "{WASI}" "sock_accept" (func $accept (param i32 i32 i32) (result i32)))""",
    "(call $answer (i32.const 64) (i32.const 0))",
)
FETCHES = module(
    """(import "elspeth" "fetch" (func $fetch (param i32 i32) (result i64)))""",
    "(call $fetch (i32.const 1024) (local.get $length))",
    more='(func (export "room") (param i32) (result i32) (i32.const 8192))',
)


def answer(code: bytes, grants: Grants | None, data: bytes = b"x") -> bytes:
    with Chassis(code, grants=grants) as chassis:
        return chassis.call(data)


@pytest.mark.parametrize("code", [READS, VARIABLES, CLOCK, RANDOM, SOCKETS, FETCHES])
def test_without_grants_a_module_may_import_nothing(code: bytes) -> None:
    with pytest.raises(ModuleError, match="nothing is granted here"):
        Chassis(code)


@pytest.mark.parametrize(
    ("code", "needs"),
    [
        (CLOCK, "clock"),
        (RANDOM, "randomness"),
        (SOCKETS, "network, which nobody can grant"),
        (FETCHES, "blobs"),
    ],
)
def test_an_empty_grant_grants_none_of_these(code: bytes, needs: str) -> None:
    with pytest.raises(ModuleError, match=f"is not granted: {needs}"):
        Chassis(code, grants=Grants())


def test_an_empty_grant_has_no_folders_and_no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUR_SECRET", "swordfish")
    assert answer(VARIABLES, Grants()) == b""
    assert answer(READS, Grants(), b"passwd") == bytes([8])  # EBADF: there is no folder


def test_variables_are_those_that_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUR_SECRET", "swordfish")
    assert answer(VARIABLES, Grants(environment={"REGION": "eu"})) == b"REGION=eu\0"


def test_a_folder_is_what_is_below_it(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("swordfish", encoding="utf-8")
    inside = tmp_path / "rates"
    inside.mkdir()
    (inside / "eu").write_text("1.07", encoding="utf-8")
    (inside / "way_out").symlink_to(tmp_path / "secret")
    grants = Grants([Folder(inside, "/rates")])
    assert answer(READS, grants, b"eu") == b"1.07"
    for name in (b"../secret", b"/etc/passwd", b"way_out"):
        assert len(answer(READS, grants, name)) == 1  # an error's number
    assert answer(CREATES, grants, b"new") != b"\0"
    assert not (inside / "new").exists()
    assert answer(CREATES, Grants([Folder(inside, "/rates", write=True)]), b"new") == b"\0"
    assert (inside / "new").is_dir()


def test_clock_and_randomness_are_real_if_granted() -> None:
    assert int.from_bytes(answer(CLOCK, Grants(clock=True)), "little") > 1_700_000_000 * 10**9
    given = Grants(randomness=True)
    assert answer(RANDOM, given) != answer(RANDOM, given)


def test_what_is_fetched_is_written_where_the_module_wants_it() -> None:
    asked: list[str] = []

    def fetch(name: str) -> bytes:
        asked.append(name)
        if name != "rates/eu":
            raise ChassisError("grant", f"{name!r} is not on the list")
        return b"1.07"

    grants = Grants(fetch=fetch)
    assert answer(FETCHES, grants, b"rates/eu") == b"1.07"
    with pytest.raises(ChassisError, match="is not on the list") as caught:
        answer(FETCHES, grants, b"rates/us")
    assert caught.value.reason == "grant"
    assert asked == ["rates/eu", "rates/us"]
    with pytest.raises(ChassisError, match="no room for 1,000,000 bytes"):
        answer(FETCHES, Grants(fetch=lambda name: b"x" * 1_000_000))


def test_a_folder_that_is_gone_is_the_calls_error(tmp_path: Path) -> None:
    with pytest.raises(ChassisError, match="can't be opened"):
        answer(READS, Grants([Folder(tmp_path / "nowhere", "/x")]))
