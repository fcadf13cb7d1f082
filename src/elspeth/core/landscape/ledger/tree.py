"""The Merkle tree of RFC 9162 (and RFC 6962), grown leaf by leaf or thousands at a time.

What must be kept to go on growing is the *frontier*: the roots of the perfect subtrees that the
tree consists of, at most one per level. The roots of all finished subtrees of `BLOCK` leaves are
kept too (by the caller): with them the path from a leaf to the root needs no more than one block's
leaves, however large the tree is.
"""

from collections.abc import Callable, Sequence
from hashlib import sha256

BLOCK_LEVEL = 8
BLOCK = 1 << BLOCK_LEVEL
HASH = 32

EMPTY_ROOT = sha256(b"").digest()


def join(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


class Tree:
    """A growing tree: its size, and its frontier by level."""

    __slots__ = ("levels", "size")

    def __init__(self, size: int = 0, frontier: bytes = b"") -> None:
        """Go on from a stored frontier. Raises ValueError if it does not belong to that size."""
        if size < 0 or len(frontier) != HASH * size.bit_count():
            raise ValueError(f"a tree of {size} leaves has no frontier of {len(frontier)} bytes")
        self.size = size
        self.levels: list[bytes | None] = [None] * size.bit_length()
        place = 0
        for level in range(size.bit_length()):
            if size >> level & 1:
                self.levels[level] = frontier[place : place + HASH]
                place += HASH

    def copy(self) -> "Tree":
        return Tree(self.size, self.frontier())

    def frontier(self) -> bytes:
        """The roots of the perfect subtrees, smallest first."""
        return b"".join(node for node in self.levels if node is not None)

    def append(self, leaves: Sequence[bytes]) -> list[bytes]:
        """Add leaves; returns the roots of the blocks that they complete."""
        self.size += len(leaves)
        coming, blocks, level = list(leaves), [], 0
        hashed = sha256
        while coming:
            if level == BLOCK_LEVEL:
                blocks = list(coming)
            if level == len(self.levels):
                self.levels.append(None)
            waiting = self.levels[level]
            if waiting is not None:
                coming.insert(0, waiting)
            self.levels[level] = coming.pop() if len(coming) % 2 else None
            pairs = iter(coming)
            coming = [
                hashed(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs, strict=True)
            ]
            level += 1
        return blocks

    def root(self) -> bytes:
        """The root hash at the present size."""
        found: bytes | None = None
        for node in self.levels:
            if node is not None:
                found = node if found is None else join(node, found)
        return EMPTY_ROOT if found is None else found


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The root hash over these leaves."""
    tree = Tree()
    tree.append(leaves)
    return tree.root()


def inclusion_path(index: int, size: int, node: Callable[[int, int], bytes]) -> list[bytes]:
    """The hashes that lead from leaf ``index`` to the root of a tree of ``size`` leaves, bottom up.

    ``node(level, number)`` gives the root of a perfect subtree. Raises ValueError for a leaf that
    is not in the tree.
    """
    if not 0 <= index < size:
        raise ValueError(f"there is no leaf {index} in a tree of {size}")
    path = []
    first, last = 0, size
    while last - first > 1:
        middle = first + (1 << ((last - first - 1).bit_length() - 1))
        if index < middle:
            path.append(_range(middle, last, node))
            last = middle
        else:
            path.append(_range(first, middle, node))
            first = middle
    return path[::-1]


def _range(first: int, last: int, node: Callable[[int, int], bytes]) -> bytes:
    count = last - first
    if count & (count - 1) == 0:
        level = count.bit_length() - 1
        return node(level, first >> level)
    middle = first + (1 << ((count - 1).bit_length() - 1))
    return join(_range(first, middle, node), _range(middle, last, node))


def root_from_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root that a leaf and its path lead to, None if the path is not one of that place.

    The algorithm of RFC 9162, section 2.1.3.2.
    """
    if not 0 <= index < size:
        return None
    place, last, found = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return None
        if place & 1 or place == last:
            found = join(sibling, found)
            if not place & 1:
                while place and not place & 1:
                    place >>= 1
                    last >>= 1
        else:
            found = join(found, sibling)
        place >>= 1
        last >>= 1
    return found if last == 0 else None
