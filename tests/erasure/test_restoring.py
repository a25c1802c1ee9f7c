"""Any k shares restore a pack; ranges take what they need and no more."""

import itertools
import threading
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold.crypto.aead import TAG
from commonhold.erasure.choosing import quickest
from commonhold.erasure.code import Code
from commonhold.erasure.gathering import Gathering
from commonhold.erasure.layout import SEGMENT, Layout, Span
from commonhold.erasure.portable import Portable
from commonhold.erasure.spreading import Spreading
from commonhold.erasure.values import Piece, Shape
from tests.erasure.packs import SEED, buffer, gathered, opened, part, places, restored, some, spread
from tests.examples import examples

CODE = quickest()


class Counting:
    """A code that notes which pieces were asked of it."""

    name = "counting"

    def __init__(self, code: Code) -> None:
        self._code = code
        self.wanted: list[int] = []

    def compute(self, have: Sequence[Piece], want: Sequence[Piece]) -> None:
        """Pass it on."""
        self.wanted += [piece.number for piece in want]
        self._code.compute(have, want)


@pytest.mark.parametrize("code", [CODE, Portable()], ids=["quickest", "portable"])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 1000, SEGMENT - 1, SEGMENT, SEGMENT + 1, 2 * SEGMENT + 2])
def test_any_three_of_five_restore_a_pack(code: Code, size: int) -> None:
    pack = some(size)
    shares = spread(code, Shape(3, 5), pack)
    all_five = list(zip(opened(shares), shares, strict=True))
    for which in itertools.combinations(all_five, 3):
        assert restored(code, which) == pack


@given(st.data())
@settings(deadline=None, max_examples=examples(60))
def test_any_k_of_n_restore_a_pack(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 12))
    shape = Shape(data.draw(st.integers(1, n)), n)
    size = data.draw(st.sampled_from([1, max(1, shape.k - 1), shape.k, SEGMENT, SEGMENT + 1]) | st.integers(1, 5000))
    pack = some(size)
    shares = spread(CODE, shape, pack)
    order = data.draw(st.permutations(range(n)))
    chosen = [(opened(shares)[number], shares[number]) for number in order[: shape.k]]
    assert restored(CODE, chosen) == pack


def test_a_full_pack_comes_back() -> None:
    pack = some(32 << 20)
    shares = spread(CODE, Shape(3, 5), pack)
    of = opened(shares)
    assert restored(CODE, [(of[number], shares[number]) for number in (4, 1, 3)]) == pack


def test_pieces_that_are_the_segment_itself_are_not_computed() -> None:
    shares = spread(CODE, Shape(3, 6), some(5000))
    of = list(zip(opened(shares), shares, strict=True))
    for which, computed in (((0, 1, 2), []), ((2, 5, 0), [1]), ((3, 4, 5), [0, 1, 2])):
        counting = Counting(CODE)
        gathering, into = gathered(0, [of[number] for number in which])
        gathering.restore(counting)
        assert into == some(5000) and counting.wanted == computed


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7, 3000, 3001, 3002])
def test_a_segment_is_gathered_where_it_belongs_and_nothing_beside_it_is_touched(size: int) -> None:
    """Pieces are of one length, and k of them may be longer than the segment."""
    shares = spread(CODE, Shape(3, 6), some(size))
    of = list(zip(opened(shares), shares, strict=True))
    for which in ((0, 1, 2), (2, 1, 5), (4, 0, 3), (3, 4, 5)):
        around = bytearray(b"\xa5" * (size + 20))
        gathering = Gathering(of[0][0].layout, 0, memoryview(around)[10:-10])
        for share, data in (of[number] for number in which):
            gathering.add(share, part(share, data, 0))
        gathering.restore(CODE)
        assert around == b"\xa5" * 10 + some(size) + b"\xa5" * 10


def test_a_buffer_of_another_length_is_refused() -> None:
    layout = opened(spread(CODE, Shape(2, 4), some(999)))[0].layout
    for length in (0, 998, 1000):
        with pytest.raises(ValueError, match="not 999"):
            Gathering(layout, 0, memoryview(bytearray(length)))


def test_more_pieces_than_needed_or_the_same_twice_change_nothing() -> None:
    shares = spread(CODE, Shape(2, 4), some(999))
    of = opened(shares)
    layout = of[0].layout
    into = buffer(layout, 0)
    gathering = Gathering(layout, 0, into)
    assert not gathering.enough and not gathering.add(of[2], part(of[2], shares[2], 0))
    assert not gathering.add(of[2], part(of[2], shares[2], 0))
    with pytest.raises(ValueError, match="1 pieces, 2 are needed"):
        gathering.restore(CODE)
    assert gathering.add(of[0], part(of[0], shares[0], 0)) and gathering.enough
    assert gathering.add(of[3], memoryview(bytearray(3)))
    gathering.restore(CODE)
    assert into == some(999)


def test_a_range_needs_the_segments_it_touches_and_no_more() -> None:
    layout = Layout(Shape(3, 5), 3 * SEGMENT + 7)
    assert list(layout.covering(0, 1)) == list(layout.covering(0, SEGMENT)) == [0]
    assert list(layout.covering(SEGMENT - 1, SEGMENT + 1)) == [0, 1]
    assert list(layout.covering(SEGMENT, SEGMENT)) == list(layout.covering(layout.length, layout.length)) == []
    assert list(layout.covering(3 * SEGMENT, layout.length)) == [3]
    assert [layout.piece(index) for index in range(4)] == [349526, 349526, 349526, 3]
    for wrong in ((-1, 1), (0, layout.length + 1), (2, 1)):
        with pytest.raises(ValueError, match="bytes"):
            layout.covering(*wrong)
    for index in (-1, 4):
        with pytest.raises(ValueError, match="segment"):
            layout.part(index)


@given(st.integers(1, 64 << 20), st.integers(1, 20), st.integers(4096, SEGMENT))
def test_parts_lie_back_to_back_from_the_head_to_the_zeros(length: int, k: int, segment: int) -> None:
    layout = Layout(Shape(k, 20), length, segment)
    at = 48
    for index in [*range(min(5, layout.segments))]:
        assert layout.part(index) == Span(at, at + layout.piece(index) + TAG)
        at = layout.part(index).stop
    assert layout.body == layout.part(layout.segments - 1).stop
    assert layout.segments * (segment // k + TAG) <= layout.body + segment // k or layout.segments == 1
    assert sum(stop - start for start, stop in map(layout.bounds, range(layout.segments))) == length


def test_many_threads_fill_segments_of_one_pack() -> None:
    pack = some(9 * SEGMENT + 3)
    whole = spread(CODE, Shape(3, 5), pack)
    spreading = Spreading(CODE, SEED, Shape(3, 5), [memoryview(pack)], places(5))
    layout = spreading.layout
    made: dict[int, list[memoryview]] = {}

    def work(first: int) -> None:
        for _ in range(5):
            for index in range(first, layout.segments, 4):
                rooms = [memoryview(bytearray(layout.piece(index) + TAG)) for _ in range(5)]
                spreading.fill(index, rooms)
                made[index] = rooms

    threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == list(range(10))
    for index, rooms in made.items():
        assert rooms == [share[slice(*layout.part(index))] for share in whole]


def test_a_pack_in_many_parts_is_the_pack() -> None:
    pack = some(2 * SEGMENT + 100)
    cuts = [0, 1, 1, 4000, SEGMENT - 1, SEGMENT, SEGMENT + 400_000, 2 * SEGMENT + 99, len(pack)]
    parts = [memoryview(pack)[a:b] for a, b in itertools.pairwise(cuts)]
    spreading = Spreading(CODE, SEED, Shape(3, 5), parts, places(5))
    whole = spread(CODE, Shape(3, 5), pack)
    for index in range(3):
        rooms = [memoryview(bytearray(spreading.layout.piece(index) + TAG)) for _ in range(5)]
        spreading.fill(index, rooms)
        start, stop = spreading.layout.part(index)
        assert [bytes(one) for one in rooms] == [bytes(share[start:stop]) for share in whole]
