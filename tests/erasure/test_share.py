"""A share that was changed, moved, cut, or is another's does not open; nor one with a header that nobody writes."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold.crypto.aead import TAG, NumberedKey
from commonhold.erasure.choosing import quickest
from commonhold.erasure.gathering import Gathering
from commonhold.erasure.layout import HEAD, HEADER, MIN_SEGMENT, SEGMENT, Layout, unpack_header
from commonhold.erasure.share import NewShare, Share, verify
from commonhold.erasure.spreading import Spreading
from commonhold.erasure.values import PackSeed, Place, Salt, Shape
from commonhold.formats.malformed import Malformed, Unsupported
from commonhold.formats.pack import MAX_PACK
from commonhold.formats.pin import SpkiPin
from tests.erasure.packs import SEED, buffer, gathered, opened, part, place, places, server, some, spread
from tests.examples import examples

SHAPE = Shape(3, 5)
PACK = some(SEGMENT * 2 + 1000)
SHARES = spread(quickest(), SHAPE, PACK)
OPENED = opened(SHARES)
HEADER_BYTES = struct.Struct("<BBBBIQ")


def header(
    version: int = 1, k: int = 3, n: int = 5, number: int = 2, segment: int = SEGMENT, length: int = 100
) -> bytes:
    return HEADER_BYTES.pack(version, k, n, number, segment, length)


def head(said: bytes, at: Place | None = None) -> bytes:
    """What a share begins with if somebody who has the seed wrote this header."""
    at = at or place(0)
    return at.salt + NumberedKey(SEED.key(at)).seal(0, said)


def test_a_header_is_read_as_it_was_written() -> None:
    assert len(header()) == HEADER
    share = Share(SEED, server(0), head(header()))
    assert (share.number, share.layout) == (2, Layout(SHAPE, 100))
    for most in (header(k=255, n=255, number=254, length=MAX_PACK), header(k=1, n=1, number=0, length=1)):
        Share(SEED, server(0), head(most))
    assert Share(SEED, server(0), head(header(segment=MIN_SEGMENT, length=MAX_PACK))).layout.segments == 16384


@pytest.mark.parametrize(
    "said",
    [
        header(k=0),
        header(n=0),
        header(k=6),
        header(number=5),
        header(number=255),
        header(segment=0),
        header(segment=MIN_SEGMENT - 1),
        header(segment=SEGMENT + 1),
        header(segment=0xFFFFFFFF),
        header(length=0),
        header(length=MAX_PACK + 1),
        header(length=(1 << 64) - 1),
        header()[:-1],
        header() + b"\0",
        b"",
    ],
)
def test_a_header_that_nobody_would_write_is_refused(said: bytes) -> None:
    with pytest.raises(Malformed):
        unpack_header(said)
    with pytest.raises(Malformed):
        Share(SEED, server(0), head(said))


@pytest.mark.parametrize("version", [0, 2, 255])
def test_another_version_is_not_supported(version: int) -> None:
    with pytest.raises(Unsupported):
        Share(SEED, server(0), head(header(version=version)))


@given(st.binary(min_size=HEADER, max_size=HEADER))
@settings(max_examples=examples(300))
def test_any_header_gives_a_layout_or_is_refused(said: bytes) -> None:
    try:
        layout, number = unpack_header(said)
    except Malformed:
        return
    assert 0 <= number < layout.shape.n and layout.body <= layout.length + layout.segments * (255 + TAG) + HEAD + 255


@pytest.mark.parametrize("cut", [0, 15, 16, 47, 49, 100])
def test_a_share_begins_with_48_bytes(cut: int) -> None:
    with pytest.raises(Malformed):
        Share(SEED, server(0), bytes(SHARES[0][:cut]))


@pytest.mark.parametrize("bit", [0, 8 * 15 + 7, 8 * 16, 8 * 31, 8 * 32, 8 * 47 + 7])
def test_a_changed_bit_at_the_beginning_is_refused(bit: int) -> None:
    changed = bytearray(SHARES[0][:HEAD])
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Malformed):
        Share(SEED, server(0), bytes(changed))


def test_another_servers_share_or_another_packs_does_not_begin() -> None:
    with pytest.raises(Malformed):
        Share(SEED, server(1), bytes(SHARES[0][:HEAD]))
    with pytest.raises(Malformed):
        Share(PackSeed(bytes(32)), server(0), bytes(SHARES[0][:HEAD]))


def refuses(share: Share, index: int, sealed: memoryview) -> bool:
    into = memoryview(bytearray(share.layout.piece(index)))
    try:
        share.open(index, sealed, into)
    except Malformed:
        return True
    return False


def test_a_sealed_piece_opens_where_it_belongs_and_nowhere_else() -> None:
    share, data = OPENED[0], SHARES[0]
    assert not refuses(share, 0, part(share, data, 0)) and not refuses(share, 1, part(share, data, 1))
    assert refuses(share, 0, part(share, data, 1)) and refuses(share, 1, part(share, data, 0)), "moved"
    assert refuses(share, 0, part(OPENED[1], SHARES[1], 0)), "of another share"
    for other in (spread(quickest(), SHAPE, PACK, turn=1)[0], spread(quickest(), SHAPE, some(len(PACK), 1), turn=2)[0]):
        assert refuses(share, 0, part(share, other, 0)), "of another writing"
    there = spread(quickest(), SHAPE, PACK, first=1)
    assert refuses(share, 0, part(share, there[0], 0)), "of the same number at another server"


@pytest.mark.parametrize("at", [0, 1, 349525, 349526, 349526 + 15])
def test_a_changed_bit_of_a_piece_is_refused(at: int) -> None:
    sealed = part(OPENED[4], SHARES[4], 0)
    sealed[at] ^= 4
    assert refuses(OPENED[4], 0, sealed)
    with pytest.raises(Malformed):
        gathered(0, [(OPENED[4], SHARES[4][:HEAD] + sealed)])


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 349541, 349543])
def test_a_piece_of_another_length_is_refused(length: int) -> None:
    layout = OPENED[0].layout
    for number in (0, 4):
        gathering = Gathering(layout, 0, buffer(layout, 0))
        with pytest.raises(Malformed):
            gathering.add(OPENED[number], memoryview(bytearray(length)))
        assert not gathering.enough


def test_a_bad_piece_costs_that_piece_only() -> None:
    layout = OPENED[0].layout
    into = buffer(layout, 1)
    gathering = Gathering(layout, 1, into)
    for number in (0, 1, 4):
        bad = part(OPENED[number], SHARES[number], 1)
        bad[-1] ^= 1
        with pytest.raises(Malformed):
            gathering.add(OPENED[number], bad)
    for number in (2, 3, 4):
        gathering.add(OPENED[number], part(OPENED[number], SHARES[number], 1))
    gathering.restore(quickest())
    assert into == PACK[SEGMENT : 2 * SEGMENT]


def test_a_bad_piece_of_a_number_that_came_already_does_no_harm() -> None:
    layout = OPENED[0].layout
    into = buffer(layout, 1)
    gathering = Gathering(layout, 1, into)
    again = spread(quickest(), SHAPE, PACK, first=7)
    for share, data in ((OPENED[0], SHARES[0]), (OPENED[4], SHARES[4])):
        gathering.add(share, part(share, data, 1))
    for number in (0, 4):
        other = opened(again, first=7)[number]
        bad = part(other, again[number], 1)
        bad[0] ^= 1
        assert not gathering.add(other, bad)
    gathering.add(OPENED[2], part(OPENED[2], SHARES[2], 1))
    gathering.restore(quickest())
    assert into == PACK[SEGMENT : 2 * SEGMENT]


def test_shares_of_two_packs_are_not_mixed() -> None:
    other = opened(spread(quickest(), SHAPE, PACK[:-1], first=5), first=5)
    more = opened(spread(quickest(), Shape(3, 6), PACK, first=5), first=5)
    gathering = Gathering(OPENED[0].layout, 0, buffer(OPENED[0].layout, 0))
    for share in (other[1], more[1]):
        with pytest.raises(Malformed, match="of another pack"):
            gathering.add(share, memoryview(bytearray(share.layout.piece(0) + TAG)))


def test_a_whole_share_is_verified_by_the_seed_alone_and_left_as_it_is() -> None:
    before = bytes(SHARES[3])
    assert verify(SEED, server(3), memoryview(before)).number == 3
    assert verify(SEED, server(3), memoryview(SHARES[3])).length == len(SHARES[3]) and before == SHARES[3]


@pytest.mark.parametrize("where", [0, 20, HEAD, SEGMENT // 3, SEGMENT // 3 + 30, -1, -17, -40])
def test_a_share_with_a_changed_bit_is_not_verified(where: int) -> None:
    changed = bytearray(SHARES[3])
    changed[where] ^= 128
    with pytest.raises(Malformed):
        verify(SEED, server(3), memoryview(changed))


@pytest.mark.parametrize("cut", [0, 10, HEAD, 1000, -1, -16, -17])
def test_a_truncated_or_a_longer_share_is_not_verified(cut: int) -> None:
    with pytest.raises(Malformed):
        verify(SEED, server(3), memoryview(SHARES[3])[:cut])
    with pytest.raises(Malformed):
        verify(SEED, server(3), memoryview(SHARES[3] + bytes(1 + abs(cut))))


def test_a_share_that_does_not_end_with_zeros_is_not_verified() -> None:
    share = OPENED[3]
    key = NumberedKey(SEED.key(Place(server(3), Salt(bytes(SHARES[3][:16])))))
    zeros = len(SHARES[3]) - share.layout.body - TAG
    ended = SHARES[3][: share.layout.body] + key.seal(1 + share.layout.segments, bytes(zeros - 1) + b"\1")
    with pytest.raises(Malformed, match="does not end as it was written"):
        verify(SEED, server(3), memoryview(ended))


def test_values_of_another_length_are_refused() -> None:
    for raw in (b"", bytes(31), bytes(33)):
        with pytest.raises(Malformed):
            PackSeed(raw)
        with pytest.raises(Malformed):
            SEED.index(SpkiPin(raw))
        with pytest.raises(Malformed):
            Place(SpkiPin(raw), Salt(bytes(16)))
        with pytest.raises(Malformed):
            Place(server(0), Salt(raw))
    assert SEED.raw.hex() not in repr(SEED) and repr(SEED.raw) not in repr(SEED)


@pytest.mark.parametrize(("k", "n"), [(0, 0), (0, 3), (4, 3), (1, 256), (256, 256), (-1, 3)])
def test_shapes_are_within_limits(k: int, n: int) -> None:
    with pytest.raises(Malformed):
        Shape(k, n)


def test_a_writer_is_held_to_what_it_says() -> None:
    pack = [memoryview(PACK)]
    with pytest.raises(Malformed, match="0 bytes"):
        Spreading(quickest(), SEED, SHAPE, [], places(5))
    with pytest.raises(Malformed):
        Spreading(quickest(), SEED, SHAPE, [memoryview(bytes(MAX_PACK)), memoryview(b"1")], places(5))
    with pytest.raises(ValueError, match="4 places"):
        Spreading(quickest(), SEED, SHAPE, pack, places(4))
    spreading = Spreading(quickest(), SEED, SHAPE, pack, places(5))
    size = spreading.layout.piece(0) + TAG
    for sizes in ([size] * 4, [size] * 4 + [size + 1], [size - 1] + [size] * 4):
        with pytest.raises(ValueError, match="rooms"):
            spreading.fill(0, [memoryview(bytearray(one)) for one in sizes])
    with pytest.raises(ValueError, match="segment 3 of 3"):
        spreading.fill(3, [memoryview(bytearray(size))] * 5)
    with pytest.raises(ValueError, match="share 5 of 5"):
        NewShare(SEED, spreading.layout, 5, place(5))
    with pytest.raises(ValueError, match="a room of"):
        spreading.shares[0].seal(0, memoryview(bytearray(size - 1)))
