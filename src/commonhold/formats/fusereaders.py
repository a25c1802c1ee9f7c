"""How the body of each FUSE request is read: one reader an opcode. Pure; what it is for is in `fuse`.

A reader is given the buffer, where the body ends in it, and the request's nodeid. Source: the kernel's structures.
"""

import struct
from collections.abc import Callable
from typing import Any, TypeVar

from commonhold.formats import fusebodies as bodies
from commonhold.formats.fusebodies import Body
from commonhold.formats.fuseflags import Opcode
from commonhold.formats.malformed import Malformed

HEADER = 40
MAX_NAME = 255
MAX_TARGET = 4095
MAX_IO = 1 << 20  # bytes of a read, a write, a listing
MAX_XATTR = 1 << 16

_MAX_OFFSET = (1 << 63) - 1
_SECOND = 1_000_000_000
_DOTS = (b".", b"..")
_PAIR = struct.Struct("<II")
_INIT = struct.Struct("<IIII")
_INIT_EXT = struct.Struct("<IIIII44x")
_FORGET = struct.Struct("<Q")
_FORGET_ONE = struct.Struct("<QQ")
_READ = struct.Struct("<QQIIQI4x")
_WRITE_START = HEADER + _READ.size  # the two have the same structure
_CREATE = struct.Struct("<IIII")
_SETXATTR = struct.Struct("<II")
_SETXATTR_EXT = struct.Struct("<III4x")
_IOCTL = struct.Struct("<QIIQII")
_RETRIEVED = struct.Struct("<8xQI20x")

_unpack_read = _READ.unpack_from
_new = tuple.__new__  # a NamedTuple without its own constructor's detour

Data = bytes | memoryview
Reader = Callable[[Data, int, int], Body]
_Value = TypeVar("_Value", bound=tuple[Any, ...])


class LongName(Malformed):
    """A name of more than 255 bytes. Any program can make the kernel send one."""

    def __init__(self, length: int) -> None:
        super().__init__("name", f"{length} bytes")


def _cut(why: str = "not as many bytes as there should be") -> Malformed:
    return Malformed("body", why)


def _name(data: Data, at: int, end: int) -> bytes:
    """The name of an entry that ends a body."""
    raw = bytes(data[at:end])
    name = raw[:-1]
    if 0 < len(name) <= MAX_NAME and raw.find(0) == len(name) and 47 not in raw and name not in _DOTS:
        return name
    if raw.find(0) != len(name):
        raise Malformed("name", "it does not end with its NUL")
    return _entry(name)


def _entry(name: bytes) -> bytes:
    """The name of an entry, without its NUL."""
    if not name or 47 in name or name in _DOTS:
        raise Malformed("name", "empty, . or .., or with a slash")
    if len(name) > MAX_NAME:
        raise LongName(len(name))
    return name


def _attribute(raw: bytes) -> bytes:
    """The name of an extended attribute, without its NUL."""
    if not 0 < len(raw) <= MAX_NAME or 0 in raw:
        raise Malformed("name of an attribute", f"{len(raw)} bytes, or with a NUL")
    return raw


def _strings(data: Data, at: int, end: int, count: int) -> list[bytes]:
    """So many strings to the end of a body, each with its NUL behind it; without these."""
    parts = bytes(data[at:end]).split(b"\0") if at < end else []
    if len(parts) != count + 1 or parts[count]:
        raise _cut(f"not {count} strings")
    return parts[:count]


def _fixed(kind: type[_Value], form: str, check: Callable[[_Value], bool] | None = None) -> Callable[..., _Value]:
    """A reader of bodies that are one structure; `check` says whether its numbers are possible."""
    layout = struct.Struct("<" + form)
    unpack, stop = layout.unpack_from, HEADER + layout.size

    def read(data: Data, end: int, _node: int) -> _Value:
        if end != stop:
            raise _cut()
        value = _new(kind, unpack(data, HEADER))
        if check is not None and not check(value):
            raise _cut("numbers that cannot be")
        return value

    return read


def _named(kind: type[_Value], form: str) -> Callable[..., _Value]:
    """A reader of bodies that are one structure and an entry's name."""
    layout = struct.Struct("<" + form)
    unpack, start = layout.unpack_from, HEADER + layout.size

    def read(data: Data, end: int, _node: int) -> _Value:
        if end <= start:
            raise _cut()
        return _new(kind, (*unpack(data, HEADER), _name(data, start, end)))

    return read


def _read(data: Data, end: int, _node: int) -> bodies.Read:
    if end != _WRITE_START:
        raise _cut()
    value = _new(bodies.Read, _unpack_read(data, HEADER))
    if value[2] > MAX_IO or value[1] > _MAX_OFFSET - value[2]:
        raise _cut(f"{value.size} bytes at {value.offset}")
    return value


def _write(data: Data, end: int, _node: int) -> bodies.Write:
    if end < _WRITE_START:
        raise _cut()
    fh, offset, size, write_flags, owner, flags = _unpack_read(data, HEADER)
    if size != end - _WRITE_START or size > MAX_IO or offset > _MAX_OFFSET - size:
        raise _cut(f"{end - _WRITE_START} bytes of data, it says {size} at {offset}")
    return _new(bodies.Write, (fh, offset, write_flags, owner, flags, memoryview(data)[_WRITE_START:end]))


def _lookup(data: Data, end: int, _node: int) -> bodies.Named:
    return _new(bodies.Named, (_name(data, HEADER, end),))


def _init(data: Data, end: int, _node: int) -> bodies.Init:
    """Later kernels may have more fields, and an earlier one had fewer: this is how a version is agreed on."""
    if end >= HEADER + _INIT_EXT.size:
        major, minor, readahead, flags, more = _INIT_EXT.unpack_from(data, HEADER)
        return bodies.Init(major, minor, readahead, flags | more << 32)
    if end < HEADER + _INIT.size:
        raise _cut()
    return bodies.Init(*_INIT.unpack_from(data, HEADER))


def _forget(data: Data, end: int, node: int) -> bodies.Forget:
    if end != HEADER + _FORGET.size:
        raise _cut()
    return bodies.Forget(((node, *_FORGET.unpack_from(data, HEADER)),))


def _batch_forget(data: Data, end: int, _node: int) -> bodies.Forget:
    start = HEADER + _PAIR.size
    if end < start or _PAIR.unpack_from(data, HEADER)[0] * _FORGET_ONE.size != end - start:
        raise _cut()
    return bodies.Forget(tuple(_FORGET_ONE.iter_unpack(data[start:end])))


def _symlink(data: Data, end: int, _node: int) -> bodies.Symlink:
    name, target = _strings(data, HEADER, end, 2)
    if not 0 < len(target) <= MAX_TARGET:
        raise _cut(f"a target of {len(target)} bytes")
    return bodies.Symlink(_entry(name), target)


def _renames(form: str) -> Callable[..., bodies.Rename]:
    layout = struct.Struct("<" + form)
    start = HEADER + layout.size

    def read(data: Data, end: int, _node: int) -> bodies.Rename:
        name, new_name = _strings(data, start, end, 2)
        newdir, *flags = layout.unpack_from(data, HEADER)
        return bodies.Rename(newdir, flags[0] if flags else 0, _entry(name), _entry(new_name))

    return read


def _tmpfile(data: Data, end: int, _node: int) -> bodies.Create:
    start = HEADER + _CREATE.size
    _strings(data, start, end, 1)
    return _new(bodies.Create, (*_CREATE.unpack_from(data, HEADER), b""))


def _setxattr(data: Data, end: int, _node: int) -> bodies.Setxattr:
    """Which of the two structures it is can be told: in the longer one there is a zero where the shorter one has its
    name or soon after, so that what is left would be longer than the value."""
    if end < HEADER + _SETXATTR.size:
        raise _cut()
    size, flags = _SETXATTR.unpack_from(data, HEADER)
    more = 0
    name, nul, value = bytes(data[HEADER + _SETXATTR.size : end]).partition(b"\0")
    if (not nul or len(value) != size) and end >= HEADER + _SETXATTR_EXT.size:
        size, flags, more = _SETXATTR_EXT.unpack_from(data, HEADER)
        name, nul, value = bytes(data[HEADER + _SETXATTR_EXT.size : end]).partition(b"\0")
    if not nul or len(value) != size or size > MAX_XATTR:
        raise _cut(f"{len(value)} bytes of a value, it says {size}")
    return bodies.Setxattr(flags, more, _attribute(name), value)


def _getxattr(data: Data, end: int, _node: int) -> bodies.Getxattr:
    (name,) = _strings(data, HEADER + _PAIR.size, end, 1)
    size, _ = _PAIR.unpack_from(data, HEADER)
    if size > MAX_XATTR:
        raise _cut(f"room for {size} bytes")
    return bodies.Getxattr(size, _attribute(name))


def _listxattr(data: Data, end: int, _node: int) -> bodies.Getxattr:
    if end != HEADER + _PAIR.size:
        raise _cut()
    size, _ = _PAIR.unpack_from(data, HEADER)
    if size > MAX_XATTR:
        raise _cut(f"room for {size} bytes")
    return bodies.Getxattr(size, b"")


def _removexattr(data: Data, end: int, _node: int) -> bodies.Named:
    return bodies.Named(_attribute(_strings(data, HEADER, end, 1)[0]))


def _ioctl(data: Data, end: int, _node: int) -> bodies.Ioctl:
    start = HEADER + _IOCTL.size
    if end < start:
        raise _cut()
    fh, flags, cmd, arg, size, out_size = _IOCTL.unpack_from(data, HEADER)
    if size != end - start or max(size, out_size) > MAX_IO:
        raise _cut(f"{end - start} bytes of data, it says {size}, and room for {out_size}")
    return bodies.Ioctl(fh, flags, cmd, arg, out_size, memoryview(data)[start:end])


def _retrieved(data: Data, end: int, _node: int) -> bodies.Retrieved:
    start = HEADER + _RETRIEVED.size
    if end < start:
        raise _cut()
    offset, size = _RETRIEVED.unpack_from(data, HEADER)
    if size != end - start or size > MAX_IO:
        raise _cut(f"{end - start} bytes of data, it says {size}")
    return bodies.Retrieved(offset, memoryview(data)[start:end])


def _possible_setattr(body: bodies.Setattr) -> bool:
    return body.size <= _MAX_OFFSET and max(body.atimensec, body.mtimensec, body.ctimensec) < _SECOND


def _possible_lock(body: bodies.Lock) -> bool:
    return body.start <= body.end <= _MAX_OFFSET and body.type <= 2


def _possible_fallocate(body: bodies.Fallocate) -> bool:
    return body.offset + body.length <= _MAX_OFFSET


def _possible_copy(body: bodies.CopyRange) -> bool:
    return body.off_in <= _MAX_OFFSET and body.off_out <= _MAX_OFFSET


_nothing = _fixed(bodies.Nothing, "")
_open = _fixed(bodies.Open, "II")
_release = _fixed(bodies.Release, "QIIQ")
_fsync = _fixed(bodies.Fsync, "QI4x")
_lock = _fixed(bodies.Lock, "QQQQIII4x", _possible_lock)
_setattr = _fixed(bodies.Setattr, "I4xQQQqqqIIII4xII4x", _possible_setattr)
_fallocate = _fixed(bodies.Fallocate, "QQQI4x", _possible_fallocate)
_copy = _fixed(bodies.CopyRange, "QQQQQQQ", _possible_copy)
READERS: dict[Opcode, Reader] = {
    Opcode.LOOKUP: _lookup,
    Opcode.FORGET: _forget,
    Opcode.GETATTR: _fixed(bodies.Getattr, "I4xQ"),
    Opcode.SETATTR: _setattr,
    Opcode.READLINK: _nothing,
    Opcode.SYMLINK: _symlink,
    Opcode.MKNOD: _named(bodies.Mknod, "III4x"),
    Opcode.MKDIR: _named(bodies.Mkdir, "II"),
    Opcode.UNLINK: _lookup,
    Opcode.RMDIR: _lookup,
    Opcode.RENAME: _renames("Q"),
    Opcode.LINK: _named(bodies.Link, "Q"),
    Opcode.OPEN: _open,
    Opcode.READ: _read,
    Opcode.WRITE: _write,
    Opcode.STATFS: _nothing,
    Opcode.RELEASE: _release,
    Opcode.FSYNC: _fsync,
    Opcode.SETXATTR: _setxattr,
    Opcode.GETXATTR: _getxattr,
    Opcode.LISTXATTR: _listxattr,
    Opcode.REMOVEXATTR: _removexattr,
    Opcode.FLUSH: _fixed(bodies.Flush, "Q8xQ"),
    Opcode.INIT: _init,
    Opcode.OPENDIR: _open,
    Opcode.READDIR: _read,
    Opcode.RELEASEDIR: _release,
    Opcode.FSYNCDIR: _fsync,
    Opcode.GETLK: _lock,
    Opcode.SETLK: _lock,
    Opcode.SETLKW: _lock,
    Opcode.ACCESS: _fixed(bodies.Access, "I4x"),
    Opcode.CREATE: _named(bodies.Create, "IIII"),
    Opcode.INTERRUPT: _fixed(bodies.Interrupt, "Q"),
    Opcode.BMAP: _fixed(bodies.Bmap, "QI4x"),
    Opcode.DESTROY: _nothing,
    Opcode.IOCTL: _ioctl,
    Opcode.POLL: _fixed(bodies.Poll, "QQII"),
    Opcode.NOTIFY_REPLY: _retrieved,
    Opcode.BATCH_FORGET: _batch_forget,
    Opcode.FALLOCATE: _fallocate,
    Opcode.READDIRPLUS: _read,
    Opcode.RENAME2: _renames("QI4x"),
    Opcode.LSEEK: _fixed(bodies.Lseek, "QqI4x"),
    Opcode.COPY_FILE_RANGE: _copy,
    Opcode.SYNCFS: _fixed(bodies.Nothing, "8x"),
    Opcode.TMPFILE: _tmpfile,
    Opcode.STATX: _fixed(bodies.Statx, "I4xQII"),
    Opcode.COPY_FILE_RANGE_64: _copy,
}
