"""Where stored contents lie: extents of objects in blocks, blocks in chapters, and what of each is still used.

An extent is at most as long as a block. Uses are counted in memory and written to the blocks' rows by `settle_uses`,
before a commit; a block that nothing uses goes then, and a chapter without blocks. docs/spec/volume.md, "Contents".
"""

import sqlite3
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from commonhold.volume.pieces import CHUNK
from commonhold.volume.vault import Sealed

INLINE = 0  # as a chapter: the block's bytes are in its row
_AT_ONCE = 4096
_FEW = 16  # pieces of a chunk that are remembered
_REMEMBERED = 4096  # chunks
_LAST = (1 << 63) - 1  # that SQLite knows
MAX_LENGTH = CHUNK  # of a block's content, so of an extent


class Extent(NamedTuple):
    """Bytes of an object: `length` from `start` on are those of a block after `skip`."""

    start: int
    length: int
    block: int
    skip: int


class Lying(NamedTuple):
    """Bytes of an object, and the block that has them; `inline`: it is in its row."""

    extent: Extent
    block: Sealed
    inline: bool


class Adoption(NamedTuple):
    """A block that is to be a file's content from an offset on, where the file has nothing yet."""

    number: int
    start: int
    block: Sealed


class Extents:
    """The extents, blocks and chapters of one volume."""

    def __init__(self, db: sqlite3.Connection, ticket: Callable[[], int]) -> None:
        self._db = db
        self._ticket = ticket
        self._uses: dict[int, int] = {}  # not yet in the blocks' rows
        self._lying: dict[int, dict[int, list[Lying]]] = {}  # by object and chunk, as they were asked for
        self._remembered = 0
        self.inline = int(self._one("select total(length) from block where chapter = 0"))

    def _one(self, statement: str, values: tuple[Any, ...] = ()) -> Any:
        return self._db.execute(statement, values).fetchone()[0]

    # ── extents ──

    def over(self, number: int, start: int, stop: int, most: int = -1) -> list[Extent]:
        """The extents that have bytes of a range, in order, whole; at most so many."""
        found = self._db.execute(
            "select start, length, block, skip from extent"
            " where object = ? and start > ? and start < ? and start + length > ? order by start limit ?",
            (number, start - MAX_LENGTH, min(stop, _LAST), start, most),
        )
        return [Extent._make(row) for row in found]

    def within(self, number: int, start: int, stop: int) -> list[Extent]:
        """The same, cut to the range."""
        found = []
        for extent in self.over(number, start, stop):
            first, last = max(start, extent.start), min(stop, extent.start + extent.length)
            found.append(Extent(first, last - first, extent.block, extent.skip + first - extent.start))
        return found

    def in_chunk(self, number: int, chunk: int) -> list[Lying] | None:
        """What an object has of a chunk, in order, cut to it, and where it lies. None where that is in many pieces."""
        chunks = self._lying.get(number)
        found = None if chunks is None else chunks.get(chunk)
        if found is not None:
            return found
        extents = self.within(number, chunk * CHUNK, (chunk + 1) * CHUNK)
        if len(extents) > _FEW:
            return None
        if self._remembered >= _REMEMBERED:
            self._lying.clear()
            self._remembered = 0
        found = [Lying(extent, *self.block(extent.block)) for extent in extents]
        self._lying.setdefault(number, {})[chunk] = found
        self._remembered += 1
        return found

    def _forget(self, number: int) -> None:
        self._remembered -= len(self._lying.pop(number, ()))

    def next_after(self, number: int, offset: int) -> int | None:
        """Where the first extent begins at an offset or after it."""
        found: int | None = self._one("select min(start) from extent where object = ? and start >= ?", (number, offset))
        return found

    def insert(self, number: int, extent: Extent) -> None:
        """Add an extent where there is none."""
        self._forget(number)
        self._db.execute("insert into extent values (?, ?, ?, ?, ?)", (number, *extent))
        self._use(extent.block, extent.length)

    def cut(self, number: int, start: int, stop: int) -> int:
        """Make a hole; how many bytes there were."""
        self._forget(number)
        cut = 0
        while over := self.over(number, start, stop, _AT_ONCE):
            self._db.execute(
                "delete from extent where object = ? and start between ? and ?",
                (number, over[0].start, over[-1].start),
            )
            for extent in over:
                cut += self._cut(number, extent, start, stop)
            start = over[-1].start + over[-1].length
            if start >= stop:
                break
        return cut

    def _cut(self, number: int, extent: Extent, start: int, stop: int) -> int:
        """Put back what is left of an extent that was removed; how many bytes are not."""
        end = extent.start + extent.length
        first, last = max(start, extent.start), min(stop, end)
        self._use(extent.block, -extent.length)
        if first > extent.start:
            self.insert(number, extent._replace(length=first - extent.start))
        if last < end:
            self.insert(number, Extent(last, end - last, extent.block, extent.skip + last - extent.start))
        return last - first

    def users(self, block: int) -> list[tuple[int, Extent]]:
        """The objects' extents that lie in a block."""
        rows = self._db.execute(
            "select object, start, length, block, skip from extent where block = ? order by object, start", (block,)
        )
        return [(row[0], Extent._make(row[1:])) for row in rows]

    # ── blocks ──

    def _use(self, block: int, length: int) -> None:
        self._uses[block] = self._uses.get(block, 0) + length

    def block(self, number: int) -> tuple[Sealed, bool]:
        """What finds a block, and whether its bytes are here instead."""
        digest, key, plain, length, chapter = self._db.execute(
            "select digest, key, plain, length, chapter from block where number = ?", (number,)
        ).fetchone()
        return Sealed(digest, key, plain, length), chapter == INLINE

    def data(self, block: int, skip: int, length: int) -> bytes:
        """Bytes of a block that is here."""
        found: bytes = self._one("select substr(data, ?, ?) from block where number = ?", (skip + 1, length, block))
        return found

    def add_inline(self, data: bytes) -> int:
        """Add a block whose bytes are here; its number."""
        number = self._ticket()
        self._db.execute("insert into block values (?, ?, 0, 0, x'', x'', x'', ?)", (number, len(data), data))
        self.inline += len(data)
        self._uses.setdefault(number, 0)
        return number

    def add_block(self, sealed: Sealed, chapter: int) -> int:
        """Add a block of a chapter; its number."""
        number = self._ticket()
        self._db.execute(
            "insert into block values (?, ?, 0, ?, ?, ?, ?, null)",
            (number, sealed.length, chapter, sealed.digest, sealed.key, sealed.plain),
        )
        self._db.execute("update chapter set live = live + ? where number = ?", (sealed.length, chapter))
        self._uses.setdefault(number, 0)
        return number

    def thin(self, most: int) -> list[int]:
        """Blocks of which less than half is used, but those that are here. As of `settle_uses`."""
        rows = self._db.execute("select number from block where live * 2 < length and chapter > 0 limit ?", (most,))
        return [number for (number,) in rows]

    def inlines(self, most: int) -> list[int]:
        """The oldest blocks that are here, up to about so many bytes."""
        found, size = [], 0
        for number, length in self._db.execute("select number, length from block where chapter = 0 order by number"):
            found.append(number)
            size += length
            if size >= most:
                break
        return found

    def settle_uses(self) -> list[int]:
        """Write down what is used; blocks that are not go, and so do chapters without any: the numbers of those."""
        gone: dict[int, int] = {}
        for number, change in self._uses.items():
            live, length, chapter = self._db.execute(
                "update block set live = live + ? where number = ? returning live, length, chapter", (change, number)
            ).fetchone()
            if not live:
                self._db.execute("delete from block where number = ?", (number,))
                gone[chapter] = gone.get(chapter, 0) + length
        self._uses.clear()
        self.inline -= gone.pop(INLINE, 0)
        for chapter, length in gone.items():
            self._db.execute("update chapter set live = live - ? where number = ?", (length, chapter))
        empty = [number for (number,) in self._db.execute("select number from chapter where live = 0")]
        self._db.execute("delete from chapter where live = 0")
        return empty

    # ── chapters ──

    def chapters(self) -> list[tuple[int, int, int]]:
        """Number, bytes when it was made, and bytes of blocks that are used, of each."""
        return self._db.execute("select number, total, live from chapter order by number").fetchall()

    def add_chapter(self, number: int, total: int) -> None:
        """Add a chapter that has no blocks yet."""
        self._db.execute("insert into chapter values (?, ?, 0)", (number, total))

    def digests(self, chapters: Iterable[int]) -> list[bytes]:
        """The digests of the blocks in chapters."""
        return [
            digest
            for chapter in chapters
            for (digest,) in self._db.execute("select distinct digest from block where chapter = ?", (chapter,))
        ]

    def merge(self, chapters: Iterable[int], into: int) -> None:
        """Have the blocks of chapters in another one, which is new. The old ones have no blocks then."""
        self.add_chapter(into, 0)
        for chapter in chapters:
            self._db.execute("update block set chapter = ? where chapter = ?", (into, chapter))
            self._db.execute("update chapter set live = 0 where number = ?", (chapter,))
        size = self._one("select total(length) from block where chapter = ?", (into,))
        self._db.execute("update chapter set total = ?, live = ? where number = ?", (int(size), int(size), into))
