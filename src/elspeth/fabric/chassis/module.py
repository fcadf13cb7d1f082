"""`Chassis`: one WebAssembly module, called with bytes, within limits."""

from importlib import import_module
from typing import Any

from elspeth.contracts.errors import UsageError
from elspeth.fabric.chassis.grants import Grants, check_imports, instantiate
from elspeth.fabric.chassis.limits import ChassisError, Limits, ModuleError
from elspeth.fabric.chassis.ticking import Ticking, beats

PAGE = 65536
_FIRST_BUFFER = 4096
_WANTED = {"buffer": ("i32", "i32"), "process": ("i32", "i64")}


class Chassis:
    """A module that can do nothing but compute: no files, network, clock, environment or randomness, unless
    granted.

    Without ``grants`` it must import nothing. It must export ``memory`` and two functions. ``buffer(size:
    i32) -> i32`` gives the address of ``size`` bytes for the host to write to, good until the next
    ``buffer``. ``process(length: i32) -> i64`` reads so many bytes there, and returns where its answer is:
    the address in the upper 32 bits, the length in the lower.

    The instance lives from call to call, so a module can remember; after a failed call, and with
    ``fresh`` after every call, it is made anew. Not for several threads at once. A context manager.
    """

    def __init__(
        self,
        code: bytes,
        limits: Limits | None = None,
        *,
        fresh: bool = False,
        grants: Grants | None = None,
    ) -> None:
        """Compile ``code`` (binary or text format). Raises ModuleError, and UsageError without the extra
        ``wasm``.
        """
        self.limits = limits or Limits()
        self._wasm = _wasmtime()
        self._fresh = fresh
        self._grants = grants
        self._engine = self._made_engine()
        try:
            self._module = self._wasm.Module(self._engine, code)
        except self._wasm.WasmtimeError as error:
            raise ModuleError(f"this is no WebAssembly: {_first_line(error)}") from error
        self._check()
        self._beats = beats(self.limits.seconds)
        self._ticking: Ticking | None = None
        self._store: Any = None
        self._memory: Any = None
        self._buffer: Any = None
        self._process: Any = None
        self._room, self._place = -1, 0

    def __enter__(self) -> "Chassis":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the clock's thread, and forget the instance. It may be called again afterwards."""
        if self._ticking is not None:
            self._ticking.stop()
            self._ticking = None
        self._drop()

    def call(self, data: bytes) -> bytes:
        """The module's answer to these bytes. Raises ChassisError."""
        if self._store is None:
            self._start()
        try:
            answer = self._exchange(data)
        except self._wasm.Trap as error:
            self._drop()
            raise self._failure(error) from error
        except self._wasm.WasmtimeError as error:
            self._drop()
            raise ChassisError("trap", f"the module failed: {_first_line(error)}") from error
        except ChassisError:
            self._drop()
            raise
        if self._fresh:
            self._drop()
        return answer

    def _exchange(self, data: bytes) -> bytes:
        store, memory, size = self._store, self._memory, len(data)
        store.set_fuel(self.limits.fuel)
        store.set_epoch_deadline(self._beats)
        if size > self._room:
            self._room = max(_FIRST_BUFFER, size)
            self._place = self._buffer(store, self._room) & 0xFFFFFFFF
            if self._place + self._room > memory.data_len(store):
                raise ChassisError("memory", f"the module has no room for {size:,} bytes")
        memory.write(store, data, self._place)
        packed = self._process(store, size) & 0xFFFFFFFFFFFFFFFF
        start, length = packed >> 32, packed & 0xFFFFFFFF
        if length > self.limits.output_bytes:
            raise ChassisError(
                "output", f"the answer has {length:,} bytes, {self.limits.output_bytes:,} are allowed"
            )
        if start + length > memory.data_len(store):
            raise ChassisError("output", "the answer lies outside of the module's memory")
        return bytes(memory.read(store, start, start + length))

    def _start(self) -> None:
        if self._ticking is None:
            self._ticking = Ticking(self._engine)
        store = self._wasm.Store(self._engine)
        store.set_limits(
            memory_size=self.limits.memory_bytes, memories=4, instances=1, tables=8, table_elements=100_000
        )
        store.set_fuel(self.limits.fuel)
        store.set_epoch_deadline(self._beats)
        try:
            made = instantiate(self._wasm, self._engine, store, self._module, self._grants)
            exports = made.exports(store)
            if (begin := exports.get("_initialize")) is not None:
                begin(store)  # how a WASI library wants to be started
        except self._wasm.Trap as error:
            raise self._failure(error) from error
        except self._wasm.WasmtimeError as error:
            raise ChassisError("memory", f"the module can't start: {_first_line(error)}") from error
        self._store, self._memory = store, exports["memory"]
        self._buffer, self._process = exports["buffer"], exports["process"]

    def _drop(self) -> None:
        self._store = self._memory = self._buffer = self._process = None
        self._room, self._place = -1, 0

    def _made_engine(self) -> Any:
        config = self._wasm.Config()
        config.consume_fuel = True
        config.epoch_interruption = True
        # The same input gives the same bytes on every machine.
        config.cranelift_nan_canonicalization = True
        config.wasm_relaxed_simd_deterministic = True
        config.wasm_threads = False
        config.wasm_memory64 = False
        return self._wasm.Engine(config)

    def _check(self) -> None:
        check_imports(self._module.imports, self._grants)
        exports = {one.name: one.type for one in self._module.exports}
        if not isinstance(exports.get("memory"), self._wasm.MemoryType):
            raise ModuleError('the module exports no memory "memory"')
        if exports["memory"].limits.min * PAGE > self.limits.memory_bytes:
            raise ModuleError(
                f"the module starts with {exports['memory'].limits.min * PAGE:,} bytes of memory, "
                f"{self.limits.memory_bytes:,} are allowed"
            )
        for name, (taken, given) in _WANTED.items():
            kind = exports.get(name)
            if not isinstance(kind, self._wasm.FuncType) or (
                [str(one) for one in kind.params], [str(one) for one in kind.results]
            ) != ([taken], [given]):  # fmt: skip
                raise ModuleError(f"the module exports no function {name}({taken}) -> {given}")

    def _failure(self, error: Any) -> ChassisError:
        codes = self._wasm.TrapCode
        reasons = {
            codes.OUT_OF_FUEL: ("fuel", f"the module used up its fuel of {self.limits.fuel:,}"),
            codes.INTERRUPT: ("time", f"the module took longer than {self.limits.seconds:g} s"),
            codes.MEMORY_OUT_OF_BOUNDS: ("memory", "the module read or wrote outside of its memory"),
            codes.STACK_OVERFLOW: ("memory", "the module's stack is full"),
        }
        code = getattr(error, "trap_code", None)
        named = str(getattr(code, "name", "unknown")).lower().replace("_", " ")
        reason, what = reasons.get(code, ("trap", f"the module gave up: {named}"))
        return ChassisError(reason, what)


def _wasmtime() -> Any:
    try:
        # A large native library; pipelines without WebAssembly need not have it.
        return import_module("wasmtime")
    except ModuleNotFoundError as error:
        raise UsageError(
            "WebAssembly needs the library wasmtime", fix='pip install "elspeth[wasm]"'
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]
