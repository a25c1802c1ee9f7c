"""Attributes are changed, asked for and set as trees have them, and refused where no tree keeps them."""

import errno
from typing import Any

import pytest

from commonhold.formats import acl, fusereplies
from commonhold.formats.acl import Acl
from commonhold.formats.fuseflags import Opcode
from commonhold.formats.fuseflags import SetattrFlag as V
from commonhold.trees import NOW
from tests.mount import kernel
from tests.mount.desks import FILE, HOUR, NODE, SHOWN, Answer, Mount, said, two_users
from tests.mount.kernel import ALICE, BOB, CAROL, STRANGER

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
    return two_users()


@pytest.mark.parametrize(("valid", "fields", "change"), CHANGES)
def test_only_what_is_to_change_is_asked_for(
    mount: Mount, valid: int, fields: dict[str, int], change: dict[int, Any]
) -> None:
    unique = mount.ask(Opcode.SETATTR, kernel.setattr_(valid, **fields), NODE)
    (call,) = mount.calls
    expected = [change.get(at) for at in range(7)] + [change.get(7, False)]
    assert (call.name, call.given[0], list(call.given[1])) == ("change", 7, expected)
    mount.answer(ALICE, unique, FILE)
    assert mount.only(unique) == said(fusereplies.attr(0, HOUR, SHOWN))


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
