"""What the kernel asks goes to the agent whose node it is, and what that answers goes back: transcripts."""

import errno
import os
from typing import Any

import pytest

from commonhold.formats import fusereplies
from commonhold.formats.fuse import NO_REPLY
from commonhold.formats.fuseflags import InitFlag, Opcode, OpenFlag, WriteFlag
from commonhold.formats.fusereplies import Entry, Opened, Reply, Statfs
from commonhold.formats.malformed import Malformed
from commonhold.ipc.treewords import Which
from commonhold.mount.slots import IPFS_SLOT, IPNS_SLOT
from commonhold.trees import MAX_IO, ROOT, Room
from tests import vectors
from tests.mount import kernel
from tests.mount.desks import FILE, FOLDER, HOUR, NODE, PUBLIC_ROOT, SHOWN, Answer, Mount, said, two_users
from tests.mount.kernel import ALICE, BOB, CAROL, PUBLIC, SHIFT, STRANGER

LINK = FILE._replace(mode=0o120777)
FOUND = Entry(NODE, 0, HOUR, HOUR, SHOWN)
ENTRY = fusereplies.entry(0, FOUND)
FOLDER_ENTRY = fusereplies.entry(0, FOUND._replace(attr=SHOWN._replace(mode=0o40755)))
LINK_ENTRY = fusereplies.entry(0, FOUND._replace(attr=SHOWN._replace(mode=0o120777)))
ATTR = fusereplies.attr(0, HOUR, SHOWN)
DONE = fusereplies.done(0)
ME = ["alice@home", "alice@home", 0]
HER = [*ME[:2], 0o22]
KEEPS = int(OpenFlag.KEEP_CACHE)
HANDLE = 1 << 40 | 1  # the first of the first worker
CREATED = fusereplies.created(0, FOUND, Opened(HANDLE, KEEPS))
ROOM = fusereplies.statfs(0, Statfs(10, 5, 5, 100, 99, MAX_IO, 255, 4096))

# opcode, what it asks; what the agent is asked; what it answers, and then the kernel is
CALLS: list[tuple[Opcode, bytes, str, list[Any], Any, bytes, Reply]] = [
    (Opcode.LOOKUP, kernel.named(b"x"), "lookup", [7, b"x"], FILE, b"", ENTRY),
    (Opcode.GETATTR, kernel.GETATTR, "attr", [7], FILE, b"", ATTR),
    (Opcode.READLINK, b"", "target", [7], None, b"to/there", fusereplies.data(0, b"to/there")),
    (Opcode.SYMLINK, b"n\0to\0", "make", [7, b"n", 0o120777, 0, b"to", ME, True], LINK, b"", LINK_ENTRY),
    (Opcode.MKNOD, kernel.mknod(0o100644, 0, b"n"), "make", [7, b"n", 0o100644, 0, b"", HER, True], FILE, b"", ENTRY),
    (Opcode.MKDIR, kernel.mkdir(0o755, b"n"), "make", [7, b"n", 0o40755, 0, b"", HER, True], FOLDER, b"", FOLDER_ENTRY),
    (Opcode.UNLINK, kernel.named(b"x"), "unlink", [7, b"x"], None, b"", DONE),
    (Opcode.RMDIR, kernel.named(b"x"), "rmdir", [7, b"x"], None, b"", DONE),
    (Opcode.RENAME, kernel.rename(NODE + 1, b"a", b"b"), "rename", [7, b"a", 8, b"b", 0], None, b"", DONE),
    (Opcode.RENAME2, kernel.rename2(NODE + 1, 2, b"a", b"b"), "rename", [7, b"a", 8, b"b", 2], None, b"", DONE),
    (Opcode.LINK, kernel.link(NODE, b"n"), "link", [7, 7, b"n"], FILE, b"", ENTRY),
    (Opcode.OPEN, kernel.opening(), "open", [7, False, False], None, b"", fusereplies.opened(0, Opened(HANDLE, KEEPS))),
    (
        Opcode.OPEN, kernel.opening(os.O_TRUNC | os.O_WRONLY, 1), "open", [7, True, True], None, b"",
        fusereplies.opened(0, Opened(HANDLE, KEEPS)),
    ),
    (Opcode.READ, kernel.reading(5, 9), "read", [7, 5, 9], None, b"content", fusereplies.data(0, b"content")),
    (Opcode.READ, kernel.reading(0, 4096), "read", [7, 0, 4096], None, b"", fusereplies.data(0, b"")),
    (Opcode.WRITE, kernel.write(5, b"content"), "write", [7, 5, False, False], 7, b"", fusereplies.written(0, 7)),
    (
        Opcode.WRITE, kernel.write(5, b"content", int(WriteFlag.KILL_SUIDGID)), "write", [7, 5, True, False], 3, b"",
        fusereplies.written(0, 3),
    ),
    (
        Opcode.WRITE, kernel.write(5, b"content", int(WriteFlag.CACHE)), "write", [7, 5, False, True], 7, b"",
        fusereplies.written(0, 7),
    ),
    (Opcode.STATFS, b"", "room", [], Room(40960, 20480, 100, 99), b"", ROOM),
    (Opcode.FSYNC, kernel.FSYNC, "sync", [7], None, b"", DONE),
    (Opcode.FSYNCDIR, kernel.FSYNC, "sync", [7], None, b"", DONE),
    (Opcode.SETXATTR, kernel.setxattr(b"user.a", b"v", 1), "set_xattr", [7, b"user.a", b"v", 1], None, b"", DONE),
    (Opcode.GETXATTR, kernel.getxattr(9, b"user.a"), "xattr", [7, b"user.a"], None, b"v", fusereplies.data(0, b"v")),
    (Opcode.GETXATTR, kernel.getxattr(0, b"user.a"), "xattr", [7, b"user.a"], None, b"v", fusereplies.xattr_size(0, 1)),
    (
        Opcode.GETXATTR, kernel.getxattr(1, b"trusted.a"), "xattr", [7, b"trusted.a"], None, b"vv",
        fusereplies.error(0, errno.ERANGE),
    ),
    (Opcode.LISTXATTR, kernel.listxattr(9), "xattrs", [7], [b"a", b"bc"], b"", fusereplies.data(0, b"a\0bc\0")),
    (Opcode.LISTXATTR, kernel.listxattr(0), "xattrs", [7], [b"a", b"bc"], b"", fusereplies.xattr_size(0, 5)),
    (Opcode.LISTXATTR, kernel.listxattr(4), "xattrs", [7], [b"a", b"bc"], b"", fusereplies.error(0, errno.ERANGE)),
    (
        Opcode.LISTXATTR, kernel.listxattr(9), "xattrs", [7], [b"trusted.a", b"user.b"], b"",
        fusereplies.data(0, b"user.b\0"),
    ),
    (Opcode.REMOVEXATTR, kernel.named(b"user.a"), "remove_xattr", [7, b"user.a"], None, b"", DONE),
    (
        Opcode.CREATE, kernel.create(os.O_EXCL, 0o100640, b"n"), "make", [7, b"n", 0o100640, 0, b"", HER, True], FILE,
        b"", CREATED,
    ),
    (
        Opcode.CREATE, kernel.create(0, 0o100640, b"n"), "make", [7, b"n", 0o100640, 0, b"", HER, False], FILE, b"",
        CREATED,
    ),
    (
        Opcode.TMPFILE, kernel.create(0, 0o100600, b"/"), "make", [7, b"", 0o100600, 0, b"", HER, True], FILE, b"",
        CREATED,
    ),
    (Opcode.FALLOCATE, kernel.fallocate(1, 2, 3), "allocate", [7, 1, 2, 3], None, b"", DONE),
    (Opcode.LSEEK, kernel.lseek(3, 4), "seek", [7, 3, 4], 9, b"", fusereplies.position(0, 9)),
    (
        Opcode.COPY_FILE_RANGE, kernel.copy(1, NODE + 1, 2, 1 << 40), "copy", [7, 1, 8, 2, 1 << 30], 5, b"",
        fusereplies.written(0, 5),
    ),
    (
        Opcode.COPY_FILE_RANGE_64, kernel.copy(1, NODE, 2, 3), "copy", [7, 1, 7, 2, 3], 3, b"",
        fusereplies.copied(0, 3),
    ),
]  # fmt: skip


@pytest.fixture
def mount() -> Mount:
    return two_users()


@pytest.mark.parametrize("case", CALLS, ids=[f"{case[0].name}-{number}" for number, case in enumerate(CALLS)])
def test_a_request_is_a_call_of_its_nodes_agent_and_its_answer_a_reply(mount: Mount, case: Any) -> None:
    opcode, body, name, given, result, payload, reply = case
    unique = mount.ask(opcode, body, NODE)
    (call,) = mount.calls
    data = b"content" if opcode == Opcode.WRITE else b""
    assert (call.uid, call.id, call.name, call.tree, call.flags) == (ALICE, unique, name, Which.VOLUME, 0)
    assert list(map(_plain, call.given)) == given and call.payload == data
    assert not mount.replies
    mount.answer(ALICE, call.id, result, payload=payload)
    assert mount.only(unique) == said(reply)
    assert not mount.starts


@pytest.mark.parametrize("case", CALLS, ids=[f"{case[0].name}-{number}" for number, case in enumerate(CALLS)])
def test_an_agents_errno_is_what_the_kernel_is_told(mount: Mount, case: Any) -> None:
    unique = mount.ask(case[0], case[1], NODE)
    mount.answer(ALICE, unique, error=errno.EDQUOT)
    assert mount.only(unique) == Answer(errno.EDQUOT, b"")


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


MAKING = [case for case in CALLS if case[2] == "make"]


@pytest.mark.parametrize("case", MAKING, ids=[f"{case[0].name}-{number}" for number, case in enumerate(MAKING)])
def test_nobody_can_make_nothing(mount: Mount, case: Any) -> None:
    unique = mount.ask(case[0], case[1], NODE, uid=STRANGER)
    assert mount.only(unique).errno == errno.EOVERFLOW and not mount.calls


# ── two trees ──


def test_nothing_moves_and_nothing_is_linked_or_copied_from_one_users_tree_to_anothers(mount: Mount) -> None:
    for node, other in ((mount.node(ALICE, 7), mount.node(BOB, 8)), (NODE, PUBLIC_ROOT), (NODE, 2), (2, NODE)):
        for opcode, body in (
            (Opcode.RENAME, kernel.rename(other, b"a", b"b")),
            (Opcode.RENAME2, kernel.rename2(other, 2, b"a", b"b")),
            (Opcode.LINK, kernel.link(other, b"n")),
            (Opcode.COPY_FILE_RANGE, kernel.copy(0, other, 0, 9)),
            (Opcode.COPY_FILE_RANGE_64, kernel.copy(0, other, 0, 9)),
        ):
            assert mount.only(mount.ask(opcode, body, node)).errno == errno.EXDEV
    assert not mount.calls


def test_a_node_goes_to_its_owners_agent_whoever_asks(mount: Mount) -> None:
    mount.ask(Opcode.READ, kernel.reading(0, 9), mount.node(BOB, 7), uid=ALICE)
    mount.ask(Opcode.MKDIR, kernel.mkdir(0o755, b"n"), mount.node(BOB, 7), uid=ALICE)
    assert [call.uid for call in mount.calls] == [BOB, BOB]
    assert mount.calls[1].given[5].owner == "alice@home"


def test_what_is_everybodys_goes_to_one_agent_with_its_tree() -> None:
    mount = Mount(PUBLIC)
    for slot, which in ((IPFS_SLOT, Which.IPFS), (IPNS_SLOT, Which.IPNS)):
        unique = mount.ask(Opcode.LOOKUP, kernel.named(b"x"), slot << SHIFT | ROOT)
        assert (mount.calls[-1].uid, mount.calls[-1].tree) == (PUBLIC, which)
        mount.answer(PUBLIC, unique, FILE)
        answer = mount.only(unique)
        assert int.from_bytes(answer.body[:8], "little") == slot << SHIFT | 7
        valid = int.from_bytes(answer.body[16:24], "little")
        assert valid == (3600 if which == Which.IPFS else 5)  # a name may lead elsewhere soon


def test_a_node_of_a_slot_that_nobody_has_is_stale(mount: Mount) -> None:
    for slot in (5, 1 << 15, (1 << 16) - 1):
        unique = mount.ask(Opcode.GETATTR, kernel.GETATTR, slot << SHIFT | 7)
        assert mount.only(unique).errno == errno.ESTALE


def test_every_opcode_is_a_call_or_is_answered_or_needs_no_answer(mount: Mount) -> None:
    known = {case[0] for case in CALLS} | {Opcode.SETATTR, Opcode.READDIR, Opcode.READDIRPLUS, Opcode.INIT}
    assert known | set(kernel.BODIES) | NO_REPLY == set(Opcode)
    for opcode, body in kernel.BODIES.items():
        before = len(mount.calls)
        unique = mount.ask(opcode, body, NODE)
        assert len(mount.replied(unique)) + len(mount.calls) - before == 1, opcode


@pytest.mark.parametrize("opcode", [0, 7, 48, 49, 54, 4096])
def test_what_we_do_not_know_the_kernel_shall_do_without(mount: Mount, opcode: int) -> None:
    assert mount.only(mount.ask(opcode, b"whatever", NODE)).errno == errno.ENOSYS


def test_a_version_is_agreed_on_and_flags_that_the_kernel_offers() -> None:
    mount = Mount()
    answer = mount.only(mount.ask(Opcode.INIT, kernel.init(minor=99, flags=int(InitFlag.MAX_PAGES)), 0))
    assert answer.errno == 0 and mount.slots.minor == 45
    words = [int.from_bytes(answer.body[at : at + 4], "little") for at in range(0, 64, 4)]
    assert words[:2] == [7, 45] and words[3] == int(InitFlag.MAX_PAGES | InitFlag.INIT_EXT)
    assert words[5] == MAX_IO
    mount.ask(Opcode.INIT, kernel.init(minor=31), 0)
    assert mount.slots.minor == 31


@pytest.mark.parametrize("version", [(6, 45), (7, 30)])
def test_a_kernel_that_is_too_old_is_refused(version: tuple[int, int]) -> None:
    mount = Mount()
    assert mount.only(mount.ask(Opcode.INIT, kernel.init(*version), 0)).errno == errno.EPROTO
    assert mount.slots.minor == 0


def test_a_kernel_of_a_later_kind_is_told_ours_and_asks_again() -> None:
    mount = Mount()
    answer = mount.only(mount.ask(Opcode.INIT, kernel.init(major=8), 0))
    assert answer.errno == 0 and answer.body[:4] == (7).to_bytes(4, "little") and mount.slots.minor == 0


# ── requests that are none ──


def test_a_bad_body_is_refused_and_a_bad_header_is_nobodys(mount: Mount) -> None:
    assert mount.only(mount.ask(Opcode.LOOKUP, b"n" * 256 + b"\0", NODE)).errno == errno.ENAMETOOLONG
    assert mount.only(mount.ask(Opcode.READ, b"short", NODE)).errno == errno.EIO
    for opcode in NO_REPLY:
        assert mount.replied(mount.ask(opcode, b"short", NODE)) == []
    for raw in (b"", bytes(39), kernel.request(Opcode.STATFS)[:-1] + b"ab"):
        with pytest.raises(Malformed):
            mount.desk.ask(memoryview(raw))


@pytest.mark.parametrize("present", [True, False])
def test_whatever_a_kernel_asked_once_is_answered_or_asked_for(present: bool) -> None:
    mount = Mount()
    for uid in (0, ALICE, BOB, CAROL, PUBLIC):
        mount.root(uid)
        if present:
            mount.agents.arrived(uid)
    for case in vectors.cases("fuse-requests"):
        raw = bytearray.fromhex(case["hex"])
        opcode = int.from_bytes(raw[4:8], "little")
        for slot in (0, 1, 3, 9):
            raw[22:24] = slot.to_bytes(2, "little")
            raw[24:28] = ALICE.to_bytes(4, "little")
            before = len(mount.replies), len(mount.calls)
            mount.desk.ask(memoryview(raw))
            asked = [call for call in mount.calls[before[1] :] if call.id]  # those with id 0 are told, not asked
            done = len(mount.replies) - before[0] + len(asked)
            assert done <= 1 and (done or not present or opcode in NO_REPLY)
