"""Where a unit falls: the same in every process, on every machine, in every release."""

from array import array
from collections.abc import Iterable
from decimal import Decimal
from hashlib import sha256
from typing import NamedTuple

HASH_VERSION = 1
"""On record with every assignment: which formula made it. It changes if the formula ever does."""

FINE = 10_000
CENTI = Decimal("0.01")


class Bucket(NamedTuple):
    """Where a unit falls: ``bucket`` of 100, and of 100 within that."""

    bucket: int
    sub_bucket: int

    @property
    def fine(self) -> int:
        """Of 10,000; compared with weights in hundredths of a percent."""
        return self.bucket * 100 + self.sub_bucket


def unit_hash(experiment_id: str, unit: str) -> bytes:
    """SHA-256 of ``experiment_id:unit``: what assigns a unit."""
    return sha256(f"{experiment_id}:{unit}".encode()).digest()


def fine_of(hashed: bytes) -> int:
    """Where a hash falls among 10,000: its number modulo 100 first, then the next two decimal digits."""
    number = int.from_bytes(hashed) % FINE
    return number % 100 * 100 + number // 100


def bucket_of(experiment_id: str, unit: str) -> Bucket:
    """SHA-256 of ``experiment_id:unit``, modulo 100, and the next two decimal digits."""
    return Bucket(*divmod(fine_of(unit_hash(experiment_id, unit)), 100))


def exposure_bucket(experiment_id: str, unit: str) -> int:
    """Of 10,000. The salt is another one, so that more exposure moves no unit between variants."""
    return fine_of(unit_hash(f"exposure:{experiment_id}", unit))


def unit_key(experiment_id: str, unit: str) -> bytes:
    """8 bytes that stand for a unit where many are counted: the first of the hash that assigns it.

    Among 10^7 units two have the same with probability 3 in 10^6.
    """
    return unit_hash(experiment_id, unit)[:8]


def shares(weights: Iterable[int | float]) -> "array[int]":
    """The place of a weight for each of the 10,000 fine buckets: one for each hundredth of a percent."""
    places = [place for place, weight in enumerate(weights) for _ in range(hundredths(weight))]
    return array("H", places)  # small, because it is looked up at random


def exact_hundredths(value: int | float) -> Decimal:
    """A percentage in hundredths, exactly as it was written (0.1 is 10, not 10.000000000000000555)."""
    return Decimal(repr(value)) / CENTI


def hundredths(value: int | float) -> int:
    """The whole ones of `exact_hundredths`."""
    return int(exact_hundredths(value))
