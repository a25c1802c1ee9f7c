"""Slots: whose tree a node number is about stays so, whatever becomes of the workers."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.ipc.treewords import Which
from commonhold.mount import slots
from commonhold.mount.slots import FIRST_SLOT, IPFS_SLOT, IPNS_SLOT, MAX_SLOTS, SIZE, Full, Slots

PUBLIC = 990


@pytest.fixture
def memory() -> Iterator[int]:
    fd = slots.create()
    yield fd
    os.close(fd)


def test_the_first_worker_finds_what_is_everybodys_and_nobody_else(memory: int) -> None:
    table = Slots(memory, PUBLIC)
    assert (table.worker, table.minor, table.users) == (1, 0, [])
    assert table.tree(IPFS_SLOT) == (PUBLIC, Which.IPFS) and table.tree(IPNS_SLOT) == (PUBLIC, Which.IPNS)
    assert table.tree(0) is None and table.tree(FIRST_SLOT) is None


@given(st.lists(st.integers(0, (1 << 32) - 1), max_size=20), st.lists(st.integers(0, (1 << 32) - 1), max_size=20))
def test_the_next_worker_finds_what_the_last_one_gave(before: list[int], after: list[int]) -> None:
    memory = slots.create()
    first = Slots(memory, PUBLIC)
    given_ = {uid: first.slot(uid) for uid in before}
    assert len(set(given_.values())) == len(given_) and all(slot >= FIRST_SLOT for slot in given_.values())
    first.minor = 45
    second = Slots(memory, PUBLIC)
    assert (second.worker, second.minor, second.users) == (2, 45, list(given_))
    assert {uid: second.slot(uid) for uid in before} == given_
    for uid in after:
        slot = second.slot(uid)
        assert second.tree(slot) == (uid, Which.VOLUME) and second.of(uid, Which.VOLUME) == slot
        assert given_.setdefault(uid, slot) == slot
    assert len(set(given_.values())) == len(given_)
    os.close(memory)


def test_a_slot_is_one_users_of_one_tree(memory: int) -> None:
    table = Slots(memory, PUBLIC)
    mine = table.slot(1000)
    assert table.of(1000, Which.VOLUME) == mine and table.of(PUBLIC, Which.IPFS) == IPFS_SLOT
    assert table.of(PUBLIC, Which.IPNS) == IPNS_SLOT
    for uid, which in ((1000, Which.IPFS), (1000, 3), (1000, 255), (PUBLIC, Which.VOLUME), (1001, Which.VOLUME)):
        assert table.of(uid, which) is None
    theirs = table.slot(PUBLIC)  # who serves what is everybody's may have a tree, too
    assert theirs not in (mine, IPFS_SLOT, IPNS_SLOT) and table.tree(theirs) == (PUBLIC, Which.VOLUME)


def test_a_slot_that_was_not_given_whole_is_given_anew(memory: int) -> None:
    first = Slots(memory, PUBLIC)
    first.slot(1000)
    count = os.pread(memory, 4, 8)
    slot = first.slot(1001)
    os.pwrite(memory, count, 8)  # as a worker leaves it that is killed before it counts
    second = Slots(memory, PUBLIC)
    assert second.users == [1000] and second.tree(slot) is None
    assert second.slot(1002) == slot


def test_there_are_as_many_as_fit_a_node_number_and_the_memory(memory: int) -> None:
    table = Slots(memory, PUBLIC)
    last = {table.slot(uid) for uid in range(MAX_SLOTS - FIRST_SLOT)}
    assert max(last) == MAX_SLOTS - 1 and max(last) << 48 < 1 << 63
    with pytest.raises(Full):
        table.slot(1 << 20)
    assert table.slot(0) == FIRST_SLOT and len(table.users) == MAX_SLOTS - FIRST_SLOT
    assert Slots(memory, PUBLIC).users == table.users and os.fstat(memory).st_size == SIZE
