"""The vocabularies that plugin authors need, under the name that they look for."""

from elspeth.contracts.enums import Determinism

__all__ = ["Determinism"]
