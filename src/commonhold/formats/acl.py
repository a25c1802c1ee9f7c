"""Access control lists: the kernel's form, with uids, and a tree's, with principals. Pure. acl(5).

A tree has them as text, an entry a line, as getfacl(1) writes them: `user:alice@family:rw-`. What is needed is there
and comes once, each user and group once, all in the order of the kernel.
"""

import struct
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from commonhold.formats.malformed import Malformed

ACCESS, DEFAULT = b"system.posix_acl_access", b"system.posix_acl_default"
NAMES = (ACCESS, DEFAULT)
MAX_NAMED = 500  # users and groups; the kernel has a page for all of it
_VERSION = 2
_HEAD = struct.Struct("<I")
_ENTRY = struct.Struct("<HHI")
_NO_ID = 0xFFFFFFFF
_OWNER, _USER, _GROUP, _NAMED_GROUP, _MASK, _OTHER = 1, 2, 4, 8, 16, 32
_LETTERS = "rwx"

W = TypeVar("W", int, str)
V = TypeVar("V", int, str)


class Acl(NamedTuple, Generic[W]):
    """Permissions of three bits. Users and groups are in order, and there are none without a mask."""

    owner: int
    users: tuple[tuple[W, int], ...]
    group: int
    groups: tuple[tuple[W, int], ...]
    mask: int | None
    other: int


def _checked(acl: Acl[W]) -> Acl[W]:
    for named in (acl.users, acl.groups):
        if len({who for who, _ in named}) < len(named):
            raise Malformed("ACL", "a name twice")
    if len(acl.users) + len(acl.groups) > MAX_NAMED:
        raise Malformed("ACL", f"more than {MAX_NAMED} names")
    if acl.mask is None and (acl.users or acl.groups):
        raise Malformed("ACL", "names without a mask")
    return acl


def _assembled(entries: list[tuple[int, W, int]]) -> Acl[W]:
    """The list of entries: tag, name, permissions."""
    single = {tag: bits for tag, _, bits in entries if tag not in (_USER, _NAMED_GROUP)}
    tags = [tag for tag, _, _ in entries]
    if tags != sorted(tags) or len(single) + tags.count(_USER) + tags.count(_NAMED_GROUP) != len(tags):
        raise Malformed("ACL", "entries out of order, or twice")
    if not single.keys() >= {_OWNER, _GROUP, _OTHER}:
        raise Malformed("ACL", "an entry is missing")
    users, groups = (tuple((who, bits) for tag, who, bits in entries if tag == kind) for kind in (_USER, _NAMED_GROUP))
    return _checked(Acl(single[_OWNER], users, single[_GROUP], groups, single.get(_MASK), single[_OTHER]))


def _entries(acl: Acl[W], nobody: W) -> list[tuple[int, W, int]]:
    found = [(_OWNER, nobody, acl.owner)]
    found += [(_USER, who, bits) for who, bits in acl.users]
    found.append((_GROUP, nobody, acl.group))
    found += [(_NAMED_GROUP, who, bits) for who, bits in acl.groups]
    found += [(_MASK, nobody, bits) for bits in (acl.mask,) if bits is not None]
    found.append((_OTHER, nobody, acl.other))
    return found


# ── the kernel's form ──


def from_kernel(data: bytes) -> Acl[int]:
    """Read the value of an attribute as programs set it. Malformed."""
    if len(data) < _HEAD.size or (len(data) - _HEAD.size) % _ENTRY.size or len(data) > 1 << 16:
        raise Malformed("ACL", f"{len(data)} bytes")
    if _HEAD.unpack_from(data) != (_VERSION,):
        raise Malformed("ACL", "another version")
    entries = []
    for tag, bits, who in _ENTRY.iter_unpack(data[_HEAD.size :]):
        if tag not in (_OWNER, _USER, _GROUP, _NAMED_GROUP, _MASK, _OTHER) or bits > 7:
            raise Malformed("ACL", f"entry {tag} with {bits:o}")
        if tag in (_USER, _NAMED_GROUP) and who == _NO_ID:
            raise Malformed("ACL", "nobody in particular")
        entries.append((tag, who, bits))
    return _assembled(entries)


def to_kernel(acl: Acl[int]) -> bytes:
    """The value of the attribute."""
    return _HEAD.pack(_VERSION) + b"".join(_ENTRY.pack(tag, bits, who) for tag, who, bits in _entries(acl, _NO_ID))


# ── a tree's form ──

_WORDS = {_OWNER: "user", _USER: "user", _GROUP: "group", _NAMED_GROUP: "group", _MASK: "mask", _OTHER: "other"}
_TAGS = {("user", False): _OWNER, ("user", True): _USER, ("group", False): _GROUP, ("group", True): _NAMED_GROUP,
         ("mask", False): _MASK, ("other", False): _OTHER}  # fmt: skip


def parse(data: bytes) -> Acl[str]:
    """Read a tree's. Malformed."""
    try:
        lines = data.decode().removesuffix("\n").split("\n")
    except ValueError as error:
        raise Malformed("ACL", "not UTF-8") from error
    entries = []
    for line in lines:
        word, _, rest = line.partition(":")
        who, _, letters = rest.rpartition(":")
        tag = _TAGS.get((word, bool(who)))
        bits = sum(4 >> place for place, letter in enumerate(letters) if letter != "-")
        if tag is None or letters != _shown(bits & 7):
            raise Malformed("ACL", f"the line {line[:80]!r}")
        entries.append((tag, who, bits))
    return _assembled(entries)


def text(acl: Acl[str]) -> bytes:
    """A tree's."""
    return "".join(f"{_WORDS[tag]}:{who}:{_shown(bits)}\n" for tag, who, bits in _entries(acl, "")).encode()


def _shown(bits: int) -> str:
    return "".join(letter if bits & 4 >> place else "-" for place, letter in enumerate(_LETTERS))


def translated(acl: Acl[W], user: Callable[[W], V | None], group: Callable[[W], V | None]) -> Acl[V]:
    """The same with other names. Whoever has none is left out."""
    users = [(user(who), bits) for who, bits in acl.users]
    groups = [(group(who), bits) for who, bits in acl.groups]
    return Acl(
        acl.owner, tuple((who, bits) for who, bits in users if who is not None),
        acl.group, tuple((who, bits) for who, bits in groups if who is not None), acl.mask, acl.other,
    )  # fmt: skip


# ── what they have to do with modes ──


def is_plain(acl: Acl[W]) -> bool:
    """Whether a mode says as much."""
    return acl.mask is None


def bits_of(acl: Acl[W]) -> int:
    """The permission bits of what has this list."""
    return acl.owner << 6 | (acl.group if acl.mask is None else acl.mask) << 3 | acl.other


def with_bits(acl: Acl[W], bits: int) -> Acl[W]:
    """The list of what had this one and is given these permission bits: chmod(2)."""
    owner, group, other = bits >> 6 & 7, bits >> 3 & 7, bits & 7
    if acl.mask is None:
        return acl._replace(owner=owner, group=group, other=other)
    return acl._replace(owner=owner, mask=group, other=other)


def inherited(default: Acl[W], bits: int) -> Acl[W]:
    """The list of what is made, with these permission bits, where this is the default."""
    return with_bits(default, bits_of(default) & bits)
