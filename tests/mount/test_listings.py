"""Directories as the kernel reads them: from any place on, until the room is used up, and never what is no entry."""

import errno
import stat
import struct
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.formats.fuseflags import Opcode
from commonhold.mount.replies import Lied
from commonhold.trees import MAX_NUMBER, Item
from commonhold.trees import Attr as TreeAttr
from tests.mount import kernel
from tests.mount.desks import Mount
from tests.mount.kernel import ALICE, BOB, SHIFT, STRANGER

NODE = 3 << SHIFT | 7
FILE = TreeAttr(8, 0o100644, 1, "alice@home", "alice@home", 5, 8, 1, 1, 1, 1, 0)
PLAIN, PLUS = Opcode.READDIR, Opcode.READDIRPLUS
BOTH = pytest.mark.parametrize("opcode", [PLAIN, PLUS])


class Dirent(NamedTuple):
    """An entry as the kernel reads it. `nodeid` is 0 where it is not looked up by it."""

    name: bytes
    ino: int
    cookie: int
    kind: int
    nodeid: int = 0


def dirents(raw: bytes, plus: bool) -> list[Dirent]:
    """Read a listing as the kernel does: fuse_dirent, or fuse_direntplus."""
    found, at, before = [], 0, 128 if plus else 0
    while at < len(raw):
        (nodeid,) = struct.unpack_from("<Q", raw, at) if plus else (0,)
        ino, cookie, length, kind = struct.unpack_from("<QqII", raw, at + before)
        start = at + before + 24
        found.append(Dirent(raw[start : start + length], ino, cookie, kind, nodeid))
        at = start + -(-length // 8) * 8
    assert at == len(raw)
    return found


def named(number: int, plus: bool = False) -> Item:
    attr = FILE._replace(number=number + 100) if plus else None
    return Item(b"n%d" % number, number, number + 100, 0o100644, attr)


@pytest.fixture
def mount() -> Mount:
    found = Mount(ALICE)
    assert found.node(ALICE, 7) == NODE
    return found


def listed(mount: Mount, opcode: Opcode, offset: int, size: int, items: list[Any]) -> list[Dirent]:
    """Read a directory of an agent that has such entries."""
    unique = mount.ask(opcode, kernel.reading(offset, size), NODE)
    mount.answer(ALICE, unique, items)
    answer = mount.only(unique)
    assert answer.errno == 0 and len(answer.body) <= size
    return dirents(answer.body, opcode == PLUS)


@BOTH
def test_a_listing_begins_with_the_names_that_every_directory_has(mount: Mount, opcode: Opcode) -> None:
    found = listed(mount, opcode, 0, 4096, [named(1, opcode == PLUS), named(2, opcode == PLUS)])
    assert [(entry.name, entry.cookie, entry.kind) for entry in found] == [
        (b".", 1, 4), (b"..", 2, 4), (b"n1", 3, 8), (b"n2", 4, 8),
    ]  # fmt: skip
    assert [entry.ino for entry in found[2:]] == [3 << SHIFT | 101, 3 << SHIFT | 102]
    assert [entry.nodeid for entry in found] == [
        0,
        0,
        *([entry.ino for entry in found[2:]] if opcode == PLUS else [0, 0]),
    ]


@BOTH
@pytest.mark.parametrize(
    ("offset", "position", "dots"), [(0, 0, 2), (1, 0, 1), (2, 0, 0), (3, 1, 0), (1 << 40, (1 << 40) - 2, 0)]
)
def test_a_listing_goes_on_where_the_last_one_ended(
    mount: Mount, opcode: Opcode, offset: int, position: int, dots: int
) -> None:
    found = listed(mount, opcode, offset, 4096, [named(5)])
    (call,) = mount.calls
    assert (call.name, call.given[0], call.given[1], call.given[3]) == ("listing", 7, position, opcode == PLUS)
    assert [entry.name for entry in found] == [*[b".", b".."][2 - dots :], b"n5"]


@BOTH
@given(size=st.integers(0, 3000), lengths=st.lists(st.integers(1, 255), max_size=40))
def test_every_entry_comes_once_whatever_the_room(opcode: Opcode, size: int, lengths: list[int]) -> None:
    mount = Mount(ALICE)
    mount.root(ALICE)
    size += 160 + 256  # what any entry needs
    items = [named(at, opcode == PLUS)._replace(name=b"x" * length) for at, length in enumerate(lengths, 1)]
    seen: list[Dirent] = []
    offset = 0
    while True:
        unique = mount.ask(opcode, kernel.reading(offset, size), NODE)
        _, position, most, _ = mount.calls[-1].given
        mount.answer(ALICE, unique, [item for item in items if item.position > position][:most])
        answer = mount.only(unique)
        assert len(answer.body) <= size
        found = dirents(answer.body, opcode == PLUS)
        if not found:
            break
        seen += found
        offset = found[-1].cookie
    assert [entry.cookie for entry in seen] == list(range(1, len(items) + 3))
    assert [entry.name for entry in seen[2:]] == [item.name for item in items]


@BOTH
def test_no_more_is_asked_for_than_there_is_room_for_and_no_less(mount: Mount, opcode: Opcode) -> None:
    sizes = {512: 1, 4096: 24 if opcode == PLUS else 100, 1 << 20: 1024}
    for size, least in sizes.items():
        mount.ask(opcode, kernel.reading(0, size), NODE)
        most = mount.calls[-1].given[2]
        assert least <= most <= 1024


def test_what_an_agent_says_no_more_of_is_listed_and_looked_up_by_nobody(mount: Mount) -> None:
    """The public tree lists what it cannot show."""
    found = listed(mount, PLUS, 2, 4096, [named(1), named(2, True), Item(b"what", 3, 0xFFFFFFFF, 0, None)])
    assert [(entry.name, entry.kind, entry.nodeid & MAX_NUMBER) for entry in found] == [
        (b"n1", 8, 0), (b"n2", 8, 102), (b"what", 0, 0),
    ]  # fmt: skip


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=255), st.integers(1, MAX_NUMBER), st.integers(1, 1 << 62))))
def test_no_listing_leads_into_anothers_tree(entries: list[tuple[bytes, int, int]]) -> None:
    items = [Item(name, at, number, 0o100644, None) for name, number, at in entries]
    for opcode in (PLAIN, PLUS):
        mount = Mount(ALICE)
        mount.root(ALICE)
        unique = mount.ask(opcode, kernel.reading(2, 1 << 16), NODE)
        try:
            mount.answer(ALICE, unique, items)
        except Lied:
            assert mount.only(unique).errno == errno.EIO
            continue
        for entry in dirents(mount.only(unique).body, opcode == PLUS):
            assert entry.ino >> SHIFT == 3 and entry.nodeid in (0, entry.ino)


GOOD = named(1, True)
BAD_ITEMS: list[Any] = [
    GOOD._replace(name=b""),
    GOOD._replace(name=b"."),
    GOOD._replace(name=b".."),
    GOOD._replace(name=b"a/b"),
    GOOD._replace(name=b"a\0b"),
    GOOD._replace(name=b"n" * 256),
    GOOD._replace(number=0),
    GOOD._replace(number=-1),
    GOOD._replace(number=MAX_NUMBER + 1),
    GOOD._replace(number=(1 << 64) - 1),
    GOOD._replace(position=0),
    GOOD._replace(position=-1),
    GOOD._replace(position=-(1 << 63)),
    GOOD._replace(position=(1 << 63) - 2),
    GOOD._replace(position=(1 << 64) - 1),
    ["name", 1, 1, 1, None],
    [b"name", 1, 1, 1],
    [b"name", 1, 1, 1, None, None],
    [b"name", 1.5, 1, 1, None],
    [b"name", 1, None, 1, None],
    7,
]


@BOTH
@pytest.mark.parametrize("item", BAD_ITEMS, ids=str)
def test_one_entry_that_cannot_be_makes_all_of_a_listing_a_lie(mount: Mount, opcode: Opcode, item: Any) -> None:
    unique = mount.ask(opcode, kernel.reading(0, 4096), NODE)
    with pytest.raises(Lied):
        mount.answer(ALICE, unique, [GOOD, item])
    assert mount.only(unique).errno == errno.EIO


@pytest.mark.parametrize("number", [0, -1, MAX_NUMBER + 1, 1 << 63])
def test_attributes_in_a_listing_are_checked_as_those_of_a_lookup(mount: Mount, number: int) -> None:
    unique = mount.ask(PLUS, kernel.reading(0, 4096), NODE)
    with pytest.raises(Lied):
        mount.answer(ALICE, unique, [GOOD._replace(attr=FILE._replace(number=number))])
    assert mount.only(unique).errno == errno.EIO


# ── the mount's own directories ──


@BOTH
@pytest.mark.parametrize("size", [416, 4096])
def test_the_mounts_own_directories_list_what_is_in_them(mount: Mount, opcode: Opcode, size: int) -> None:
    mount.root(BOB)
    mount.slots.slot(STRANGER)  # somebody who was a user once
    expected = {1: [b"hold", b"ipfs", b"ipns"], 2: [b"me", b"alice", b"bob"]}
    for node, names in expected.items():
        seen: list[Dirent] = []
        while True:
            offset = seen[-1].cookie if seen else 0
            answer = mount.only(mount.ask(opcode, kernel.reading(offset, size), node))
            found = dirents(answer.body, opcode == PLUS)
            if not found:
                break
            seen += found
        assert [entry.name for entry in seen] == [b".", b"..", *names]
        assert not any(entry.nodeid for entry in seen)
        links = [entry.name for entry in seen if entry.kind == stat.S_IFLNK >> 12]
        assert links == ([b"me"] if node == 2 else [])
    assert not mount.calls


@BOTH
def test_a_link_is_no_directory(mount: Mount, opcode: Opcode) -> None:
    unique = mount.ask(opcode, kernel.reading(0, 4096), 1 << 40 | ALICE)
    assert mount.only(unique).errno == errno.ENOTDIR
