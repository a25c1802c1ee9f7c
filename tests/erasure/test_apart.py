"""What servers could compare: two shares of one pack have no index, size or bytes in common, whatever the pack is."""

import itertools
import os

import pytest

from commonhold.erasure.choosing import quickest
from commonhold.erasure.layout import SEGMENT, Layout
from commonhold.erasure.share import Share
from commonhold.erasure.spreading import Spreading, require_apart
from commonhold.erasure.values import PackSeed, Place, Salt, Shape
from tests.erasure.packs import SEED, place, places, server, some, spread

WINDOW = 16


def windows(data: bytes | bytearray) -> set[bytes]:
    raw = bytes(data)
    return {raw[at : at + WINDOW] for at in range(len(raw) - WINDOW + 1)}


@pytest.mark.parametrize(
    "pack", [some(20_000), bytes(20_000), b"\0", b"ab" * 5000], ids=["random", "zeros", "one", "text"]
)
@pytest.mark.parametrize("shape", [Shape(3, 5), Shape(1, 5)], ids=str)
def test_no_two_servers_have_sixteen_bytes_in_common(pack: bytes, shape: Shape) -> None:
    shares = spread(quickest(), shape, pack)
    shares += spread(quickest(), shape, pack, first=5)  # the same numbers, at other servers
    shares += spread(quickest(), shape, pack, turn=1)[:1]  # the same number at the same server, written again
    seen: set[bytes] = set()
    total = 0
    for share in shares:
        found = windows(share)
        assert len(found) == len(share) - WINDOW + 1, "a share has something in common with itself"
        seen |= found
        total += len(found)
    assert len(seen) == total


def test_no_two_servers_or_packs_have_an_index_in_common() -> None:
    seeds = [PackSeed(bytes([number]) * 32) for number in range(20)]
    indexes = {seed.index(server(number)) for seed in seeds for number in range(100)}
    assert len(indexes) == 2000 and {len(index) for index in indexes} == {32}
    keys = {seed.key(place(number)) for seed in seeds for number in range(100)}
    assert not indexes & keys


@pytest.mark.parametrize("size", [1, 4096, SEGMENT, 32 << 20])
def test_servers_see_sizes_that_differ_and_the_reader_knows_each(size: int) -> None:
    layout = Layout(Shape(3, 10), size)
    sizes = [layout.share(SEED, server(number)) for number in range(10)]
    assert len(set(sizes)) == 10
    assert all(layout.body + 16 <= one <= layout.body + 16 + max(4096, layout.body // 32) for one in sizes)
    many = [layout.padding(SEED, server(number)) for number in range(1000)]
    assert min(many) < max(4096, layout.body // 32) / 50 and max(many) > max(4096, layout.body // 32) * 49 / 50


def test_the_length_of_a_share_is_known_before_it_is_read() -> None:
    shares = spread(quickest(), Shape(3, 5), some(70_000))
    layout = Layout(Shape(3, 5), 70_000)
    assert [len(share) for share in shares] == [layout.share(SEED, server(number)) for number in range(5)]
    assert [Share(SEED, server(n), bytes(one[:48])).length for n, one in enumerate(shares)] == [*map(len, shares)]


def test_a_share_looks_random_from_its_first_byte() -> None:
    """With other salts, no byte of a share stays: not of the header either, which is the same each time."""
    written = [spread(quickest(), Shape(1, 1), bytes(100), turn=turn)[0] for turn in range(40)]
    assert {len(share) for share in written} == {len(written[0])}
    assert all(len({share[at] for share in written}) > 20 for at in range(len(written[0])))


def test_two_shares_are_never_made_for_one_server_or_of_one_salt() -> None:
    salt = Salt(os.urandom(16))
    for pair in ([place(1), place(1, 1)], [Place(server(1), salt), Place(server(2), salt)]):
        with pytest.raises(ValueError, match="two shares"):
            Spreading(quickest(), SEED, Shape(1, 2), [memoryview(b"x")], pair)
    require_apart(places(20))


def test_nothing_is_sealed_twice_under_one_number() -> None:
    """Of one key, every part has another nonce: two parts of the same text have nothing in common."""
    share = spread(quickest(), Shape(1, 1), bytes(3 * SEGMENT))[0]
    layout = Layout(Shape(1, 1), 3 * SEGMENT)
    parts = [bytes(share[slice(*layout.part(index))]) for index in range(3)]
    for a, b in itertools.combinations(parts, 2):
        assert sum(x == y for x, y in zip(a[:10_000], b[:10_000], strict=True)) < 100
