"""What a FUSE server tells the kernel unasked: what is over, what is new, what it wants sent again. Pure.

Source: fuse_notify_code and its structures in the kernel's header, protocol 7.45. Each is a head and a payload for one
writev(2); where the kernel knows nothing of the node or the name, that write fails with ENOENT.
"""

import struct
from collections.abc import Sequence

from commonhold.formats.fuseflags import NotifyCode
from commonhold.formats.fusereplies import Payload, Reply

_HEAD = struct.Struct("<IiQ")
_PACK = {
    NotifyCode.POLL: struct.Struct("<Q"),
    NotifyCode.INVAL_INODE: struct.Struct("<Qqq"),
    NotifyCode.INVAL_ENTRY: struct.Struct("<QII"),
    NotifyCode.STORE: struct.Struct("<QQI4x"),
    NotifyCode.RETRIEVE: struct.Struct("<QQQI4x"),
    NotifyCode.DELETE: struct.Struct("<QQI4x"),
    NotifyCode.RESEND: struct.Struct("<"),
    NotifyCode.INC_EPOCH: struct.Struct("<"),
    NotifyCode.PRUNE: struct.Struct("<I12x"),
}


def _notice(code: NotifyCode, *fields: int, payload: Payload = b"", more: bytes = b"") -> Reply:
    body = _PACK[code].pack(*fields) + more
    return _HEAD.pack(_HEAD.size + len(body) + len(payload), code, 0) + body, payload


def ready(kh: int) -> Reply:
    """Say that a file whose POLL gave `kh` and asked for it is ready: POLL."""
    return _notice(NotifyCode.POLL, kh)


def inval_inode(nodeid: int, offset: int, length: int) -> Reply:
    """Say that attributes and cached bytes are over; a length of 0 is all behind the offset, a negative offset none."""
    return _notice(NotifyCode.INVAL_INODE, nodeid, offset, length)


def inval_entry(parent: int, name: bytes, flags: int) -> Reply:
    """Say that what a name led to is over; `flags` are EntryFlag."""
    return _notice(NotifyCode.INVAL_ENTRY, parent, len(name), flags, more=name + b"\0")


def delete(parent: int, child: int, name: bytes) -> Reply:
    """Say that a name was removed: as inval_entry, and whoever watches the directory is told."""
    return _notice(NotifyCode.DELETE, parent, child, len(name), more=name + b"\0")


def store(nodeid: int, offset: int, payload: Payload) -> Reply:
    """Put bytes into the kernel's cache of a file."""
    return _notice(NotifyCode.STORE, nodeid, offset, len(payload), payload=payload)


def retrieve(unique: int, nodeid: int, offset: int, size: int) -> Reply:
    """Ask for what the kernel's cache has of a file: a NOTIFY_REPLY with this `unique` brings it."""
    return _notice(NotifyCode.RETRIEVE, unique, nodeid, offset, size)


def resend() -> Reply:
    """Ask for all requests again that were read and not answered. Needs HAS_RESEND."""
    return _notice(NotifyCode.RESEND)


def inc_epoch() -> Reply:
    """Say that every name is over: 7.44."""
    return _notice(NotifyCode.INC_EPOCH)


def prune(nodeids: Sequence[int]) -> Reply:
    """Ask the kernel to forget nodes that nobody uses: 7.45."""
    return _notice(NotifyCode.PRUNE, len(nodeids), more=struct.pack(f"<{len(nodeids)}Q", *nodeids))
