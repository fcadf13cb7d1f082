"""The tree against another implementation of RFC 9162 (pymerkle), and against the RFC's own definition."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from elspeth.core.landscape.ledger.tree import (
    BLOCK,
    EMPTY_ROOT,
    Tree,
    inclusion_path,
    root_from_path,
    root_of,
)


def leaves_of(count: int) -> list[bytes]:
    return [sha256(b"\x00" + number.to_bytes(4)).digest() for number in range(count)]


def defined_root(leaves: list[bytes]) -> bytes:
    """The definition in RFC 9162, section 2.1.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    middle = 1
    while 2 * middle < len(leaves):
        middle *= 2
    return sha256(b"\x01" + defined_root(leaves[:middle]) + defined_root(leaves[middle:])).digest()


def path_of(index: int, leaves: list[bytes]) -> list[bytes]:
    return inclusion_path(index, len(leaves), lambda level, n: root_of(leaves[n << level : (n + 1) << level]))


def test_roots_are_those_of_another_implementation() -> None:
    oracle, tree = InmemoryTree(algorithm="sha256"), Tree()
    for number, leaf in enumerate(leaves_of(300), start=1):
        oracle.append_entry((number - 1).to_bytes(4))
        tree.append([leaf])
        assert tree.root() == oracle.get_root(number)


def test_paths_are_those_of_another_implementation() -> None:
    oracle = InmemoryTree(algorithm="sha256")
    leaves = leaves_of(77)
    for number in range(77):
        oracle.append_entry(number.to_bytes(4))
    for size in (1, 2, 3, 7, 8, 9, 64, 77):
        for index in range(size):
            path = oracle.prove_inclusion(index + 1, size).serialize()["path"]
            assert [each.hex() for each in path_of(index, leaves[:size])] == path[1:]


def test_the_empty_tree() -> None:
    assert Tree().root() == EMPTY_ROOT == defined_root([])


@given(st.lists(st.integers(0, 700), max_size=5))
def test_leaves_may_come_in_any_portions(portions: list[int]) -> None:
    leaves = leaves_of(sum(portions))
    tree, blocks, start = Tree(), [], 0
    for count in portions:
        blocks += tree.append(leaves[start : start + count])
        start += count
    assert tree.root() == defined_root(leaves)
    assert blocks == [
        defined_root(leaves[place : place + BLOCK]) for place in range(0, len(leaves) // BLOCK * BLOCK, BLOCK)
    ]


@given(st.integers(0, 600), st.integers(0, 600))
def test_a_tree_goes_on_from_its_frontier(before: int, after: int) -> None:
    leaves = leaves_of(before + after)
    tree = Tree()
    tree.append(leaves[:before])
    again = Tree(before, tree.frontier())
    again.append(leaves[before:])
    assert (again.size, again.root()) == (len(leaves), root_of(leaves))


@given(st.integers(1, 520), st.data())
def test_a_path_leads_to_the_root_from_its_own_place_only(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    leaves = leaves_of(size)
    path = path_of(index, leaves)
    root = root_of(leaves)
    assert root_from_path(leaves[index], index, size, path) == root
    other = data.draw(st.integers(0, size - 1).filter(lambda number: number != index or size == 1))
    if size > 1:
        assert root_from_path(leaves[index], other, size, path) != root
        assert root_from_path(leaves[other], index, size, path) != root
        assert root_from_path(leaves[index], index, size, path[:-1]) != root
    assert root_from_path(leaves[index], index, size, [*path, leaves[0]]) != root


@pytest.mark.parametrize("frontier", [b"", bytes(31), bytes(64)])
def test_a_frontier_of_another_size_is_refused(frontier: bytes) -> None:
    with pytest.raises(ValueError, match="a tree of 4 leaves has no frontier"):
        Tree(4, frontier)


@pytest.mark.parametrize("index", [-1, 5])
def test_there_is_no_path_from_a_leaf_that_is_not_there(index: int) -> None:
    with pytest.raises(ValueError, match="there is no leaf"):
        path_of(index, leaves_of(5))
    assert root_from_path(bytes(32), index, 5, []) is None
