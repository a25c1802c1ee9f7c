"""What every block store must do. A test module makes the `store` fixture and imports these."""

import contextlib
import os

import pytest

from commonhold.api import MAX_BLOCK, BlockStore
from commonhold.errors import HoldError, Kind
from commonhold.formats import cid as cids
from commonhold.formats import multihash
from commonhold.formats.multihash import Multihash


def key_of(data: bytes) -> Multihash:
    return multihash.sha2_256(data)


def keep(store: BlockStore, name: str, *blocks: bytes) -> None:
    with contextlib.closing(store.session()) as session:
        for data in blocks:
            session.put(key_of(data), data)
        session.commit(name, cids.make_v1(cids.RAW, key_of(blocks[0])))


def kind_of(error: pytest.ExceptionInfo[HoldError]) -> Kind:
    return error.value.kind


def test_what_is_put_comes_back(store: BlockStore) -> None:
    blocks = [b"", b"a", b"b" * 4096, b"c" * (1 << 20), b"d" * MAX_BLOCK]
    keep(store, "all", *blocks)
    for data in blocks:
        assert store.get(key_of(data)) == data and store.size(key_of(data)) == len(data)
        into = memoryview(bytearray(MAX_BLOCK))
        assert store.read_into(key_of(data), into) == len(data) and into[: len(data)] == data


def test_a_block_that_was_never_put_does_not_exist(store: BlockStore) -> None:
    with pytest.raises(HoldError) as caught:
        store.get(key_of(b"nobody"))
    assert kind_of(caught) is Kind.NOT_FOUND
    assert not store.has(key_of(b"nobody"))


def test_a_block_over_the_limit_is_refused(store: BlockStore) -> None:
    session = store.session()
    with pytest.raises(HoldError) as caught:
        session.put(key_of(b"x"), bytes(MAX_BLOCK + 1))
    session.close()
    assert kind_of(caught) is Kind.TOO_LARGE


def test_a_block_is_new_once(store: BlockStore) -> None:
    session = store.session()
    assert session.put(key_of(b"once"), b"once")
    assert not session.put(key_of(b"once"), b"once")
    session.commit("a", cids.make_v1(cids.RAW, key_of(b"once")))
    assert store.usage().blocks == 1


def test_a_pin_lists_what_it_keeps(store: BlockStore) -> None:
    keep(store, "a", b"1", b"2")
    assert sorted(store.pin_keys("a")) == sorted([key_of(b"1"), key_of(b"2")])
    pin = store.pin("a")
    assert pin is not None and (pin.blocks, pin.bytes) == (2, 2)


def test_a_name_is_taken_over_by_the_next_commit(store: BlockStore) -> None:
    keep(store, "a", b"1")
    keep(store, "a", b"2")
    assert list(store.pin_keys("a")) == [key_of(b"2")]
    store.delete(key_of(b"1"))
    assert not store.has(key_of(b"1"))


def test_a_kept_block_cannot_be_deleted(store: BlockStore) -> None:
    keep(store, "mine", b"kept")
    with pytest.raises(HoldError) as caught:
        store.delete(key_of(b"kept"))
    assert kind_of(caught) is Kind.BUSY and "mine" in str(caught.value)


def test_a_block_of_two_pins_outlives_one(store: BlockStore) -> None:
    keep(store, "a", b"shared", b"1")
    keep(store, "b", b"shared", b"2")
    store.unpin("a")
    with pytest.raises(HoldError):
        store.delete(key_of(b"shared"))
    store.unpin("b")
    store.delete(key_of(b"shared"))


def test_a_block_found_by_an_open_session_cannot_be_deleted(store: BlockStore) -> None:
    keep(store, "a", b"found")
    session = store.session()
    assert session.keep(key_of(b"found"))
    store.unpin("a")
    with pytest.raises(HoldError):
        store.delete(key_of(b"found"))
    session.commit("b", cids.make_v1(cids.RAW, key_of(b"found")))
    assert store.get(key_of(b"found")) == b"found"


def test_a_session_that_is_closed_keeps_nothing(store: BlockStore) -> None:
    session = store.session()
    session.put(key_of(b"loose"), b"loose")
    session.close()
    store.delete(key_of(b"loose"))


def test_a_renamed_pin_has_the_new_name_only(store: BlockStore) -> None:
    keep(store, "old", b"1")
    keep(store, "taken", b"2")
    store.rename_pin("old", "new")
    assert [pin.name for pin in store.pins()] == ["new", "taken"]
    for old, new, why in (("old", "x", Kind.NOT_FOUND), ("new", "taken", Kind.EXISTS), ("new", "", Kind.USAGE)):
        with pytest.raises(HoldError) as caught:
            store.rename_pin(old, new)
        assert kind_of(caught) is why


def test_slots_that_turn_out_known_leave_nothing_behind(store: BlockStore) -> None:
    big = [bytes([n]) * 100_000 for n in range(6)]
    keep(store, "a", big[1], big[4])
    session = store.session()
    slots = []
    for data in big:
        slot = session.reserve(len(data), wait=True)
        assert slot is not None
        slot.into[:] = data
        slots.append(slot)
    new = [session.settle(slot, key_of(data)) for slot, data in zip(slots, big, strict=True)]
    session.commit("b", cids.make_v1(cids.RAW, key_of(big[0])))
    assert all(new[at] for at in (0, 2, 3, 5))  # of the others a store that is far away cannot tell yet
    for data in big:
        assert store.get(key_of(data)) == data


def test_usage_counts_blocks_bytes_and_pins(store: BlockStore) -> None:
    keep(store, "a", b"12345", b"678")
    usage = store.usage()
    assert (usage.blocks, usage.bytes, usage.pins) == (2, 8, 1)
    store.unpin("a")
    store.delete(key_of(b"678"))
    assert store.usage().bytes == 5


def test_slots_may_be_settled_in_any_order(store: BlockStore) -> None:
    there, *new = (os.urandom(100_000) for _ in range(7))
    keep(store, "there", there)
    session = store.session()
    blocks = [new[0], there, *new[1:]]
    slots = []
    for data in blocks:
        slot = session.reserve(len(data), wait=True)
        assert slot is not None
        slot.into[:] = data
        slots.append(slot)
    for at in (5, 3, 1, 6, 0, 4, 2):
        session.settle(slots[at], key_of(blocks[at]))
    session.commit("all", cids.make_v1(cids.RAW, key_of(blocks[0])))
    session.close()
    assert [store.get(key_of(data)) for data in blocks] == blocks
