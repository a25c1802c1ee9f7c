"""What the kernel has of ours is counted: what it holds is not forgotten, what may be written shows no holes."""

import errno
import os

import pytest

from commonhold.formats.fuseflags import Opcode
from commonhold.ipc.treewords import Notice
from commonhold.trees import Item
from tests.mount import kernel
from tests.mount.desks import FILE, NODE, Mount, two_users
from tests.mount.kernel import ALICE, BOB, SHIFT


@pytest.fixture
def mount() -> Mount:
    return two_users()


# ── holes ──


def seek(mount: Mount, node: int = NODE) -> int | None:
    """What a look for a hole is answered; None where the agent is asked."""
    unique = mount.ask(Opcode.LSEEK, kernel.lseek(0, 4), node)
    return None if mount.calls[-1:] and mount.calls[-1].id == unique else mount.only(unique).errno


def opened(mount: Mount, flags: int, error: int = 0) -> None:
    mount.answer(ALICE, mount.ask(Opcode.OPEN, kernel.opening(flags), NODE), error=error)


def test_no_holes_are_told_of_while_somebody_may_be_writing(mount: Mount) -> None:
    opened(mount, os.O_RDONLY)
    opened(mount, os.O_RDWR, errno.ENOENT)
    assert seek(mount) is None
    for flags in (os.O_WRONLY, os.O_RDWR | os.O_APPEND):
        opened(mount, flags)
        assert seek(mount) == errno.EINVAL and seek(mount, NODE + 1) is None
    mount.ask(Opcode.RELEASE, kernel.release(os.O_RDONLY), NODE)
    mount.ask(Opcode.RELEASE, kernel.release(os.O_WRONLY), NODE)
    assert seek(mount) == errno.EINVAL
    mount.ask(Opcode.RELEASE, kernel.release(os.O_RDWR | os.O_APPEND), NODE)
    assert seek(mount) is None
    created = mount.ask(Opcode.CREATE, kernel.create(os.O_WRONLY, 0o644, b"x"), NODE + 1)
    mount.answer(ALICE, created, FILE)
    assert seek(mount) == errno.EINVAL


def test_no_holes_are_told_of_by_who_does_not_know_what_was_open_before() -> None:
    mount = Mount(ALICE, workers=2)
    mount.root(ALICE)
    assert seek(mount) == errno.EINVAL


# ── forgetting ──


def test_what_is_forgotten_is_told_to_those_whose_it_was(mount: Mount) -> None:
    nodes = [mount.node(ALICE, 7), mount.node(BOB, 8), mount.node(ALICE, 9), 2, 1 << 40 | ALICE, 9 << SHIFT | 1]
    mount.ask(Opcode.BATCH_FORGET, kernel.batch_forget(*nodes), 0)
    mount.ask(Opcode.FORGET, kernel.forget(), NODE)
    told = [(call.uid, call.id, call.name, list(call.given)) for call in mount.calls]
    assert told == [
        (ALICE, 0, "forget", [[7, 9]]),
        (BOB, 0, "forget", [[8]]),
        (ALICE, 0, "forget", [[7]]),
    ]
    assert not mount.replies


def test_an_object_is_forgotten_when_the_kernel_has_given_back_all_that_it_was_given(mount: Mount) -> None:
    for _ in range(3):
        unique = mount.ask(Opcode.LOOKUP, kernel.named(b"x"), NODE)
        mount.answer(ALICE, unique, FILE)
    del mount.calls[:]
    mount.ask(Opcode.FORGET, kernel.forget(2), NODE)
    assert mount.calls == []  # this one may have been on its way while the name was looked up again
    mount.ask(Opcode.FORGET, kernel.forget(1), NODE)
    assert [list(call.given) for call in mount.calls] == [[[7]]]


def test_an_entry_that_found_no_room_in_a_listing_is_forgotten(mount: Mount) -> None:
    items = [Item(b"a" * 200, 1, 7, FILE.mode, FILE), Item(b"b" * 200, 2, 8, FILE.mode, FILE._replace(number=8))]
    unique = mount.ask(Opcode.READDIRPLUS, kernel.reading(2, 400), NODE)
    mount.answer(ALICE, unique, items)
    assert [(call.name, list(call.given)) for call in mount.calls if call.id == 0] == [("forget", [[8]])]
    mount.ask(Opcode.FORGET, kernel.forget(1), NODE)
    assert list(mount.calls[-1].given) == [[7]]


def test_what_lost_its_last_name_is_forgotten_at_once_if_the_kernel_does_not_know_it(mount: Mount) -> None:
    unique = mount.ask(Opcode.LOOKUP, kernel.named(b"x"), NODE)
    mount.answer(ALICE, unique, FILE)
    del mount.calls[:]
    mount.answer(ALICE, 0, [7], error=Notice.NAMELESS)
    assert mount.calls == []
    mount.answer(ALICE, 0, [8], error=Notice.NAMELESS)
    assert [(call.id, call.name, list(call.given)) for call in mount.calls] == [(0, "forget", [[8]])]


def test_what_is_forgotten_brings_no_agent() -> None:
    mount = Mount()
    mount.ask(Opcode.FORGET, kernel.forget(), mount.node(ALICE, 7))
    assert not mount.calls and not mount.starts and not mount.replies


def test_many_are_forgotten_by_calls_of_a_bounded_size(mount: Mount) -> None:
    nodes = [mount.node(ALICE, number) for number in range(1, 3001)]
    mount.ask(Opcode.BATCH_FORGET, kernel.batch_forget(*nodes), 0)
    sizes = [len(call.given[0]) for call in mount.calls]
    assert sum(sizes) == 3000 and max(sizes) <= 1024
    assert [number for call in mount.calls for number in call.given[0]] == list(range(1, 3001))


def test_a_worker_that_follows_gives_other_handles() -> None:
    mount = Mount(ALICE)
    unique = mount.ask(Opcode.OPEN, kernel.opening(), mount.node(ALICE, 7))
    mount.answer(ALICE, unique)
    handle = int.from_bytes(mount.only(unique).body[:8], "little")
    assert handle >> 40 == mount.slots.worker
