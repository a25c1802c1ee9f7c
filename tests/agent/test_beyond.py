"""Blocks that are not here come from the grid: checked, a few at a time, and only when they are missed."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from commonhold.agent.beyond import GridSource
from commonhold.blockstore import store as stores
from commonhold.blockstore.store import Store
from commonhold.errors import HoldError, Kind
from commonhold.formats import multihash
from commonhold.formats.multihash import Multihash

BLOCKS = {multihash.sha2_256(data): data for data in (b"block %d" % number * 100 for number in range(20))}
KEYS = list(BLOCKS)


class Grid:
    """A kept set of all blocks, that says what it was asked."""

    def __init__(self, blocks: dict[Multihash, bytes]) -> None:
        self.blocks = blocks
        self.asked: list[list[Multihash]] = []
        self.turn = threading.Lock()

    def has(self, key: Multihash) -> bool:
        return key in self.blocks

    def size(self, key: Multihash) -> int:
        return len(self.blocks[key])

    def read(self, keys: Sequence[Multihash]) -> dict[Multihash, memoryview]:
        with self.turn:
            self.asked.append(list(keys))
        return {key: memoryview(self.blocks[key]) for key in keys}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    stores.create(tmp_path / "repo")
    with Store(tmp_path / "repo") as found:
        yield found


def test_what_is_here_is_not_asked_for_elsewhere(store: Store) -> None:
    grid = Grid(BLOCKS)
    session = store.session()
    session.put(KEYS[0], BLOCKS[KEYS[0]])
    session.flush()
    assert GridSource(store, lambda: grid).get(KEYS[0]) == BLOCKS[KEYS[0]] and grid.asked == []
    session.close()


def test_what_is_missing_comes_with_what_is_expected_next_and_is_kept(store: Store) -> None:
    grid = Grid(BLOCKS)
    found = GridSource(store, lambda: grid)
    found.expect(KEYS)
    assert [found.get(key) for key in KEYS] == list(BLOCKS.values()) and len(grid.asked) == 1


def test_a_size_is_told_without_reading(store: Store) -> None:
    grid = Grid(BLOCKS)
    assert GridSource(store, lambda: grid).size(KEYS[3]) == len(BLOCKS[KEYS[3]]) and grid.asked == []


def test_a_block_that_is_another_than_its_name_says_is_refused(store: Store) -> None:
    with pytest.raises(HoldError) as caught:
        GridSource(store, lambda: Grid({**BLOCKS, KEYS[0]: b"another"})).get(KEYS[0])
    assert caught.value.kind is Kind.CORRUPT


def test_what_the_grid_has_not_either_is_missing_as_ever(store: Store) -> None:
    with pytest.raises(HoldError) as caught:
        GridSource(store, lambda: Grid({})).get(KEYS[0])
    assert caught.value.kind is Kind.NOT_FOUND


def test_many_threads_read_the_same(store: Store) -> None:
    grid = Grid(BLOCKS)
    found = GridSource(store, lambda: grid)
    with ThreadPoolExecutor(8) as threads:
        for _ in range(20):
            assert list(threads.map(found.get, KEYS)) == list(BLOCKS.values())
