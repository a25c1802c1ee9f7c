"""Whatever an agent answers, the kernel is told nothing that cannot be, and nothing of anybody else's tree."""

import errno
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold.formats import fusenotices, fusereplies
from commonhold.formats.fuseflags import Opcode
from commonhold.ipc.treewords import Notice, Which
from commonhold.mount.replies import Lied
from commonhold.trees import MAX_NUMBER, MAX_SIZE, ROOT, Room
from commonhold.trees import Attr as TreeAttr
from tests.mount import desks, kernel
from tests.mount.desks import HOUR, NODE, SHOWN, Mount, said
from tests.mount.kernel import ALICE, BOB, PUBLIC, SHIFT

FILE = TreeAttr(7, 0o100644, 1, "alice@home", "alice@home", 5, 8, 1, 1, 1, 1, 0)
HUGE = (1 << 64) - 1
WRONG: list[Any] = [None, True, 1.5, "text", b"bytes", [], [1], {}, {"a": 1}, [None] * 12, -1, 1 << 63]
ATTRS: list[Any] = [
    *(one for one in WRONG),
    FILE._replace(number=0),
    FILE._replace(number=-1),
    FILE._replace(number=MAX_NUMBER + 1),
    FILE._replace(number=4 << SHIFT | 7),
    FILE._replace(number=HUGE),
    FILE._replace(mode=0),
    FILE._replace(mode=0o644),
    FILE._replace(mode=0o030644),
    FILE._replace(mode=0o150644),
    FILE._replace(mode=0o300644),
    FILE._replace(mode=-1),
    FILE._replace(mode=HUGE),
    FILE._replace(links=-1),
    FILE._replace(links=1 << 32),
    FILE._replace(size=-1),
    FILE._replace(size=MAX_SIZE + 1),
    FILE._replace(size=HUGE),
    FILE._replace(blocks=-1),
    FILE._replace(owner="o" * 256),
    FILE._replace(group="g" * 1_000_000),
    FILE._replace(device=-1),
    FILE._replace(device=1 << 32),
    list(FILE)[:-1],
    [*FILE, 0],
    [None, *FILE[1:]],
    [*FILE[:3], b"alice@home", *FILE[4:]],
    [*FILE[:3], None, *FILE[4:]],
    [*FILE[:5], "5", *FILE[6:]],
]
OTHERS = [FILE._replace(number=8), FILE._replace(number=ROOT)]
COUNTS: list[Any] = [None, True, "7", [], -1, 8, 1 << 32, HUGE, 1.0]
LIES: list[tuple[Opcode, bytes, list[Any]]] = [
    (Opcode.LOOKUP, kernel.named(b"x"), ATTRS),
    (Opcode.GETATTR, kernel.GETATTR, ATTRS + OTHERS),
    (Opcode.SETATTR, kernel.setattr_(1), ATTRS + OTHERS),
    (Opcode.MKDIR, kernel.mkdir(0o755, b"n"), ATTRS),
    (Opcode.LINK, kernel.link(NODE, b"n"), ATTRS),
    (Opcode.CREATE, kernel.create(0, 0o644, b"n"), [*ATTRS, FILE._replace(mode=0o40755), FILE._replace(mode=0o120777)]),
    (Opcode.TMPFILE, kernel.create(0, 0o644, b"/"), ATTRS),
    (Opcode.WRITE, kernel.write(0, b"content"), COUNTS),
    (Opcode.COPY_FILE_RANGE, kernel.copy(0, NODE, 9, 7), COUNTS),
    (Opcode.COPY_FILE_RANGE_64, kernel.copy(0, NODE, 9, 7), COUNTS),
    (Opcode.LSEEK, kernel.lseek(0, 3), [None, True, "7", [], -1, MAX_SIZE + 1, HUGE]),
    (
        Opcode.STATFS, b"",
        [*WRONG, Room(-4096, 0, 0, 0), Room(0, -1, 0, 0), Room(0, 0, -1, 0), Room(0, 0, 0, -1), [0, 0, 0], [0] * 5],
    ),
    (
        Opcode.LISTXATTR, kernel.listxattr(9),
        [None, 7, [""], ["text"], [b""], [b"a\0b"], [b"n" * 256], [[b"a"]], [b"n" * 255] * 257],
    ),
    (
        Opcode.GETLK, kernel.LOCK,
        [7, [], [0, 9, 1], [0, 9, 2, 7], [0, 9, -1, 7], [9, 0, 1, 7], [-1, 9, 1, 7], [0, HUGE, 1, 7], [0, 9, 1, -7]],
    ),
    (Opcode.READDIR, kernel.reading(0, 4096), [None, 7, [7], [[]], {}, [None]]),
    (Opcode.READDIRPLUS, kernel.reading(0, 4096), [None, 7, [7], [[]], {}, [None]]),
]  # fmt: skip
PAYLOADS = [
    (Opcode.READ, kernel.reading(0, 9), b"a" * 10),
    (Opcode.READLINK, b"", b""),
    (Opcode.READLINK, b"", b"a" * 4096),
    (Opcode.READLINK, b"", b"a\0b"),
    (Opcode.GETXATTR, kernel.getxattr(9, b"user.a"), b"a" * 65537),
    (Opcode.GETXATTR, kernel.getxattr(0, b"user.a"), b"a" * 65537),
    (Opcode.GETXATTR, kernel.getxattr(0, b"system.posix_acl_access"), b"user::rwx\n"),
    (Opcode.GETXATTR, kernel.getxattr(4096, b"system.posix_acl_default"), b"\xff"),
]


@pytest.fixture
def mount() -> Mount:
    found = Mount(ALICE, BOB)
    assert found.node(ALICE, 7) == NODE
    found.root(BOB)
    return found


@pytest.mark.parametrize(
    ("opcode", "body", "result"),
    [(opcode, body, result) for opcode, body, results in LIES for result in results],
    ids=lambda value: str(value)[:60] if not isinstance(value, Opcode) else value.name,
)
def test_a_result_that_cannot_be_is_an_error_and_a_lie(mount: Mount, opcode: Opcode, body: bytes, result: Any) -> None:
    unique = mount.ask(opcode, body, NODE)
    with pytest.raises(Lied):
        mount.answer(ALICE, unique, result)
    assert mount.only(unique).errno == errno.EIO and not mount.agents.asked(ALICE)


@pytest.mark.parametrize(("opcode", "body", "payload"), PAYLOADS)
def test_a_payload_that_cannot_be_is_an_error_and_a_lie(
    mount: Mount, opcode: Opcode, body: bytes, payload: bytes
) -> None:
    unique = mount.ask(opcode, body, NODE)
    with pytest.raises(Lied):
        mount.answer(ALICE, unique, None, payload=payload)
    assert mount.only(unique).errno == errno.EIO


@pytest.mark.parametrize("raw", [b"", b"\xc1", b"\x91", b"\xdd\xff\xff\xff\xff", b"\x91" * 100_000, bytes(50)])
def test_what_is_no_body_is_an_error_and_a_lie(mount: Mount, raw: bytes) -> None:
    for opcode, body, _ in LIES:
        unique = mount.ask(opcode, body, NODE)
        with pytest.raises(Lied):
            mount.say(ALICE, unique, 0, raw)
        assert mount.only(unique).errno == errno.EIO


@pytest.mark.parametrize("number", [512, 4095, 4096, 65535])
def test_an_errno_that_the_kernel_does_not_take_is_an_error_and_a_lie(mount: Mount, number: int) -> None:
    unique = mount.ask(Opcode.UNLINK, kernel.named(b"x"), NODE)
    with pytest.raises(Lied):
        mount.answer(ALICE, unique, error=number)
    assert mount.only(unique).errno == errno.EIO


@pytest.mark.parametrize("opcode", [case[0] for case in LIES] + [Opcode.FSYNC, Opcode.OPEN, Opcode.SETXATTR])
def test_no_agent_ends_a_call_for_all_others(mount: Mount, opcode: Opcode) -> None:
    """Of ENOSYS the kernel concludes that nobody answers such a call: it would take every fsync(2) for done."""
    bodies = {case[0]: case[1] for case in LIES} | {
        Opcode.FSYNC: kernel.FSYNC, Opcode.OPEN: kernel.opening(), Opcode.SETXATTR: kernel.setxattr(b"user.a", b""),
    }  # fmt: skip
    unique = mount.ask(opcode, bodies[opcode], NODE)
    mount.answer(ALICE, unique, error=errno.ENOSYS)
    assert mount.only(unique).errno == errno.EOPNOTSUPP


@pytest.mark.parametrize(
    "found",
    [FILE._replace(number=ROOT), FILE._replace(number=ROOT, mode=0o120777), FILE._replace(number=8, mode=0o40755)],
)
def test_where_a_users_name_leads_is_for_no_agent_to_say(mount: Mount, found: TreeAttr) -> None:
    unique = mount.ask(Opcode.LOOKUP, kernel.named(b"bob"), 2)
    with pytest.raises(Lied):
        mount.answer(BOB, unique, found)
    assert mount.only(unique).errno == errno.EIO


def test_owners_that_nobody_here_has_are_shown_as_nobody(mount: Mount) -> None:
    for owner in ("alice@elsewhere", "nobody at all", "", "@home", "alice@home@home", "é@home"):
        unique = mount.ask(Opcode.GETATTR, kernel.GETATTR, NODE)
        mount.answer(ALICE, unique, desks.FILE._replace(owner=owner, group=owner))
        assert mount.only(unique) == said(fusereplies.attr(0, HOUR, SHOWN._replace(uid=65534, gid=65534)))


# ── notices ──

NO_OBJECTS: list[Any] = [None, 7, [], [7, 8], ["7"], [7.0], [True], {}, [None]]
NO_NAMES: list[Any] = [None, [], [7], [b"name"], [7, "name"], [7, b"name", 1], [7, None]]
NO_NUMBERS = [0, -1, -(1 << 63), MAX_NUMBER + 1, 4 << SHIFT | 7, HUGE]
NOTICES: list[tuple[int, Any]] = [
    *((code, [7]) for code in (0, 4, 99, 65535)),
    *((code, said) for code in (Notice.OBJECT, Notice.NAMELESS) for said in NO_OBJECTS),
    *((Notice.NAME, said) for said in NO_NAMES),
    *((Notice.OBJECT, [number]) for number in NO_NUMBERS),
    *((Notice.NAME, [number, b"name"]) for number in NO_NUMBERS),
    *((Notice.NAME, [7, name]) for name in (b"", b"n" * 256, b"n" * 100_000)),
]


@pytest.mark.parametrize(("code", "said"), NOTICES, ids=lambda value: str(value)[:40])
def test_a_notice_that_is_none_is_a_lie(mount: Mount, code: int, said: Any) -> None:
    with pytest.raises(Lied):
        mount.answer(ALICE, 0, said, error=code)
    assert not mount.replies and not mount.told


def test_a_notice_is_of_the_trees_own_whose_it_is() -> None:
    mount = Mount(ALICE, PUBLIC)
    mount.root(ALICE)
    said: tuple[tuple[int, int, int], ...] = (
        (ALICE, Which.VOLUME, 3),
        (PUBLIC, Which.IPFS, 1),
        (PUBLIC, Which.IPNS, 2),
    )
    for uid, which, slot in said:
        mount.answer(uid, 0, [7], error=Notice.OBJECT, tree=which)
        mount.answer(uid, 0, [7, b"name"], error=Notice.NAME, tree=which)
        node = slot << SHIFT | 7
        assert mount.told == [fusenotices.inval_inode(node, 0, 0), fusenotices.inval_entry(node, b"name", 0)]
        mount.told.clear()


@pytest.mark.parametrize(("uid", "which"), [(BOB, 0), (ALICE, 1), (ALICE, 2), (ALICE, 3), (PUBLIC, 0), (PUBLIC, 255)])
def test_nobody_has_anything_to_say_of_a_tree_that_the_kernel_knows_not_or_as_anothers(uid: int, which: int) -> None:
    mount = Mount(ALICE, BOB, PUBLIC)
    mount.root(ALICE)
    mount.answer(uid, 0, [7], error=Notice.OBJECT, tree=which)
    assert not mount.told and mount.slots.users == [ALICE]


ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=13) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=20,
)
NUMBERS = st.integers(-(1 << 63), (1 << 64) - 1) | st.sampled_from([0, 1, 7, 0o100644, 0o40755, MAX_NUMBER])
LIKE_ATTRS = st.builds(TreeAttr, NUMBERS, NUMBERS, NUMBERS, st.text(max_size=20), st.text(max_size=20), *[NUMBERS] * 7)
LIKE_ITEMS = st.lists(st.tuples(st.binary(max_size=300), NUMBERS, NUMBERS, NUMBERS, st.none() | LIKE_ATTRS), max_size=9)


@settings(deadline=None)
@given(st.sampled_from(LIES), ANY | LIKE_ATTRS | LIKE_ITEMS, st.binary(max_size=5000), st.integers(0, 65535))
def test_any_answer_is_a_reply_that_the_kernel_takes_or_a_lie(
    case: tuple[Opcode, bytes, list[Any]], result: Any, payload: bytes, code: int
) -> None:
    mount = Mount(ALICE, BOB)
    mount.root(ALICE)
    unique = mount.ask(case[0], case[1], NODE)
    try:
        mount.say(ALICE, unique, code if code < 600 and code % 2 else 0, msgspec.msgpack.encode(result), payload)
    except Lied:
        assert mount.only(unique).errno == errno.EIO
    answer = mount.only(unique)
    if answer.errno == 0 and case[0] in (Opcode.LOOKUP, Opcode.MKDIR, Opcode.LINK, Opcode.CREATE, Opcode.TMPFILE):
        assert answer.body[6:8] == (3).to_bytes(2, "little")  # Alice's slot
