"""A point in time of a volume: what a commit had, whatever is done since. By a connection and a read transaction of its
own; the chapters that it needs are kept as long as it is open. docs/spec/snapshot.md, "A point in time".
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from commonhold.volume.extents import MAX_LENGTH, Extent
from commonhold.volume.tables import Object, Tables
from commonhold.volume.vault import Sealed

_COLUMNS = "o.number, mode, links, owner, grp, size, held, accessed, modified, changed, born, device, o.parent"


class Point(Tables):
    """Rows and contents as they were. Not for several threads at once. `fetch` gives a block's content."""

    def __init__(self, path: Path, fetch: Callable[[Sealed], bytes]) -> None:
        self.fetch = fetch
        super().__init__(path)

    def _prepare(self) -> None:
        self.db.execute("pragma query_only = on")
        self.db.execute("begin")
        self.db.execute("select 1 from meta").fetchone()  # the transaction is of now

    def entries(self, directory: int) -> Iterator[tuple[bytes, Object]]:
        """What a directory has, by the bytes of the names."""
        rows = self.db.execute(
            f"select name, {_COLUMNS} from entry e join object o on o.number = e.number"
            " where e.parent = ? order by e.name",
            (directory,),
        )
        for name, *row in rows:
            yield name, Object._make(row)

    def empty(self, number: int, start: int, stop: int) -> bool:
        """Whether a range of a file is a hole. False also where only what is near it is none."""
        found = self.extents.next_after(number, max(0, start - MAX_LENGTH + 1))
        return found is None or found >= stop

    def holes(self, row: Object) -> list[tuple[int, int]]:
        """Where a file has holes, and how long they are."""
        found, at = [], 0
        rows = self.db.execute("select start, length from extent where object = ? order by start", (row.number,))
        for start, length in [*rows, (row.size, 0)]:
            if start > at:
                found.append((at, start - at))
            at = start + length
        return found

    def newest(self, number: int) -> int:
        """The last block that a file got; 0 if it has none. Whatever is written to it has a block that is newer."""
        found = self.db.execute("select max(block) from extent where object = ?", (number,)).fetchone()[0]
        return found or 0

    def whole(self, number: int, start: int, stop: int) -> Sealed | None:
        """The stored block whose content is a file's bytes of a range, all of it; None if there is none."""
        match self.extents.within(number, start, stop):
            case [Extent(first, length, block, 0)] if first == start and length == stop - start:
                sealed, inline = self.extents.block(block)
                return None if inline or sealed.length != length else sealed
        return None

    def read(self, number: int, start: int, stop: int) -> bytes:
        """A file's bytes, with zeros where it has none."""
        room = bytearray(stop - start)
        for at, length, block, skip in self.extents.within(number, start, stop):
            sealed, inline = self.extents.block(block)
            if inline:
                room[at - start : at - start + length] = self.extents.data(block, skip, length)
            else:
                room[at - start : at - start + length] = self.fetch(sealed)[skip : skip + length]
        return bytes(room)
