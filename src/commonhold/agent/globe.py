"""The tree of all that is public, by CID: a `trees.Tree` over blocks. docs/spec/mount.md, "The public tree"."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

from commonhold.agent.blocks import Blocks, malformed
from commonhold.agent.contents import Contents
from commonhold.agent.frozen import Frozen, attr_of, refuse
from commonhold.agent.numbers import BY_CID, Numbers, Object
from commonhold.agent.shelf import LIMIT, Book, Shelf
from commonhold.errors import HoldError, Kind
from commonhold.formats import cid as cids
from commonhold.formats.cid import Cid
from commonhold.formats.instant import SECOND
from commonhold.formats.malformed import Malformed
from commonhold.formats.unixfs import Mtime, Type
from commonhold.trees import MAX_IO, MAX_NAME, MAX_TARGET, ROOT, Attr, Item
from commonhold.unixfs import opened
from commonhold.unixfs.directory import bad_name
from commonhold.unixfs.hamt import Entry
from commonhold.unixfs.opened import Folder, Opened, Sharded
from commonhold.unixfs.read import Info

UNKNOWN = 0xFFFFFFFF  # as the number of what is listed and cannot be shown: that of FUSE for the same
VALID = 60 * SECOND
_ITEMS = 1024
_AT_ONCE = 32
_SMALL = 64 << 10
_SHOWN = (cids.RAW, cids.DAG_PB)
_KINDS = {
    Type.FILE: stat.S_IFREG, Type.RAW: stat.S_IFREG, Type.SYMLINK: stat.S_IFLNK,
    Type.DIRECTORY: stat.S_IFDIR, Type.HAMT: stat.S_IFDIR,
}  # fmt: skip


class Globe(Frozen):
    """Files and directories by CID, and what is below them."""

    slow = frozenset(("lookup", "listing", "attr", "seek", "read"))

    def __init__(self, blocks: Blocks, numbers: Numbers, limit: int = LIMIT) -> None:
        super().__init__(numbers)
        self._blocks = blocks
        self._shelf = Shelf(blocks, limit)
        self._contents = Contents(self._shelf)

    def close(self) -> None:
        """End the threads."""
        self._shelf.close()

    def valid(self, number: int) -> int:
        """How many nanoseconds a name may be believed to lead to that number. It is so for ever, while it is here."""
        return VALID

    # ── names ──

    def lookup(self, parent: int, name: bytes) -> Attr:
        """See `trees.Tree`. ENOENT for what is not here and for what is no file, directory or link of ours."""
        if parent < ROOT:
            refuse(errno.ENOENT)
        if len(name) > MAX_NAME:
            refuse(errno.ENAMETOOLONG)
        try:
            text = name.decode()
        except UnicodeDecodeError:
            refuse(errno.ENOENT)
        if bad_name(text):
            refuse(errno.ENOENT)
        if parent != ROOT and (known := self._numbers.known(parent, name)):
            return attr_of(*known)
        cid = self._root(text) if parent == ROOT else self._below(parent, text)
        known = self._numbers.known(BY_CID, cid)
        if known and known[1].size is not None:
            return attr_of(*known)
        try:
            one = self._made(parent, name, cid, self._stat(cid))
        except HoldError as error:
            refuse(errno.ENOENT if error.kind in (Kind.NOT_FOUND, Kind.UNSUPPORTED) else errno.EIO)
        return attr_of(self._numbers.give([one], held=True)[0], one)

    def _root(self, text: str) -> Cid:
        """The CID that a text is. Whether it is still here is asked each time, so that what was deleted goes."""
        try:
            cid = cids.parse_text(text)
        except Malformed:
            refuse(errno.ENOENT)
        if cid.codec not in _SHOWN:
            refuse(errno.ENOENT)
        if cid.inline is None:
            with _failing(errno.ENOENT), malformed("stat", cid):
                self._blocks.store.size(cid.multihash)
        return cid

    def _below(self, parent: int, text: str) -> Cid:
        with _failing(), malformed("resolve", self._object(parent).cid):
            cid = opened.find(self._folder(parent), text, self._node)
        if cid is None or cid.codec not in _SHOWN:
            refuse(errno.ENOENT)
        return cid

    def _folder(self, number: int) -> Folder | Sharded:
        one = self._object(number)
        if not stat.S_ISDIR(one.mode):
            refuse(errno.ENOTDIR)
        folder = self._node(one.cid)
        assert isinstance(folder, (Folder, Sharded))  # that is how it came by its mode
        return folder

    def _node(self, cid: Cid) -> Opened:
        """A node; what is no node of UnixFS is Malformed where one is needed."""
        if cid.codec == cids.RAW and cid.inline is None:
            raise Malformed("node", "a raw block in a node's place")
        node = self._shelf.get(cid)
        assert not isinstance(node, bytes)
        return node

    # ── what something is ──

    def _stat(self, cid: Cid, book: Book | None = None) -> Info:
        """What a CID is. Of a raw leaf its length is enough. HoldError."""
        if book is None and cid.codec == cids.RAW and cid.inline is None:
            book = self._shelf.here(cid)
            if book is None:
                return self._blocks.stat(cid)
        if book is None:
            book = self._shelf.get(cid)
        return Info(Type.FILE, len(book), 0, None, None, None) if isinstance(book, bytes) else book.info

    def _made(self, parent: int, name: bytes, cid: Cid, info: Info | None) -> Object:
        """What is to have a number; without `info` a raw leaf of unknown size. HoldError for what cannot be shown.

        A directory has another number under each of its names, as the kernel must see it only once. Anything else has
        one number wherever it is, and one place in the page cache.
        """
        if info is None:
            return Object(BY_CID, cid, cid, stat.S_IFREG | 0o444, None, 0, b"")
        kind = _KINDS.get(info.type)
        target = (info.target or "").encode()
        if kind is None:
            raise HoldError("stat", Kind.UNSUPPORTED, str(cid), f"of type {info.type.name}")
        if kind == stat.S_IFLNK:
            if not 0 < len(target) <= MAX_TARGET or 0 in target:
                raise HoldError("stat", Kind.INVALID, str(cid), "a link whose target no link can have")
            return Object(BY_CID, cid, cid, kind | 0o777, len(target), _nanoseconds(info.mtime), target)
        directory = kind == stat.S_IFDIR
        said = info.mode or 0
        place, key = (parent, name) if directory else (BY_CID, cid)
        # What is public is everybody's to read; nobody writes, and set-ID bits are a stranger's word.
        mode = kind | said & 0o555 | (0o555 if directory else 0o444)
        return Object(place, key, cid, mode, info.size, _nanoseconds(info.mtime), b"")

    def _sized(self, number: int) -> Object:
        one = self._object(number)
        if one.size is None:
            with _failing():
                one = one._replace(size=self._stat(one.cid).size)
            self._numbers.give([one], held=True)
        return one

    # ── listings ──

    def listing(self, number: int, position: int, most: int, attributes: bool) -> list[Item]:
        """See `trees.Tree`. Not the root. What cannot be looked up is listed without a type, or not at all."""
        if number == ROOT:
            return []
        with _failing(), malformed("list", self._object(number).cid):
            found = opened.entries_from(self._folder(number), position, self._node, self._shelf.get_all)
            page = list(islice(filter(_listed, found), min(most, _ITEMS)))
        items: list[Item] = []
        for at in range(0, len(page), _AT_ONCE):
            items += self._items(number, page[at : at + _AT_ONCE], attributes)
        return items

    def _items(self, parent: int, page: list[tuple[int, Entry]], attributes: bool) -> list[Item]:
        books = self._shelf.get_all([entry.cid for _, entry in page if _wanted(entry, attributes)])
        made = [self._child(parent, entry, attributes, books.get(entry.cid)) for _, entry in page]
        numbers = iter(self._numbers.give([one for one in made if one], held=attributes))
        items = []
        for (position, entry), one in zip(page, made, strict=True):
            name = entry.name.encode()
            if one is None:
                items.append(Item(name, position, UNKNOWN, 0, None))
            else:
                number = next(numbers)
                items.append(Item(name, position, number, one.mode, attr_of(number, one) if attributes else None))
        return items

    def _child(self, parent: int, entry: Entry, attributes: bool, book: Book | HoldError | None) -> Object | None:
        """What an entry leads to; None for what cannot be shown."""
        plain = entry.cid.codec == cids.RAW and not attributes
        try:
            if isinstance(book, HoldError):
                raise book
            info = None if plain else self._stat(entry.cid, book)
            return self._made(parent, entry.name.encode(), entry.cid, info)
        except HoldError:
            return None

    # ── content ──

    def cached(self, number: int, offset: int, size: int) -> bytes | None:
        """See `trees.Tree`."""
        one = self.file(number)
        if one.size is None:
            return None
        with _failing():
            return self._contents.cached(one.cid, one.size, offset, min(size, MAX_IO))

    def read(self, number: int, offset: int, size: int) -> bytes:
        """See `trees.Tree`."""
        one = self.file(number)
        if one.size is None:
            one = self._sized(number)
        with _failing():
            return self._contents.read(one.cid, one.size or 0, offset, min(size, MAX_IO))


def _listed(found: tuple[int, Entry]) -> bool:
    """Whether the kernel would take a name, and whether it could lead anywhere."""
    entry = found[1]
    return len(entry.name.encode()) <= MAX_NAME and entry.cid.codec in _SHOWN


def _wanted(entry: Entry, attributes: bool) -> bool:
    """Whether an entry's block has to be read, or may as well: a raw leaf has only its length to tell."""
    raw = entry.cid.codec == cids.RAW
    return attributes and entry.tsize <= _SMALL if raw else True


def _nanoseconds(mtime: Mtime | None) -> int:
    """A time as a kernel can have it; what is beyond that is at its end."""
    if mtime is None:
        return 0
    return max(1 - (1 << 63), min(mtime.seconds * SECOND + mtime.nanos, (1 << 63) - 1))


@contextmanager
def _failing(absent: int = errno.EIO) -> Iterator[None]:
    """Run a block in which what cannot be read is EIO. `absent` is what becomes of what is not here at all."""
    try:
        yield
    except HoldError as error:
        number = absent if error.kind in (Kind.NOT_FOUND, Kind.UNSUPPORTED) else errno.EIO
        raise OSError(number, os.strerror(number)) from error
