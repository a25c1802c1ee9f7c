"""What the kernel asks goes to the agent whose node it is, and what that answers goes back: transcripts."""

import errno
import os
import stat
from typing import Any

import pytest

from commonhold.formats import acl, fusereplies
from commonhold.formats.acl import Acl
from commonhold.formats.fuse import NO_REPLY
from commonhold.formats.fuseflags import InitFlag, Opcode, OpenFlag, SetattrFlag, WriteFlag
from commonhold.formats.fusereplies import Attr, Entry, Opened, Reply, Statfs
from commonhold.formats.malformed import Malformed
from commonhold.ipc.treewords import RESENT, Notice, Which
from commonhold.mount.slots import IPFS_SLOT, IPNS_SLOT
from commonhold.trees import MAX_IO, NOW, ROOT, Item, Room
from commonhold.trees import Attr as TreeAttr
from tests import vectors
from tests.mount import kernel
from tests.mount.desks import PUBLIC_ROOT, Answer, Mount
from tests.mount.kernel import ALICE, BOB, CAROL, PUBLIC, SHIFT, STRANGER

HOUR = 3600 * 10**9
NODE = 3 << SHIFT | 7  # the first user's
FILE = TreeAttr(7, 0o100644, 1, "alice@home", "bob@home", 5, 8, 1_500_000_000, 2_000_000_001, -1, 0, 0)
FOLDER = FILE._replace(mode=0o40755)
LINK = FILE._replace(mode=0o120777)
TIMES = (1, 2, -1, 500_000_000, 1, 999_999_999)
SHOWN = Attr(NODE, 5, 8, *TIMES, 0o100644, 1, ALICE, BOB, 0, 4096)
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
NOTHING = [None] * 7
V = SetattrFlag

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
    (Opcode.WRITE, kernel.write(5, b"content"), "write", [7, 5, False], 7, b"", fusereplies.written(0, 7)),
    (
        Opcode.WRITE, kernel.write(5, b"content", int(WriteFlag.KILL_SUIDGID)), "write", [7, 5, True], 3, b"",
        fusereplies.written(0, 3),
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
CHANGES = [
    (V.MODE, {"mode": 0o104755}, {0: 0o4755}),
    (V.UID | V.GID, {"uid": BOB, "gid": CAROL}, {1: "bob@home", 2: "carol@home"}),
    (V.SIZE | V.KILL_SUIDGID, {"size": 9}, {3: 9, 7: True}),
    (V.ATIME | V.MTIME, {"atime": 3, "atimensec": 4, "mtime": -1, "mtimensec": 5}, {4: 3 * 10**9 + 4, 5: 5 - 10**9}),
    (V.ATIME | V.ATIME_NOW | V.MTIME | V.MTIME_NOW, {"atime": 3, "mtime": 4}, {4: NOW, 5: NOW}),
    (V.CTIME | V.FH | V.LOCKOWNER, {"ctime": 6, "ctimensec": 7, "size": 9, "mode": 1}, {6: 6 * 10**9 + 7}),
]


@pytest.fixture
def mount() -> Mount:
    found = Mount(ALICE, BOB)
    assert found.node(ALICE, 7) == NODE
    found.root(BOB)
    return found


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
    assert mount.only(unique) == _said(reply)
    assert not mount.starts


@pytest.mark.parametrize("case", CALLS, ids=[f"{case[0].name}-{number}" for number, case in enumerate(CALLS)])
def test_an_agents_errno_is_what_the_kernel_is_told(mount: Mount, case: Any) -> None:
    unique = mount.ask(case[0], case[1], NODE)
    mount.answer(ALICE, unique, error=errno.EDQUOT)
    assert mount.only(unique) == Answer(errno.EDQUOT, b"")


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _said(reply: Reply) -> Answer:
    return Answer(-int.from_bytes(reply[0][4:8], "little", signed=True), reply[0][16:] + bytes(reply[1]))


@pytest.mark.parametrize(("valid", "fields", "change"), CHANGES)
def test_only_what_is_to_change_is_asked_for(
    mount: Mount, valid: int, fields: dict[str, int], change: dict[int, Any]
) -> None:
    unique = mount.ask(Opcode.SETATTR, kernel.setattr_(valid, **fields), NODE)
    (call,) = mount.calls
    expected = [change.get(at) for at in range(7)] + [change.get(7, False)]
    assert (call.name, call.given[0], list(call.given[1])) == ("change", 7, expected)
    mount.answer(ALICE, unique, FILE)
    assert mount.only(unique) == _said(ATTR)


@pytest.mark.parametrize("seconds", [1 << 40, (1 << 63) - 1, -(1 << 40), -(1 << 63)])
def test_a_time_that_no_tree_can_have_is_the_last_or_the_first_that_it_can(mount: Mount, seconds: int) -> None:
    """utimensat(2) lets everybody ask for it."""
    mount.ask(Opcode.SETATTR, kernel.setattr_(V.ATIME | V.MTIME | V.CTIME, atime=seconds, mtime=seconds), NODE)
    (call,) = mount.calls
    end = (1 << 63) - 1 if seconds > 0 else NOW + 1
    assert call.given[1].accessed == call.given[1].modified == end and call.given[1].changed == 0


def test_an_owner_whom_nobody_knows_is_not_given_anything(mount: Mount) -> None:
    for valid in (V.UID, V.GID):
        unique = mount.ask(Opcode.SETATTR, kernel.setattr_(valid, uid=STRANGER, gid=STRANGER), NODE)
        assert mount.only(unique).errno == errno.EINVAL
    assert not mount.calls


def test_owners_that_nobody_here_has_are_shown_as_nobody(mount: Mount) -> None:
    for owner in ("alice@elsewhere", "nobody at all", "", "@home", "alice@home@home", "é@home"):
        unique = mount.ask(Opcode.GETATTR, kernel.GETATTR, NODE)
        mount.answer(ALICE, unique, FILE._replace(owner=owner, group=owner))
        assert mount.only(unique) == _said(fusereplies.attr(0, HOUR, SHOWN._replace(uid=65534, gid=65534)))


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


# ── the mount's own nodes ──


def entry_of(answer: Answer) -> tuple[int, int, int, int]:
    """Of a LOOKUP: node, seconds for which the name is good, mode, uid."""
    words = [int.from_bytes(answer.body[at : at + 8], "little") for at in range(0, 128, 8)]
    return words[0], words[2], words[12] >> 32, words[13] >> 32


def test_the_root_has_three_directories(mount: Mount) -> None:
    for name, node in ((b"hold", 2), (b"ipfs", 1 << SHIFT | 1), (b"ipns", 2 << SHIFT | 1)):
        found = entry_of(mount.only(mount.ask(Opcode.LOOKUP, kernel.named(name), ROOT)))
        assert found == (node, 3600, 0o40755, 0)
        assert mount.only(mount.ask(Opcode.GETATTR, kernel.GETATTR, node)).errno == 0
    assert mount.only(mount.ask(Opcode.LOOKUP, kernel.named(b"home"), ROOT)).errno == errno.ENOENT
    assert not mount.calls and not mount.starts


def test_me_is_another_link_for_every_caller_and_kept_for_none(mount: Mount) -> None:
    seen = set()
    for uid, name in ((ALICE, b"alice"), (BOB, b"bob")):
        node, valid, mode, owner = entry_of(mount.only(mount.ask(Opcode.LOOKUP, kernel.named(b"me"), 2, uid=uid)))
        assert (valid, mode, owner) == (0, 0o120777, uid)
        assert mount.only(mount.ask(Opcode.READLINK, b"", node, uid=uid)) == Answer(0, name)
        seen.add(node)
    assert len(seen) == 2
    assert mount.only(mount.ask(Opcode.LOOKUP, kernel.named(b"me"), 2, uid=STRANGER)).errno == errno.ENOENT


def test_whose_tree_it_is_says_the_name(mount: Mount) -> None:
    unique = mount.ask(Opcode.LOOKUP, kernel.named(b"bob"), 2)
    (call,) = mount.calls
    assert (call.uid, call.name, list(call.given)) == (BOB, "attr", [ROOT])
    mount.answer(BOB, unique, FOLDER._replace(number=ROOT))
    assert entry_of(mount.only(unique))[0] == mount.root(BOB)
    assert mount.only(mount.ask(Opcode.LOOKUP, kernel.named(b"mallory"), 2)).errno == errno.ENOENT


def test_as_many_users_as_there_can_be_and_no_more(mount: Mount, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("commonhold.mount.slots.MAX_SLOTS", 5)
    assert mount.only(mount.ask(Opcode.LOOKUP, kernel.named(b"carol"), 2)).errno == errno.ENFILE


OWN = [1, 2, 1 << 40 | ALICE]
CHANGING = [
    (Opcode.SETATTR, kernel.setattr_(V.MODE)),
    (Opcode.WRITE, kernel.write(0, b"data")),
    (Opcode.SETXATTR, kernel.setxattr(b"user.a", b"v")),
    (Opcode.REMOVEXATTR, kernel.named(b"user.a")),
    (Opcode.FALLOCATE, kernel.fallocate(0, 1, 0)),
    (Opcode.MKDIR, kernel.mkdir(0o755, b"n")),
    (Opcode.CREATE, kernel.create(0, 0o644, b"n")),
    (Opcode.TMPFILE, kernel.create(0, 0o644, b"/")),
    (Opcode.SYMLINK, b"n\0to\0"),
    (Opcode.UNLINK, kernel.named(b"me")),
    (Opcode.RMDIR, kernel.named(b"bob")),
    (Opcode.RENAME, kernel.rename(1, b"ipfs", b"ipns")),
    (Opcode.LINK, kernel.link(2, b"n")),
]


@pytest.mark.parametrize("node", OWN)
def test_nobody_changes_the_mounts_own_nodes(mount: Mount, node: int) -> None:
    for opcode, body in CHANGING:
        for uid in (0, ALICE):
            assert mount.only(mount.ask(opcode, body, node, uid=uid)).errno == errno.EPERM, opcode
    assert not mount.calls and not mount.starts


@pytest.mark.parametrize("node", [0, 3, (1 << 40) - 1, 1 << 40 | STRANGER, 1 << 47, 1 << 41 | ALICE])
def test_what_is_no_node_of_the_mounts_own_is_stale(mount: Mount, node: int) -> None:
    assert mount.only(mount.ask(Opcode.GETATTR, kernel.GETATTR, node)).errno == errno.ESTALE


def test_the_mounts_own_nodes_have_room_for_nothing_and_no_attributes(mount: Mount) -> None:
    empty = fusereplies.statfs(0, Statfs(0, 0, 0, 0, 0, MAX_IO, 255, 4096))
    assert mount.only(mount.ask(Opcode.STATFS, b"", 1)) == _said(empty)
    assert mount.only(mount.ask(Opcode.LISTXATTR, kernel.listxattr(9), 1)) == Answer(0, b"")
    assert mount.only(mount.ask(Opcode.GETXATTR, kernel.getxattr(9, b"user.a"), 1)).errno == errno.ENODATA
    assert mount.only(mount.ask(Opcode.FSYNCDIR, kernel.FSYNC, 1)) == Answer(0, b"")
    assert mount.only(mount.ask(Opcode.READLINK, b"", 2)).errno == errno.EINVAL
    assert mount.only(mount.ask(Opcode.OPEN, kernel.opening(), 2)).errno == errno.EACCES


# ── what is answered at once ──


@pytest.mark.parametrize("name", [b"security.capability", b"system.other", b"other.kind", b"user"])
def test_attributes_that_nobody_keeps_are_no_agents_business(mount: Mount, name: bytes) -> None:
    asked = mount.ask(Opcode.GETXATTR, kernel.getxattr(0, name), NODE)
    kept = errno.ENODATA if name.startswith(b"security.") else errno.EOPNOTSUPP
    assert mount.only(asked).errno == kept
    for opcode, body in ((Opcode.SETXATTR, kernel.setxattr(name, b"v")), (Opcode.REMOVEXATTR, kernel.named(name))):
        assert mount.only(mount.ask(opcode, body, NODE)).errno == errno.EOPNOTSUPP
    assert not mount.calls


KERNELS = acl.to_kernel(Acl(7, ((ALICE, 6), (BOB, 4)), 5, ((CAROL, 4),), 6, 0))
TREES = b"user::rwx\nuser:alice@home:rw-\nuser:bob@home:r--\ngroup::r-x\ngroup:carol@home:r--\nmask::rw-\nother::---\n"


@pytest.mark.parametrize("name", acl.NAMES)
def test_a_tree_has_acls_of_principals_and_the_kernel_of_ids(mount: Mount, name: bytes) -> None:
    mount.ask(Opcode.SETXATTR, kernel.setxattr(name, KERNELS, 1), NODE)
    assert list(mount.calls.pop().given) == [7, name, TREES, 1]
    asked = mount.ask(Opcode.GETXATTR, kernel.getxattr(4096, name), NODE)
    mount.answer(ALICE, asked, None, payload=TREES)
    assert mount.only(asked) == Answer(0, KERNELS)


@pytest.mark.parametrize("value", [b"", KERNELS[:-1], acl.to_kernel(Acl(7, ((STRANGER, 6),), 5, (), 6, 0))])
def test_an_acl_that_is_none_or_names_nobody_is_refused(mount: Mount, value: bytes) -> None:
    assert mount.only(mount.ask(Opcode.SETXATTR, kernel.setxattr(acl.ACCESS, value), NODE)).errno == errno.EINVAL
    assert not mount.calls


def test_whoever_has_no_id_here_is_left_out_of_an_acl(mount: Mount) -> None:
    asked = mount.ask(Opcode.GETXATTR, kernel.getxattr(4096, acl.ACCESS), NODE)
    mount.answer(ALICE, asked, None, payload=TREES.replace(b"alice@home", b"alice@elsewhere"))
    assert mount.only(asked) == Answer(0, acl.to_kernel(Acl(7, ((BOB, 4),), 5, ((CAROL, 4),), 6, 0)))


@pytest.mark.parametrize("name", [b"user.", b"trusted."])
def test_an_attribute_has_a_name_after_its_kind(mount: Mount, name: bytes) -> None:
    for opcode, body in ((Opcode.SETXATTR, kernel.setxattr(name, b"v")), (Opcode.REMOVEXATTR, kernel.named(name)),
                         (Opcode.GETXATTR, kernel.getxattr(9, name))):  # fmt: skip
        assert mount.only(mount.ask(opcode, body, NODE)).errno == errno.EINVAL
    assert not mount.calls


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
            mount.desk.arrived(uid)
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


def test_no_holes_are_told_of_by_who_does_not_know_what_was_open_before(mount: Mount) -> None:
    mount.slots.worker = 2
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


# ── sent again ──


def test_what_is_sent_again_says_so_and_is_answered_as_it_was_asked(mount: Mount) -> None:
    unique = mount.ask(Opcode.UNLINK, kernel.named(b"x"), NODE, unique=0x40 | 1 << 63)
    (call,) = mount.calls
    assert (call.id, call.flags) == (0x40, RESENT)
    mount.answer(ALICE, 0x40, None)
    assert mount.only(unique) == Answer(0, b"")


def test_data_is_taken_while_it_is_good(mount: Mount) -> None:
    raw = bytearray(kernel.request(Opcode.WRITE, kernel.write(0, b"data"), NODE))
    mount.desk.ask(memoryview(raw))
    waiting = bytearray(kernel.request(Opcode.WRITE, kernel.write(0, b"more"), mount.node(CAROL, 7), unique=10))
    mount.desk.ask(memoryview(waiting))
    raw[-4:] = waiting[-4:] = b"GONE"
    mount.desk.arrived(CAROL)
    assert [call.payload for call in mount.calls] == [b"data", b"more"]


def test_a_worker_that_follows_gives_other_handles() -> None:
    mount = Mount(ALICE)
    unique = mount.ask(Opcode.OPEN, kernel.opening(), mount.node(ALICE, 7))
    mount.answer(ALICE, unique)
    handle = int.from_bytes(mount.only(unique).body[:8], "little")
    assert handle >> 40 == mount.slots.worker and stat.S_ISREG(FILE.mode)
