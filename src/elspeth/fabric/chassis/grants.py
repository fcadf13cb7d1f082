"""What a module may touch besides its bytes: nothing, unless it is granted here, by name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elspeth.fabric.chassis.limits import ChassisError, ModuleError

WASI, OURS = "wasi_snapshot_preview1", "elspeth"
_CLOCK = frozenset({"clock_time_get", "clock_res_get", "poll_oneoff"})
_RANDOM = frozenset({"random_get"})
_NO_WASI = "build it without WASI and other imports (target wasm32-unknown-unknown), or write `grants`"


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that a module sees as ``at``; read only unless ``write``."""

    path: Path
    at: str
    write: bool = False


@dataclass(frozen=True, slots=True)
class Grants:
    """What is granted. Whoever grants nothing in here (``Grants()``) lets a module use WASI, and finds it
    empty:
    no folders, no variables, output that goes nowhere.

    ``environment``: these variables, never ours. ``clock``, ``randomness``: the real ones. ``fetch``: called
    with a name by a module that wants the contents of something outside; it must hold an allow-list of its
    own, and raise ChassisError (reason ``grant``) for anything else.
    """

    folders: Sequence[Folder] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    clock: bool = False
    randomness: bool = False
    fetch: Callable[[str], bytes] | None = None


def refused_imports(imports: Sequence[Any], grants: Grants | None) -> list[tuple[str, str]]:
    """The imports of a module that are not granted, each with what would have to be."""
    found = []
    for one in imports:
        name = str(one.name)
        missing = "an import that nobody provides"
        if one.module == WASI:
            missing = _wasi(name, grants)
        elif (one.module, name) == (OURS, "fetch"):
            missing = "" if grants is not None and grants.fetch is not None else "blobs"
        if missing:
            found.append((f"{one.module}.{name}", missing))
    return found


def check_imports(imports: Sequence[Any], grants: Grants | None) -> None:
    """Raises ModuleError for a module that wants what nobody granted."""
    wants = refused_imports(imports, grants)
    if not wants:
        return
    named = ", ".join(name for name, _ in wants[:5])
    if grants is None:
        raise ModuleError(f"the module wants {named}; nothing is granted here", fix=_NO_WASI)
    needs = ", ".join(sorted({grant for _, grant in wants}))
    raise ModuleError(f"the module wants {named}, which is not granted: {needs}")


def instantiate(wasm: Any, engine: Any, store: Any, module: Any, grants: Grants | None) -> Any:
    """An instance with exactly what is granted."""
    if grants is None:
        return wasm.Instance(store, module, [])
    config = wasm.WasiConfig()
    config.env = list(grants.environment.items())
    for folder in grants.folders:
        try:
            config.preopen_dir(str(folder.path), folder.at, folder.write)
        except wasm.WasmtimeError as error:
            raise ChassisError("grant", f"the folder {folder.path} can't be opened") from error
    store.set_wasi(config)
    linker = wasm.Linker(engine)
    linker.define_wasi()
    if grants.fetch is not None:
        kind = wasm.FuncType([wasm.ValType.i32(), wasm.ValType.i32()], [wasm.ValType.i64()])
        linker.define_func(OURS, "fetch", kind, _fetcher(grants.fetch), access_caller=True)
    return linker.instantiate(store, module)


def _fetcher(fetch: Callable[[str], bytes]) -> Callable[[Any, int, int], int]:
    def answer(caller: Any, start: int, length: int) -> int:
        memory = caller["memory"]
        name = bytes(memory.read(caller, start, start + length)).decode("utf-8", "replace")
        data = fetch(name)
        room = caller["room"]
        if room is None:
            raise ChassisError("grant", "the module fetches, and exports no function room(i32) -> i32")
        place = int(room(caller, len(data))) & 0xFFFFFFFF
        if place + len(data) > memory.data_len(caller):
            raise ChassisError("memory", f"the module has no room for {len(data):,} bytes")
        memory.write(caller, data, place)
        packed = place << 32 | len(data)
        return packed - (1 << 64) if packed >= 1 << 63 else packed

    return answer


def _wasi(name: str, grants: Grants | None) -> str:
    if grants is None:
        return "grants"
    if name in _CLOCK:
        return "" if grants.clock else "clock"
    if name in _RANDOM:
        return "" if grants.randomness else "randomness"
    return "network, which nobody can grant" if name.startswith("sock_") else ""
