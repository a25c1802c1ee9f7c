"""Directories into blocks: one block, or a HAMT when that would be too large."""

from collections.abc import Generator, Sequence

from commonhold.api import Block
from commonhold.errors import HoldError, Kind
from commonhold.formats import dagpb, unixfs
from commonhold.formats.unixfs import Data, Mtime, Type
from commonhold.unixfs import hamt
from commonhold.unixfs.build import Built
from commonhold.unixfs.hamt import Entry
from commonhold.unixfs.profile import Estimate, Profile

__all__ = ["Entry", "bad_name", "build_directory", "estimate"]


def bad_name(name: str) -> bool:
    """Whether a name cannot be one in a file system, so that nothing may be made under it."""
    return name in ("", ".", "..") or "/" in name or "\0" in name


def estimate(profile: Profile, entries: Sequence[Entry], data: bytes) -> int:
    """Return a directory's size in bytes as its profile estimates it, given its UnixFS message."""
    if profile.estimate is Estimate.LINKS_BYTES:
        return sum(len(entry.name.encode()) + len(entry.cid) for entry in entries)
    links = sum(dagpb.link_size(len(entry.cid), len(entry.name.encode()), entry.tsize) for entry in entries)
    return links + len(dagpb.encode_data(data))


def build_directory(
    profile: Profile, entries: Sequence[Entry], *, mode: int | None = None, mtime: Mtime | None = None
) -> Generator[Block, None, Built]:
    """Yield a directory's blocks, its root last; what was built. INVALID for a name that is bad or comes twice."""
    ordered = _in_order(entries)
    data = unixfs.encode(Data(Type.DIRECTORY, mode=mode, mtime=mtime))
    below = sum(entry.tsize for entry in ordered)
    if estimate(profile, ordered, data) > profile.threshold:
        cid, total = yield from hamt.build(profile, ordered, mode, mtime)
        return Built(cid, below, total)
    links = [dagpb.encode_link(entry.cid, entry.name.encode(), entry.tsize) for entry in ordered]
    made = hamt.directory_block(profile, links, data)
    yield made
    return Built(made.cid, below, below + len(made.data))


def _in_order(entries: Sequence[Entry]) -> list[Entry]:
    """Sort by the bytes of the names, which are checked."""
    # Code points sort as their UTF-8 does.
    ordered = sorted(entries)
    last = None
    for entry in ordered:
        if bad_name(entry.name) or not is_utf8(entry.name):
            raise HoldError(
                "add", Kind.INVALID, repr(entry.name)[:80], "cannot be a name in a directory", hint="rename it"
            )
        if entry.name == last:
            raise HoldError(
                "add", Kind.INVALID, repr(entry.name)[:80], "twice in one directory", hint="rename one of them"
            )
        last = entry.name
    return ordered


def is_utf8(name: str) -> bool:
    """Whether a name has no surrogates, which is what bytes that are not UTF-8 become when Python reads them."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
