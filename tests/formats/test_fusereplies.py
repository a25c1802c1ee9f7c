"""Replies, listings and notifications, against the structures of the kernel's header as a C compiler lays them out."""

import ctypes
import errno
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.formats import fuselisting, fusenotices, fusereplies
from commonhold.formats.fuseflags import EntryFlag, InitFlag, NotifyCode, OpenFlag
from commonhold.formats.fuselisting import Listing, ListingPlus
from commonhold.formats.fusereplies import Attr, Entry, InitReply, Lock, Opened, Reply, Statfs, StatxReply
from commonhold.formats.malformed import Malformed

SECOND = 1_000_000_000
UNIQUE = 0x8000000000000ABC
TYPES: dict[str, Any] = {
    "u64": ctypes.c_uint64,
    "s64": ctypes.c_int64,
    "u32": ctypes.c_uint32,
    "s32": ctypes.c_int32,
    "u16": ctypes.c_uint16,
}


def structure(text: str) -> type[ctypes.LittleEndianStructure]:
    """A structure out of "type name name, type name…", laid out as C does."""
    fields = [(name, TYPES[part.split()[0]]) for part in text.split(",") for name in part.split()[1:]]
    return type("structure", (ctypes.LittleEndianStructure,), {"_fields_": fields})


OUT = "u32 len, s32 error, u64 unique"
ATTR = (
    "u64 ino size blocks, s64 atime mtime ctime, "
    "u32 atimensec mtimensec ctimensec mode nlink uid gid rdev blksize flags"
)
ENTRY = f"u64 nodeid generation entry_valid attr_valid, u32 entry_valid_nsec attr_valid_nsec, {ATTR}"
OPEN = "u64 fh, u32 open_flags, s32 backing_id"
INIT = (
    "u32 major minor max_readahead init_flags, u16 max_background congestion_threshold, u32 max_write time_gran, "
    "u16 max_pages map_alignment, u32 flags2 max_stack_depth, u16 request_timeout u0 u1 u2 u3 u4 u5 u6 u7 u8 u9 u10"
)
STATX = (
    "u64 attr_valid, u32 attr_valid_nsec flags, u64 spare0 spare1, u32 mask blksize, u64 attributes, "
    "u32 nlink uid gid, u16 mode spare2, u64 ino size blocks attributes_mask, "
    "s64 atime, u32 atimensec, s32 r0, s64 btime, u32 btimensec, s32 r1, "
    "s64 ctime, u32 ctimensec, s32 r2, s64 mtime, u32 mtimensec, s32 r3, "
    "u32 rdev_major rdev_minor dev_major dev_minor, u64 a b c d e f g h i j k l m n"
)
ATTRS = Attr(5, 6, 7, -8, 9, 10, 11, 12, 13, 0o100644, 2, 1000, 100, 0x103, 4096, 1)
FOUND = Entry(3, 4, 2 * SECOND + 1, 5, ATTRS)


def same(reply: Reply, layout: str, **values: Any) -> None:
    """The reply is this structure with these values, all else zero; the header's length is that of the whole."""
    kind = structure(f"{OUT}, {layout}" if layout else OUT)
    head, payload = reply
    total = len(head) + len(payload)
    expected = kind(**({"len": total, "error": 0, "unique": UNIQUE} | values))
    assert head == bytes(expected) and not head[ctypes.sizeof(kind) :]


ATTR_VALUES = dict(zip(Attr._fields, ATTRS, strict=True))
ENTRY_VALUES = ATTR_VALUES | {
    "nodeid": 3, "generation": 4, "entry_valid": 2, "entry_valid_nsec": 1, "attr_valid": 0, "attr_valid_nsec": 5,
}  # fmt: skip


def test_what_is_refused_is_a_negative_errno() -> None:
    same(fusereplies.error(UNIQUE, errno.ENOSYS), "", error=-errno.ENOSYS)


def test_what_is_done_is_a_header() -> None:
    same(fusereplies.done(UNIQUE), "")


@pytest.mark.parametrize("payload", [b"", b"some", bytearray(b"bytes"), memoryview(b"anything")])
def test_data_stays_where_it_is(payload: bytes) -> None:
    reply = fusereplies.data(UNIQUE, payload)
    assert reply[1] is payload
    same(reply, "")


def test_an_entry_is_that_of_the_header() -> None:
    same(fusereplies.entry(UNIQUE, FOUND), ENTRY, **ENTRY_VALUES)


def test_what_was_created_is_an_entry_and_what_was_opened() -> None:
    opened = Opened(77, int(OpenFlag.PASSTHROUGH), -1)
    more = {"fh": 77, "open_flags": 1 << 7, "backing_id": -1}
    same(fusereplies.created(UNIQUE, FOUND, opened), f"{ENTRY}, {OPEN}", **ENTRY_VALUES, **more)
    same(fusereplies.opened(UNIQUE, opened), OPEN, **more)


def test_attributes_are_those_of_the_header() -> None:
    layout = f"u64 attr_valid, u32 attr_valid_nsec dummy, {ATTR}"
    same(fusereplies.attr(UNIQUE, SECOND + 7, ATTRS), layout, attr_valid=1, attr_valid_nsec=7, **ATTR_VALUES)


def test_numbers_are_those_of_the_header() -> None:
    same(fusereplies.written(UNIQUE, 4096), "u32 size padding", size=4096)
    same(fusereplies.xattr_size(UNIQUE, 65536), "u32 size padding", size=65536)
    same(fusereplies.polled(UNIQUE, 5), "u32 revents padding", revents=5)
    same(fusereplies.position(UNIQUE, 1 << 40), "u64 offset", offset=1 << 40)
    same(fusereplies.mapped(UNIQUE, 9), "u64 block", block=9)
    same(fusereplies.copied(UNIQUE, 1 << 33), "u64 bytes_copied", bytes_copied=1 << 33)


def test_the_room_of_a_file_system_is_that_of_the_header() -> None:
    layout = "u64 blocks bfree bavail files ffree, u32 bsize namelen frsize padding s0 s1 s2 s3 s4 s5"
    found = Statfs(1, 2, 3, 4, 5, 6, 7, 8)
    same(fusereplies.statfs(UNIQUE, found), layout, **dict(zip(Statfs._fields, found, strict=True)))


def test_a_lock_is_that_of_the_header() -> None:
    same(fusereplies.lock(UNIQUE, Lock(1, 2, 1, 4)), "u64 start end, u32 type pid", start=1, end=2, type=1, pid=4)


def test_what_is_agreed_on_at_init_is_that_of_the_header() -> None:
    agreed = InitReply(
        flags=int(InitFlag.INIT_EXT | InitFlag.HAS_RESEND), minor=40, max_readahead=1, max_background=2,
        congestion_threshold=3, max_write=4, time_gran=5, max_pages=6, map_alignment=7, max_stack_depth=8,
        request_timeout=9,
    )  # fmt: skip
    values = agreed._asdict() | {"major": 7, "init_flags": 1 << 30, "flags2": 1 << 7}
    del values["flags"]
    same(fusereplies.init(UNIQUE, agreed), INIT, **values)


def test_another_major_version_is_answered_with_ours() -> None:
    same(fusereplies.other_major(UNIQUE), INIT, major=7, minor=45)


def test_an_ioctl_returns_a_number_and_bytes() -> None:
    reply = fusereplies.ioctl(UNIQUE, -3, b"bytes")
    assert reply[1] == b"bytes"
    same(reply, "s32 result, u32 flags in_iovs out_iovs", result=-3)


def test_statx_is_that_of_the_header() -> None:
    found = StatxReply(
        attr_valid=3 * SECOND + 4, mask=5, blksize=6, attributes=7, nlink=8, uid=9, gid=10, mode=0o100600, ino=12,
        size=13, blocks=14, attributes_mask=15, atime=(-16, 17), btime=(18, 19), ctime=(20, 21), mtime=(22, 23),
        rdev=(24, 25), dev=(26, 27),
    )  # fmt: skip
    values: dict[str, Any] = found._asdict() | {"attr_valid": 3, "attr_valid_nsec": 4}
    for name in ("atime", "btime", "ctime", "mtime"):
        values[name], values[f"{name}nsec"] = getattr(found, name)
    for name in ("rdev", "dev"):
        values[f"{name}_major"], values[f"{name}_minor"] = values.pop(name)
    same(fusereplies.statx(UNIQUE, found), STATX, **values)


def dirents(payload: bytes, before: int) -> list[tuple[bytes, int, int, int, bytes]]:
    """What a listing says, each: what is before it, node, cookie, type and name."""
    found = []
    at = 0
    while at < len(payload):
        head = payload[at : at + before]
        ino, cookie, length, kind = struct.unpack_from("<QQII", payload, at + before)
        name = payload[at + before + 24 : at + before + 24 + length]
        found.append((head, ino, cookie, kind, name))
        end = at + before + 24 + length
        at = -(-end // 8) * 8
        assert payload[end:at] == bytes(at - end)
    return found


NAMES = st.binary(min_size=1, max_size=255).filter(lambda name: 0 not in name and 47 not in name)


@given(st.lists(NAMES, max_size=20), st.integers(0, 2000))
def test_a_listing_has_the_entries_that_fit_and_none_in_part(names: list[bytes], room: int) -> None:
    listing = Listing(room)
    fitted = []
    for cookie, name in enumerate(names, 1):
        if not listing.add(name, cookie + 100, 8, cookie):
            size = -(-(24 + len(name)) // 8) * 8
            assert len(listing.payload()) + size > room
            break
        fitted.append((b"", cookie + 100, cookie, 8, name))
    assert dirents(listing.payload(), 0) == fitted and len(listing.payload()) <= room


@given(st.lists(NAMES, max_size=8), st.integers(0, 1500))
def test_a_listing_with_attributes_says_what_lookups_would(names: list[bytes], room: int) -> None:
    listing = ListingPlus(room)
    count = 0
    for cookie, name in enumerate(names, 1):
        if not listing.add_entry(name, FOUND, cookie):
            break
        count += 1
    entry = bytes(structure(ENTRY)(**ENTRY_VALUES))
    expected = [(entry, 5, cookie, 8, name) for cookie, name in enumerate(names[:count], 1)]
    assert dirents(listing.payload(), 128) == expected and len(listing.payload()) <= room


def test_an_entry_of_which_nothing_is_said_is_looked_up_by_nobody() -> None:
    listing = ListingPlus(1000)
    assert listing.add(b"name", 5, 8, 7) and listing.add_entry(b"next", FOUND, 8)
    nobody, found = dirents(listing.payload(), 128)
    assert nobody == (bytes(128), 5, 7, 8, b"name") and found[-1] == b"next"


def test_what_did_not_fit_is_the_end_of_a_listing() -> None:
    listing = Listing(64)
    assert listing.add(b"one", 1, 4, 1) and not listing.add(b"n" * 100, 2, 4, 2)
    assert not listing.add(b"s", 3, 4, 3)
    assert [entry[-1] for entry in dirents(listing.payload(), 0)] == [b"one"]


@pytest.mark.parametrize("name", [b"", b"a/b", b"a\0b", b"n" * 256])
def test_a_name_for_which_the_kernel_would_refuse_the_whole_listing_is_refused(name: bytes) -> None:
    for listing in (fuselisting.Listing(4096), ListingPlus(4096)):
        with pytest.raises(Malformed):
            listing.add(name, 1, 8, 1)


@pytest.mark.parametrize(
    ("reply", "code", "layout", "values", "after"),
    [
        (fusenotices.ready(9), NotifyCode.POLL, "u64 kh", {"kh": 9}, b""),
        (
            fusenotices.inval_inode(2, -1, 0),
            NotifyCode.INVAL_INODE,
            "u64 ino, s64 off size",
            {"ino": 2, "off": -1},
            b"",
        ),
        (
            fusenotices.inval_entry(1, b"name", int(EntryFlag.EXPIRE_ONLY)),
            NotifyCode.INVAL_ENTRY,
            "u64 parent, u32 namelen flags",
            {"parent": 1, "namelen": 4, "flags": 1},
            b"name\0",
        ),
        (
            fusenotices.delete(1, 2, b"name"),
            NotifyCode.DELETE,
            "u64 parent child, u32 namelen padding",
            {"parent": 1, "child": 2, "namelen": 4},
            b"name\0",
        ),
        (
            fusenotices.store(2, 3, b"bytes"),
            NotifyCode.STORE,
            "u64 nodeid offset, u32 size padding",
            {"nodeid": 2, "offset": 3, "size": 5},
            b"",
        ),
        (
            fusenotices.retrieve(4, 2, 3, 5),
            NotifyCode.RETRIEVE,
            "u64 notify_unique nodeid offset, u32 size padding",
            {"notify_unique": 4, "nodeid": 2, "offset": 3, "size": 5},
            b"",
        ),
        (fusenotices.resend(), NotifyCode.RESEND, "", {}, b""),
        (fusenotices.inc_epoch(), NotifyCode.INC_EPOCH, "", {}, b""),
        (
            fusenotices.prune([5, 6]),
            NotifyCode.PRUNE,
            "u32 count padding, u64 spare",
            {"count": 2},
            struct.pack("<QQ", 5, 6),
        ),
    ],
)
def test_notifications_are_those_of_the_header(
    reply: Reply, code: NotifyCode, layout: str, values: dict[str, int], after: bytes
) -> None:
    head, payload = reply
    kind = structure(f"{OUT}, {layout}" if layout else OUT)
    expected = bytes(kind(len=len(head) + len(payload), error=code, unique=0, **values))
    assert head == expected + after
    assert payload == (b"bytes" if code == NotifyCode.STORE else b"")
