"""What rows look like: the words in which plugins and pipeline files promise and require fields."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum


class FieldType(StrEnum):
    """The types a field may be declared with."""

    STR = "str"
    INT = "int"
    FLOAT = "float"
    BOOL = "bool"
    DECIMAL = "decimal"
    DATE = "date"
    DATETIME = "datetime"
    ANY = "any"


class SchemaMode(StrEnum):
    """``fixed``: these fields and no others; ``flexible``: these and maybe more; ``observed``: what comes."""

    FIXED = "fixed"
    FLEXIBLE = "flexible"
    OBSERVED = "observed"


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One declared field. ``required`` is False for ``name: type?`` (may be missing, empty or null)."""

    name: str
    type: FieldType = FieldType.ANY
    required: bool = True

    def __str__(self) -> str:
        return f"{self.name}: {self.type}{'' if self.required else '?'}"


@dataclass(frozen=True, slots=True)
class PluginSchema:
    """What is known of the rows at one end of a node.

    At an output, ``fields`` and ``guaranteed`` are promises; at an input, ``fields`` that are
    required and ``required`` are demands. With mode ``observed`` other fields may be there too,
    and nothing is promised but ``guaranteed``.
    """

    mode: SchemaMode = SchemaMode.OBSERVED
    fields: tuple[FieldSpec, ...] = ()
    guaranteed: frozenset[str] = field(default_factory=frozenset)
    required: frozenset[str] = field(default_factory=frozenset)

    @property
    def promises(self) -> frozenset[str]:
        """The names of the fields that every row is sure to have."""
        return self.guaranteed | {spec.name for spec in self.fields if spec.required}

    @property
    def demands(self) -> frozenset[str]:
        """The names of the fields that every row must have."""
        return self.required | {spec.name for spec in self.fields if spec.required}

    @classmethod
    def demanding(cls, names: Iterable[str]) -> "PluginSchema":
        """An input that needs these fields and does not mind others."""
        return cls(required=frozenset(names))


OBSERVED = PluginSchema()
"""Nothing is known, nothing is demanded."""
