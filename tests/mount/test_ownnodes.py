"""The mount's own nodes: three directories, and a link for each caller to their own tree."""

import errno

import pytest

from commonhold.formats import fusereplies
from commonhold.formats.fuseflags import Opcode, SetattrFlag
from commonhold.formats.fusereplies import Statfs
from commonhold.trees import MAX_IO, ROOT
from tests.mount import kernel
from tests.mount.desks import FOLDER, Answer, Mount, said, two_users
from tests.mount.kernel import ALICE, BOB, SHIFT, STRANGER


@pytest.fixture
def mount() -> Mount:
    return two_users()


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
    (Opcode.SETATTR, kernel.setattr_(SetattrFlag.MODE)),
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
    assert mount.only(mount.ask(Opcode.STATFS, b"", 1)) == said(empty)
    assert mount.only(mount.ask(Opcode.LISTXATTR, kernel.listxattr(9), 1)) == Answer(0, b"")
    assert mount.only(mount.ask(Opcode.GETXATTR, kernel.getxattr(9, b"user.a"), 1)).errno == errno.ENODATA
    assert mount.only(mount.ask(Opcode.FSYNCDIR, kernel.FSYNC, 1)) == Answer(0, b"")
    assert mount.only(mount.ask(Opcode.READLINK, b"", 2)).errno == errno.EINVAL
    assert mount.only(mount.ask(Opcode.OPEN, kernel.opening(), 2)).errno == errno.EACCES
