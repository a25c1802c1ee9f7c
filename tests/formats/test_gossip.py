"""Messages of gossip: what is written is read, what is not known is passed over, all else is refused."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.formats import dagcbor, gossip
from commonhold.formats.blessing import Purpose
from commonhold.formats.gossip import (
    FIRST,
    LAST,
    MAX_BLESSERS,
    MAX_GRIDS,
    MAX_HOPS,
    MAX_LISTED,
    MAX_MESSAGE,
    MAX_OFFERS,
    MAX_RANGES,
    MAX_RECORDS,
    MAX_SUBSCRIPTIONS,
    Digest,
    Have,
    Hello,
    Id,
    Listing,
    Message,
    Part,
    Range,
    Ranges,
    Records,
    Slot,
    Subscribe,
    Subscription,
    Unknown,
    Want,
    id_of,
)
from commonhold.formats.keys import PublicKey
from commonhold.formats.malformed import Malformed, Unsupported
from commonhold.formats.pin import GridId

SLOT = Slot(bytes(range(16)))
ID = id_of(SLOT, 7, Digest(b"d" * 16))
GRID = GridId(b"g" * 32)
SOUND: list[Message] = [
    Hello(True, (GRID,)),
    Subscribe((Subscription(GRID, Purpose("storage"), frozenset((PublicKey(b"k" * 32), PublicKey(b"l" * 32)))),)),
    Have(((ID, 3),)),
    Want((ID,)),
    Records((b"one", b""), (b"two",)),
    Ranges((Range(FIRST, SLOT, 9, Digest(b"d" * 16)),)),
    Listing((Part(FIRST, LAST, (ID,)),)),
]


def changed(message: Message, **fields: Any) -> bytes:
    return dagcbor.encode(dagcbor.decode(gossip.encode(message)) | fields)


@pytest.mark.parametrize("message", SOUND, ids=lambda message: type(message).__name__)
def test_what_is_written_is_read(message: Message) -> None:
    assert gossip.decode(gossip.encode(message)) == message


@pytest.mark.parametrize("message", SOUND, ids=lambda message: type(message).__name__)
def test_fields_that_are_not_known_are_passed_over(message: Message) -> None:
    assert gossip.decode(changed(message, later={"a": [1, b"2"]})) == message


def test_a_message_of_a_type_that_is_not_known_is_none_that_is_malformed() -> None:
    assert gossip.decode(dagcbor.encode({"v": 1, "type": "later", "x": 1})) == Unknown("later")


@pytest.mark.parametrize("version", [0, 2, True, "1", None])
def test_another_version_is_told_apart(version: Any) -> None:
    with pytest.raises(Unsupported):
        gossip.decode(changed(SOUND[0], v=version))


def test_ids_say_what_they_are_of_and_the_greatest_counts() -> None:
    assert (ID.slot, ID.sequence, ID.digest) == (SLOT, 7, b"d" * 16)
    later, same = id_of(SLOT, 300, Digest(bytes(16))), id_of(SLOT, 7, Digest(b"e" * 16))
    assert ID < same < later


def packed(count: int, size: int) -> bytes:
    return bytes(count * size)


def ranges(*pairs: tuple[int, int]) -> bytes:
    return b"".join(a.to_bytes(16) + b.to_bytes(16) + bytes(20) for a, b in pairs)


def part(a: int, b: int, *slots: int) -> bytes:
    return b"".join((a.to_bytes(16), b.to_bytes(16), *(slot.to_bytes(16) + bytes(24) for slot in slots)))


KEYS = [bytes([n]) * 32 for n in range(40)]
SUBSCRIPTION: dict[str, Any] = {"grid": GRID[:], "purpose": "storage", "blessers": [KEYS[1]]}
BAD: list[tuple[Message, dict[str, Any]]] = [
    (SOUND[0], {"type": 1}),
    (SOUND[0], {"type": ""}),
    (SOUND[0], {"type": "x" * 33}),
    (SOUND[0], {"introducer": 1}),
    (SOUND[0], {"grids": KEYS[: MAX_GRIDS + 1]}),
    (SOUND[0], {"grids": [KEYS[0], KEYS[0]]}),
    (SOUND[0], {"grids": [bytes(31)]}),
    (SOUND[0], {"grids": None}),
    (SOUND[0], {f"field {n}": 0 for n in range(64)}),
    (SOUND[1], {"subscriptions": [SUBSCRIPTION] * (MAX_SUBSCRIPTIONS + 1)}),
    (SOUND[1], {"subscriptions": [SUBSCRIPTION | {"blessers": KEYS[: MAX_BLESSERS + 1]}]}),
    (SOUND[1], {"subscriptions": [SUBSCRIPTION | {"grid": bytes(31)}]}),
    (SOUND[1], {"subscriptions": [SUBSCRIPTION | {"purpose": "No Word"}]}),
    (SOUND[1], {"subscriptions": [SUBSCRIPTION | {"purpose": 1}]}),
    (SOUND[1], {"subscriptions": [SUBSCRIPTION | {f"field {n}": 0 for n in range(64)}]}),
    (SOUND[1], {"subscriptions": [7]}),
    (SOUND[2], {"ids": packed(1, 40)}),
    (SOUND[2], {"ids": packed(MAX_OFFERS + 1, 41)}),
    (SOUND[2], {"ids": bytes(40) + bytes((MAX_HOPS + 1,))}),
    (SOUND[2], {"ids": "text"}),
    (SOUND[3], {"ids": packed(MAX_OFFERS + 1, 40)}),
    (SOUND[3], {"ids": packed(1, 41)}),
    (SOUND[4], {"announcements": [b""] * (MAX_RECORDS + 1)}),
    (SOUND[4], {"revocations": ["text"]}),
    (SOUND[4], {"revocations": None}),
    (SOUND[5], {"ranges": ranges(*((2 * n, 2 * n + 1) for n in range(MAX_RANGES + 1)))}),
    (SOUND[5], {"ranges": ranges((2, 1))}),
    (SOUND[5], {"ranges": ranges((1, 5), (5, 9))}),
    (SOUND[5], {"ranges": ranges((6, 9), (1, 5))}),
    (SOUND[6], {"parts": [part(2 * n, 2 * n + 1) for n in range(MAX_RANGES + 1)]}),
    (SOUND[6], {"parts": [part(0, 99, *range(MAX_LISTED + 1))]}),
    (SOUND[6], {"parts": [part(5, 9, 4)]}),
    (SOUND[6], {"parts": [part(5, 9, 10)]}),
    (SOUND[6], {"parts": [part(5, 9, 7, 6)]}),
    (SOUND[6], {"parts": [part(5, 9, 7, 7)]}),
    (SOUND[6], {"parts": [part(5, 9), part(9, 12)]}),
    (SOUND[6], {"parts": [part(9, 5)]}),
    (SOUND[6], {"parts": [bytes(31)]}),
    (SOUND[6], {"parts": [bytes(33)]}),
    (SOUND[6], {"parts": [1]}),
]


@pytest.mark.parametrize(("message", "fields"), BAD, ids=lambda value: str(value)[:60])
def test_what_is_beyond_a_limit_or_of_another_type_is_refused(message: Message, fields: dict[str, Any]) -> None:
    with pytest.raises(Malformed) as raised:
        gossip.decode(changed(message, **fields))
    assert not isinstance(raised.value, Unsupported)


LARGEST: list[Callable[[], Message]] = [
    lambda: Have(tuple((Id(n.to_bytes(40)), MAX_HOPS) for n in range(MAX_OFFERS))),
    lambda: Want((ID,) * MAX_OFFERS),
    lambda: Records((), (bytes(1 << 20),)),
    lambda: Ranges(tuple(Range(Slot((2 * n).to_bytes(16)), Slot((2 * n + 1).to_bytes(16)), 2**32 - 1, Digest(bytes(16)))
                         for n in range(MAX_RANGES))),
    lambda: Listing(tuple(
        Part(Slot((n << 9).to_bytes(16)), Slot(((n << 9) + 511).to_bytes(16)),
             tuple(id_of(Slot(((n << 9) + k).to_bytes(16)), 0, Digest(bytes(16))) for k in range(MAX_LISTED)))
        for n in range(MAX_RANGES))),
]  # fmt: skip


@pytest.mark.parametrize("make", LARGEST)
def test_all_that_the_limits_allow_fits_into_a_message(make: Callable[[], Message]) -> None:
    message = make()
    assert gossip.decode(gossip.encode(message)) == message


def test_a_message_that_is_too_long_is_neither_written_nor_read() -> None:
    with pytest.raises(Malformed):
        gossip.encode(Records((bytes(MAX_MESSAGE),), ()))
    with pytest.raises(Malformed):
        gossip.decode(changed(SOUND[0], more=bytes(MAX_MESSAGE)))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_malformed(data: bytes) -> None:
    try:
        gossip.decode(data)
    except Malformed:
        return


@given(st.sampled_from(SOUND), st.data())
def test_a_message_with_a_change_is_a_message_or_malformed(message: Message, data: st.DataObject) -> None:
    raw = bytearray(gossip.encode(message))
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        gossip.decode(bytes(raw))
    except Malformed:
        return
