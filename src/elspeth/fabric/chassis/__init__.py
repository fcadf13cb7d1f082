"""What untrusted code may touch: nothing but the bytes that it is given, and only so much of everything.

with Chassis(Path("score.wasm").read_bytes(), Limits(fuel=1_000_000)) as chassis:
    answer = chassis.call(b'{"amount": 12}')
"""

from elspeth.fabric.chassis.grants import Folder, Grants
from elspeth.fabric.chassis.limits import ChassisError, Limits, ModuleError
from elspeth.fabric.chassis.module import Chassis

__all__ = ["Chassis", "ChassisError", "Folder", "Grants", "Limits", "ModuleError"]
