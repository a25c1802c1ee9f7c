"""Which packs a new set takes over: pure, and what servers have after many rounds."""

import itertools
from pathlib import Path

import pytest

from commonhold.erasure.values import DEFAULT, PackSeed
from commonhold.exchange.book import Book
from commonhold.exchange.ending import end
from commonhold.exchange.keeping import Keeping, Wanted
from commonhold.exchange.reusing import ALL, MOST_SMALL, SMALL, Held, bits, taken_over
from commonhold.formats import inventory, multihash
from commonhold.formats.inventory import Packed
from commonhold.formats.multihash import Multihash
from commonhold.formats.pack import Entry
from tests.exchange.grids import Client, Grid, now
from tests.exchange.test_keeping import SECRET, blocks, nothing_told, on_grid

_numbers = itertools.count()


def entries(count: int, size: int) -> list[Entry]:
    return [Entry(multihash.sha2_256(b"%d" % next(_numbers)), size) for _ in range(count)]


def pack_of(found: list[Entry]) -> Packed:
    return inventory.packed(bytes(32), 3, 5, found)


def test_a_pack_stays_while_half_of_it_is_wanted_by_anybody() -> None:
    have = entries(10, 1 << 20)
    one = pack_of(have)
    keys = [entry.key for entry in have]
    five, four, other = bits(one, keys[:5]), bits(one, keys[:4]), bits(one, keys[4:5])
    assert taken_over([Held(one, five, 0)]) and not taken_over([Held(one, four, 0)])
    assert taken_over([Held(one, four, other)]) and not taken_over([Held(one, four, four)])
    assert taken_over([Held(one, four, ALL)])


def test_it_is_bytes_that_count_not_blocks() -> None:
    large, small = entries(1, 1 << 20), entries(50, 100)
    one = pack_of(large + small)
    assert taken_over([Held(one, bits(one, [large[0].key]), 0)])
    assert not taken_over([Held(one, bits(one, [entry.key for entry in small]), 0)])


def test_many_small_packs_become_few() -> None:
    small = [Held(pack_of(entries(1, 1000)), 1, 0) for _ in range(MOST_SMALL)]
    large = Held(pack_of(entries(SMALL >> 20, 1 << 20)), ALL, 0)
    assert taken_over([*small, large]) == [*small, large]
    assert taken_over([*small, large, small[0]]) == [large]


async def _round(there: Grid, client: Client, book: Book, number: int, have: dict[Multihash, bytes]) -> None:
    """Keep a tree, and end the one before the last."""
    instead = frozenset({f"tree{number - 2}"})
    tree = Wanted(
        f"tree{number}", b"%032d" % number, DEFAULT, [Entry(key, len(one)) for key, one in have.items()], instead
    )
    await Keeping(client, book, there.tools, SECRET, now).keep(tree, have.__getitem__, nothing_told)
    for name in instead & {one.name for one in book.sets()}:
        await end([PackSeed(seed) for seed in book.alone(name)], client, [one.pin for one in there.servers])
        book.end_set(name)


def _used(there: Grid) -> int:
    return sum(path.stat().st_size for one in there.servers for path in one.files)


@pytest.mark.slow
def test_whatever_is_changed_servers_have_at_most_twice_what_two_generations_want(tmp_path: Path) -> None:
    """In each of 30 rounds a fifth of the blocks are others; only about those are sent."""
    have = blocks(1, *[20_000] * 100)

    async def work(there: Grid, client: Client, book: Book) -> None:
        sent = most = 0
        for number in range(30):
            fresh = blocks(100 + number, *[20_000] * 20)
            for key in list(have)[number * 37 % 80 :][: 20 if number else 0]:
                del have[key]
            have.update(fresh if number else {})
            seeds = {one.seed for held in book.sets() for one in book.packs(held.name)}
            await _round(there, client, book, number, have)
            packs = {one.seed: one for held in book.sets() for one in book.packs(held.name)}
            sent += sum(one.length for one in packs.values() if one.seed not in seeds)
            most = max(most, _used(there))
        used, tree = most * 3 / 5, 100 * 20_000
        assert used < 2.2 * (tree + 20 * 20_000 * 2), used
        assert sent < tree + 29 * 20 * 20_000 * 2.2, sent

    on_grid(tmp_path, 5, work)


def test_where_little_of_a_pack_is_wanted_its_space_comes_back(tmp_path: Path) -> None:
    have = blocks(2, *[50_000] * 20)
    few = dict(list(have.items())[:4])

    async def work(there: Grid, client: Client, book: Book) -> None:
        await _round(there, client, book, 0, have)
        whole = _used(there)
        for number in range(1, 3):
            await _round(there, client, book, number, few)
        assert whole > 20 * 50_000 * 5 / 3
        await _round(there, client, book, 3, few)
        assert _used(there) < whole / 3
        packs = {one.seed: one.length for held in book.sets() for one in book.packs(held.name)}
        assert len(packs) == 1 and sum(packs.values()) < 4 * 50_000 + 1000

    on_grid(tmp_path, 5, work)


def test_a_set_that_stays_and_wants_the_rest_keeps_a_pack_in_use(tmp_path: Path) -> None:
    have = blocks(3, *[50_000] * 20)
    few = dict(list(have.items())[:4])

    async def work(there: Grid, client: Client, book: Book) -> None:
        await _round(there, client, book, 0, have)
        before = _used(there)
        other = Wanted("other", b"o" * 32, DEFAULT, [Entry(key, len(one)) for key, one in few.items()])
        await Keeping(client, book, there.tools, SECRET, now).keep(other, few.__getitem__, nothing_told)
        assert _used(there) - before < 100_000 and len(list(book.packs("other"))) == 1

    on_grid(tmp_path, 5, work)
