"""ELSPETH: auditable Sense/Decide/Act pipelines.

``from elspeth import run, validate, explain`` is all that a notebook needs. The names are loaded
when they are first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from elspeth.contracts.errors import ElspethError
from elspeth.contracts.version import __version__

if TYPE_CHECKING:
    from elspeth.api.explain import explain
    from elspeth.api.prove import prove
    from elspeth.api.resume import resume
    from elspeth.api.run import run
    from elspeth.api.validate import validate
    from elspeth.api.verify import verify

__all__ = ["ElspethError", "__version__", "explain", "prove", "resume", "run", "validate", "verify"]

_LAZY = {name: f"elspeth.api.{name}" for name in ("explain", "prove", "resume", "run", "validate", "verify")}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'elspeth' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
