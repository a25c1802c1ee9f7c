"""FUSE requests: what the kernel asks of a file system's server, as values. Pure; docs/spec/fuse.md.

Source: include/uapi/linux/fuse.h of Linux, protocol 7.31 to 7.45, little-endian. Views in a value (the data of a WRITE)
show the buffer that was parsed: they say something else once that is used again.
"""

import errno
import struct
from typing import NamedTuple

from commonhold.formats import fuseextensions
from commonhold.formats.fusebodies import Body, Unknown
from commonhold.formats.fuseextensions import Extensions
from commonhold.formats.fuseflags import UNIQUE_RESEND, Opcode
from commonhold.formats.fusereaders import HEADER, READERS, Data, LongName
from commonhold.formats.malformed import Malformed

NO_REPLY = frozenset((Opcode.FORGET, Opcode.BATCH_FORGET, Opcode.INTERRUPT, Opcode.NOTIFY_REPLY))

_WHAT = "FUSE request"
_HEADER = struct.Struct("<IIQQIIIH2x")
_KNOWN = {int(opcode): (opcode, read) for opcode, read in READERS.items()}

_unpack_header = _HEADER.unpack_from
_new = tuple.__new__  # a NamedTuple without its own constructor's detour
_none = fuseextensions.NONE


class Request(NamedTuple):
    """A request. `opcode` is an Opcode, or a plain int where the body is `Unknown`. uid, gid and pid are the caller's,
    as the mount's user namespace has them; with ALLOW_IDMAP uid and gid are mostly INVALID_UIDGID."""

    opcode: int
    unique: int
    nodeid: int
    uid: int
    gid: int
    pid: int
    body: Body
    extensions: Extensions

    @property
    def resent(self) -> bool:
        """It may have been handed out before: the answer to NOTIFY_RESEND."""
        return bool(self.unique & UNIQUE_RESEND)


class BadRequest(Malformed):
    """A request whose header can be read and whose body cannot. `unique` is to be answered with `errno`, unless
    `opcode` is of those that get no reply."""

    def __init__(self, opcode: Opcode, unique: int, error: Malformed) -> None:
        super().__init__(f"FUSE {opcode.name}", f"{error.what}: {error.why}")
        self.opcode = opcode
        self.unique = unique
        self.errno = errno.ENAMETOOLONG if isinstance(error, LongName) else errno.EIO


def parse(data: Data) -> Request:
    """Return the request that one read of the device gave: all of it and nothing else.

    BadRequest if only the body is wrong, Malformed if there is nobody to answer.
    """
    size = len(data)
    if size < HEADER:
        raise Malformed(_WHAT, f"{size} bytes")
    length, code, unique, nodeid, uid, gid, pid, extra = _unpack_header(data)
    if length != size:
        raise Malformed(_WHAT, f"{size} bytes, it says {length}")
    known = _KNOWN.get(code)
    if known is None:
        return Request(code, unique, nodeid, uid, gid, pid, Unknown(), _none)
    opcode, read = known
    extensions = _none
    try:
        if extra:
            size = max(size - 8 * extra, 0)
            extensions = fuseextensions.parse(bytes(data[size:]))
        body = read(data, size, nodeid)
    except Malformed as error:
        raise BadRequest(opcode, unique, error) from error
    return _new(Request, (opcode, unique, nodeid, uid, gid, pid, body, extensions))
