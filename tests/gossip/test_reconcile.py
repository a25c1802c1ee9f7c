"""Comparisons: two sets become one with few bytes, whatever the sets are."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold.formats import gossip as wire
from commonhold.formats.gossip import FIRST, LAST, MAX_RANGES, Digest, Id, Listing, Part, Ranges, Slot, id_of
from commonhold.gossip.reconcile import Ids, answer, echo
from tests.examples import examples

IDS = st.builds(
    lambda slot, sequence, digest: id_of(Slot(slot), sequence, Digest(bytes([digest]) * 16)),
    st.one_of(st.binary(min_size=16, max_size=16), st.integers(0, 300).map(lambda n: n.to_bytes(16))),
    st.integers(0, 5), st.integers(0, 3),
)  # fmt: skip
SETS = st.lists(IDS, max_size=120).map(lambda ids: list({found.slot: found for found in ids}.values()))


def numbered(*numbers: int) -> list[Id]:
    return [id_of(Slot(number.to_bytes(16)), 1, Digest(bytes(16))) for number in numbers]


def compare(a: Ids, b: Ids) -> tuple[int, int]:
    """Have one begin and both take what they lack; how many messages and bytes that was."""
    sides, turn = [a, b], 1
    queue: list[Ranges | Listing] = [Ranges((a.whole(),))]
    messages = size = 0
    while queue:
        message = queue.pop(0)
        messages, size = messages + 1, size + len(wire.encode(message))
        own, other = sides[turn], sides[1 - turn]
        if isinstance(message, Listing):
            for part in message.parts:
                listed = {found.slot: found for found in part.ids}
                news = [found for found in part.ids if (own.get(found.slot) or b"") < found]
                for found in own.between(part.first, part.last):
                    if listed.get(found.slot, b"") < found:
                        other.put(found)
                for found in news:
                    own.put(found)
        else:
            narrower, parts = answer(own, message.ranges, 0)
            queue += [Ranges(tuple(narrower))] if narrower else []
            queue += [Listing(tuple(parts))] if parts else []
            assert len(narrower) <= MAX_RANGES and len(parts) <= MAX_RANGES
        turn = 1 - turn
        assert messages < 60
    return messages, size


def both(ids: Ids) -> list[Id]:
    return ids.between(FIRST, LAST)


@settings(max_examples=examples(150), deadline=None)
@given(SETS, SETS)
def test_after_a_comparison_both_have_the_greatest_of_each_slot(one: list[Id], two: list[Id]) -> None:
    want: dict[Slot, Id] = {}
    for found in (*one, *two):
        want[found.slot] = max(want.get(found.slot, found), found)
    a, b = Ids(one), Ids(two)
    for _ in range(3):  # in one round a range may be split by one, and listed by the other, before news come
        compare(a, b)
    assert both(a) == both(b) == sorted(want.values())


def test_sets_that_are_the_same_take_one_message_of_a_hundred_bytes() -> None:
    a, b = Ids(numbered(*range(5000))), Ids(numbered(*range(5000)))
    messages, size = compare(a, b)
    assert messages == 1 and size < 120


def test_one_difference_among_many_takes_few_bytes() -> None:
    a, b = Ids(numbered(*range(0, 40_000, 2))), Ids(numbered(*range(0, 40_000, 2), 12_345))
    messages, size = compare(a, b)
    assert both(a) == both(b) and messages <= 6 and size < 6000


@given(SETS, IDS)
def test_ids_are_one_for_each_slot_in_order(ids: list[Id], more: Id) -> None:
    found = Ids(ids)
    found.put(more)
    assert found.get(more.slot) == more
    want = sorted([one for one in ids if one.slot != more.slot] + [more])
    assert both(found) == want and found.whole() == Ids(want).whole()
    found.drop(more.slot)
    assert found.get(more.slot) is None and len(found) == len(want) - 1


@given(SETS, st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16))
def test_a_split_covers_its_range_without_gap_and_each_id_once(ids: list[Id], one: bytes, two: bytes) -> None:
    first, last = sorted((Slot(one), Slot(two)))
    found = Ids(ids)
    parts = found.split(first, last)
    inside = found.between(first, last)
    assert sum(part.size for part in parts) == len(inside)
    if inside:
        assert parts[0].first == first and parts[-1].last == last
        for part, after in pairwise(parts):
            assert int.from_bytes(part.last) + 1 == int.from_bytes(after.first)
        assert [found.range(part.first, part.last) for part in parts] == parts


def test_a_listing_takes_the_place_of_what_was_shown_in_its_range_alone() -> None:
    shown = Ids(numbered(1, 5, 6, 9))
    shown.replace(Part(Slot((5).to_bytes(16)), Slot((8).to_bytes(16)), tuple(numbered(7))))
    assert both(shown) == numbered(1, 7, 9)


def test_a_subscriber_says_nothing_but_digests_and_only_of_what_differs() -> None:
    shown, theirs = Ids(numbered(1, 2, 3)), Ids(numbered(1, 2, 3, 700))
    low, high = Slot(bytes(16)), Slot((99).to_bytes(16))
    said = [theirs.range(low, high), theirs.range(Slot((100).to_bytes(16)), LAST)]
    assert echo(shown, said) == [shown.range(said[1].first, said[1].last)]
    assert echo(shown, []) == []
