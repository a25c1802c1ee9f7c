"""Requests of the kernel: as it wrote them, as its header has them, and as nobody should send them."""

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.formats import fuse
from commonhold.formats.fuse import BadRequest, Request
from commonhold.formats.fusebodies import Bmap, Forget, Getxattr, Init, Nothing, Read, Rename, Setxattr, Unknown, Write
from commonhold.formats.fuseflags import InitFlag, Opcode
from commonhold.formats.fusereaders import HEADER, MAX_IO, READERS
from commonhold.formats.malformed import Malformed
from tests import vectors
from tests.fusevectors import described, refused

CASES = vectors.cases("fuse-requests")


def message(opcode: int, body: bytes, extensions: bytes = b"", nodeid: int = 2) -> bytes:
    """A request with a sound header."""
    length = HEADER + len(body) + len(extensions)
    head = struct.pack("<IIQQIIIHH", length, opcode, 8, nodeid, 1000, 100, 77, len(extensions) // 8, 0)
    return head + body + extensions


@pytest.mark.parametrize("case", CASES, ids=[str(number) for number in range(len(CASES))])
def test_what_a_kernel_wrote_is_read_as_it_was_meant(case: dict[str, object]) -> None:
    raw = bytes.fromhex(str(case["hex"]))
    for data in (raw, memoryview(bytearray(raw))):
        try:
            assert described(fuse.parse(data)) == case["request"]
        except BadRequest as bad:
            assert refused(bad) == case["refused"]


def test_the_vectors_have_every_opcode_but_those_that_no_ordinary_mount_gets() -> None:
    seen = {case["request"]["opcode"] for case in CASES if "request" in case}
    assert {opcode.name for opcode in Opcode} - seen == {"BMAP", "DESTROY", "SYNCFS"}
    assert set(READERS) == set(Opcode)


@pytest.mark.parametrize("case", CASES, ids=[str(number) for number in range(len(CASES))])
def test_what_is_cut_short_or_goes_on_is_refused(case: dict[str, object]) -> None:
    raw = bytes.fromhex(str(case["hex"]))
    opcode = struct.unpack_from("<I", raw, 4)[0]
    for changed in [raw[:length] for length in range(len(raw))] + [raw + b"\0", raw + b"a\0"]:
        with pytest.raises(Malformed) as unanswered:
            fuse.parse(changed)
        assert not isinstance(unanswered.value, BadRequest)
        if len(changed) < HEADER:
            continue
        whole = struct.pack("<I", len(changed)) + changed[4:]
        if opcode == Opcode.INIT and len(changed) >= HEADER + 16:
            assert isinstance(fuse.parse(whole).body, Init)
            continue
        with pytest.raises(BadRequest):
            fuse.parse(whole)


def test_what_the_header_has_and_no_kernel_sent() -> None:
    assert fuse.parse(message(Opcode.BMAP, struct.pack("<QII", 7, 4096, 0))).body == Bmap(7, 4096)
    assert fuse.parse(message(Opcode.SYNCFS, bytes(8))).body == Nothing()
    assert fuse.parse(message(Opcode.DESTROY, b"")).body == Nothing()


@pytest.mark.parametrize("opcode", [0, 7, 48, 49, 54, 4096, 0xFFFFFFFF])
def test_an_opcode_that_we_do_not_know_is_a_value(opcode: int) -> None:
    request = fuse.parse(message(opcode, b"whatever"))
    assert (request.opcode, request.unique, request.body) == (opcode, 8, Unknown())


def test_a_request_that_is_sent_again_says_so() -> None:
    raw = message(Opcode.STATFS, b"")
    again = fuse.parse(raw[:8] + struct.pack("<Q", 8 | 1 << 63) + raw[16:])
    assert again.resent and again.unique == 8 | 1 << 63 and not fuse.parse(raw).resent


def test_an_init_of_an_earlier_kernel_has_no_second_flags() -> None:
    flags = int(InitFlag.ASYNC_READ | InitFlag.INIT_EXT)
    short = fuse.parse(message(Opcode.INIT, struct.pack("<IIII", 7, 31, 65536, flags), nodeid=0))
    assert short.body == Init(7, 31, 65536, flags)
    body = struct.pack("<IIIII", 7, 45, 65536, flags, 1 << 7) + bytes(44)
    long = fuse.parse(message(Opcode.INIT, body, nodeid=0)).body
    assert isinstance(long, Init) and long.flags == flags | InitFlag.HAS_RESEND


def test_forgets_say_which_nodes() -> None:
    assert fuse.parse(message(Opcode.FORGET, struct.pack("<Q", 3))).body == Forget(((2, 3),))
    body = struct.pack("<IIQQQQ", 2, 0, 5, 1, 6, 2)
    assert fuse.parse(message(Opcode.BATCH_FORGET, body)).body == Forget(((5, 1), (6, 2)))


def test_data_is_a_view_of_the_buffer_and_not_a_copy() -> None:
    buffer = bytearray(message(Opcode.WRITE, struct.pack("<QQIIQII", 1, 2, 4, 0, 0, 0, 0) + b"data"))
    body = fuse.parse(memoryview(buffer)).body
    assert isinstance(body, Write) and bytes(body.data) == b"data"
    buffer[-4:] = b"DATA"
    assert bytes(body.data) == b"DATA"


NAMES = st.binary(min_size=1, max_size=255).filter(lambda name: 0 not in name)


@given(NAMES, st.binary(max_size=40), st.integers(0, (1 << 32) - 1), st.integers(0, 1))
def test_both_forms_of_setxattr_are_told_apart(name: bytes, value: bytes, flags: int, more: int) -> None:
    rest = name + b"\0" + value
    shorter = message(Opcode.SETXATTR, struct.pack("<II", len(value), flags) + rest)
    assert fuse.parse(shorter).body == Setxattr(flags, 0, name, value)
    longer = message(Opcode.SETXATTR, struct.pack("<IIII", len(value), flags, more, 0) + rest)
    assert fuse.parse(longer).body == Setxattr(flags, more, name, value)


def test_names_of_attributes_may_have_what_names_of_files_may_not() -> None:
    request = fuse.parse(message(Opcode.GETXATTR, struct.pack("<II", 9, 0) + b"user./..\0"))
    assert request.body == Getxattr(9, b"user./..")


def test_renames_have_two_names() -> None:
    rest = b"a\0" + b"b" * 255 + b"\0"
    assert fuse.parse(message(Opcode.RENAME, struct.pack("<Q", 5) + rest)).body == Rename(5, 0, b"a", b"b" * 255)
    assert fuse.parse(message(Opcode.RENAME2, struct.pack("<QII", 5, 2, 0) + rest)).body == Rename(
        5, 2, b"a", b"b" * 255
    )


GROUPS = struct.pack("<IIIII4x", 20, 32, 2, 100, 5000)
CONTEXT = struct.pack("<IIII", 48, 1, 9, 0) + b"security.selinux\0" + b"label:of\0" + bytes(6)


def created(extensions: bytes) -> Request:
    return fuse.parse(message(Opcode.CREATE, struct.pack("<IIII", 66, 0o100644, 0o22, 0) + b"new\0", extensions))


def test_groups_and_a_security_attribute_come_after_the_body() -> None:
    assert created(GROUPS).extensions == ((100, 5000), None)
    assert created(CONTEXT).extensions == ((), (b"security.selinux", b"label:of\0"))
    assert created(CONTEXT + GROUPS).extensions == ((100, 5000), (b"security.selinux", b"label:of\0"))
    assert created(struct.pack("<II", 8, 0)).extensions == ((), None)  # no security attribute


def test_an_extension_that_we_do_not_know_is_passed_over() -> None:
    assert created(struct.pack("<IIQ", 16, 99, 7) + GROUPS).extensions == ((100, 5000), None)


@pytest.mark.parametrize(
    "extensions",
    [
        bytes(8),
        struct.pack("<IIQ", 7, 99, 0),
        struct.pack("<IIQ", 17, 99, 0),
        struct.pack("<II", 8, 32),
        struct.pack("<IIII", 16, 32, 2, 0),
        struct.pack("<IIII", 16, 32, 0xFFFFFFFF, 0),
        struct.pack("<II", 8, 1),
        struct.pack("<IIII", 16, 1, 0, 0),
        struct.pack("<IIII", 24, 1, 7, 0) + b"name\0abc",
        struct.pack("<IIII", 24, 2, 3, 0) + b"name\0abc",
        struct.pack("<IIII", 24, 1, 3, 0) + b"\0name\0ab",
    ],
)
def test_an_extension_that_contradicts_itself_is_refused(extensions: bytes) -> None:
    with pytest.raises(BadRequest):
        created(extensions)


def test_more_extensions_than_there_are_bytes_are_refused() -> None:
    raw = bytearray(message(Opcode.STATFS, b""))
    raw[36:38] = b"\xff\xff"
    with pytest.raises(BadRequest):
        fuse.parse(raw if isinstance(raw, memoryview) else bytes(raw))


@pytest.mark.parametrize("opcode", [Opcode.LOOKUP, Opcode.UNLINK, Opcode.RMDIR])
def test_a_name_of_255_bytes_is_taken_and_a_longer_one_is_too_long(opcode: Opcode) -> None:
    fuse.parse(message(opcode, b"\xff" * 255 + b"\0"))
    with pytest.raises(BadRequest) as refusal:
        fuse.parse(message(opcode, b"n" * 256 + b"\0"))
    assert (refusal.value.opcode, refusal.value.unique, refusal.value.errno) == (opcode, 8, errno.ENAMETOOLONG)


WITH_NAMES = {
    Opcode.LOOKUP: "", Opcode.MKNOD: "IIII", Opcode.MKDIR: "II", Opcode.LINK: "Q", Opcode.CREATE: "IIII",
}  # fmt: skip


@pytest.mark.parametrize("opcode", WITH_NAMES)
@pytest.mark.parametrize("name", [b"", b"\0", b"name", b"na\0me\0", b"name\0\0", b".\0", b"..\0", b"a/b\0", b"/\0"])
def test_what_is_no_name_is_refused(opcode: Opcode, name: bytes) -> None:
    with pytest.raises(BadRequest) as refusal:
        fuse.parse(message(opcode, bytes(struct.calcsize("<" + WITH_NAMES[opcode])) + name))
    assert refusal.value.errno == errno.EIO


FAR = (1 << 63) - 1


def read(offset: int, size: int) -> bytes:
    return struct.pack("<QQIIQII", 1, offset, size, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("opcode", "body"),
    [
        (Opcode.READ, read(0, MAX_IO + 1)),
        (Opcode.READ, read(FAR, 1)),
        (Opcode.READ, read(1 << 63, 0)),
        (Opcode.READDIR, read(0, MAX_IO + 1)),
        (Opcode.READDIRPLUS, read(0, 0xFFFFFFFF)),
        (Opcode.WRITE, read(0, 2) + b"a"),
        (Opcode.WRITE, read(0, 0) + b"a"),
        (Opcode.WRITE, read(FAR, 1) + b"a"),
        (Opcode.WRITE, read(0, MAX_IO + 1) + bytes(MAX_IO + 1)),
        (Opcode.SETATTR, struct.pack("<II", 8, 0) + struct.pack("<QQ", 0, 1 << 63) + bytes(64)),
        (Opcode.SETATTR, struct.pack("<II", 16, 0) + bytes(48) + struct.pack("<I", 1_000_000_000) + bytes(28)),
        (Opcode.SETLK, struct.pack("<QQQQIIII", 1, 2, 5, 4, 1, 3, 0, 0)),
        (Opcode.SETLK, struct.pack("<QQQQIIII", 1, 2, 0, 1 << 63, 1, 3, 0, 0)),
        (Opcode.SETLK, struct.pack("<QQQQIIII", 1, 2, 0, 1, 3, 3, 0, 0)),
        (Opcode.FALLOCATE, struct.pack("<QQQII", 1, FAR, 1, 0, 0)),
        (Opcode.COPY_FILE_RANGE, struct.pack("<QQQQQQQ", 1, 1 << 63, 2, 2, 0, 1, 0)),
        (Opcode.COPY_FILE_RANGE_64, struct.pack("<QQQQQQQ", 1, 0, 2, 2, 1 << 63, 1, 0)),
        (Opcode.SYMLINK, b"name\0\0"),
        (Opcode.SYMLINK, b"name\0" + b"t" * 4096 + b"\0"),
        (Opcode.SYMLINK, b"name\0target"),
        (Opcode.SYMLINK, b"name\0target\0more\0"),
        (Opcode.RENAME, struct.pack("<Q", 1) + b"one\0"),
        (Opcode.RENAME, struct.pack("<Q", 1) + b"one\0..\0"),
        (Opcode.RENAME2, struct.pack("<QII", 1, 0, 0) + b"one\0two"),
        (Opcode.TMPFILE, bytes(16)),
        (Opcode.TMPFILE, bytes(16) + b"/"),
        (Opcode.BATCH_FORGET, struct.pack("<IIQQ", 2, 0, 5, 1)),
        (Opcode.BATCH_FORGET, struct.pack("<II", 0xFFFFFFFF, 0)),
        (Opcode.GETXATTR, struct.pack("<II", 65537, 0) + b"user.a\0"),
        (Opcode.GETXATTR, bytes(8) + b"u" * 256 + b"\0"),
        (Opcode.GETXATTR, bytes(8) + b"\0"),
        (Opcode.LISTXATTR, struct.pack("<II", 65537, 0)),
        (Opcode.SETXATTR, struct.pack("<II", 2, 0) + b"user.a\0v"),
        (Opcode.SETXATTR, struct.pack("<II", 65537, 0) + b"user.a\0" + bytes(65537)),
        (Opcode.SETXATTR, struct.pack("<IIII", 1, 0, 0, 0) + b"\0v"),
        (Opcode.REMOVEXATTR, b"user.a"),
        (Opcode.IOCTL, struct.pack("<QIIQII", 1, 0, 2, 3, 1, 0)),
        (Opcode.IOCTL, struct.pack("<QIIQII", 1, 0, 2, 3, 0, MAX_IO + 1)),
        (Opcode.NOTIFY_REPLY, struct.pack("<QQIIQQ", 0, 0, 2, 0, 0, 0) + b"a"),
    ],
)
def test_what_cannot_be_is_refused(opcode: Opcode, body: bytes) -> None:
    with pytest.raises(BadRequest) as refusal:
        fuse.parse(message(opcode, body))
    assert refusal.value.errno == errno.EIO and opcode.name in str(refusal.value)


def test_what_just_fits_is_taken() -> None:
    assert fuse.parse(message(Opcode.READ, read(FAR - MAX_IO, MAX_IO))).body == Read(1, FAR - MAX_IO, MAX_IO, 0, 0, 0)
    fuse.parse(message(Opcode.WRITE, read(0, MAX_IO) + bytes(MAX_IO)))
    fuse.parse(message(Opcode.SETLK, struct.pack("<QQQQIIII", 1, 2, 0, FAR, 2, 3, 1, 0)))
    fuse.parse(message(Opcode.SYMLINK, b"name\0" + b"t" * 4095 + b"\0"))


@given(st.sampled_from(Opcode), st.binary(max_size=120), st.integers(0, 4))
def test_any_body_gives_a_value_or_a_refusal_that_can_be_answered(opcode: Opcode, body: bytes, extra: int) -> None:
    raw = bytearray(message(opcode, body))
    raw[36] = extra
    try:
        request = fuse.parse(memoryview(raw))
    except BadRequest as bad:
        assert (bad.opcode, bad.unique) == (opcode, 8)
    else:
        assert (request.opcode, request.unique, request.uid, request.gid, request.pid) == (opcode, 8, 1000, 100, 77)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_value_or_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed):
        fuse.parse(raw)
        raise Malformed("test", "a value")
