"""What was written to one file and is not stored yet: pieces of bytes by where they begin. Pure.

Pieces do not overlap, are not empty, and cross no border of a chunk. A piece that is `sent` is on its way into a block;
its bytes never change, so that what is written over it takes its place.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

CHUNK = 1 << 20


class Piece:
    """Bytes from `start` on. Open pieces are bytearrays that grow; sent ones are bytes."""

    __slots__ = ("data", "sent", "start")

    def __init__(self, start: int, data: bytes | bytearray) -> None:
        self.start = start
        self.data = data
        self.sent = False

    @property
    def stop(self) -> int:
        """Where it ends."""
        return self.start + len(self.data)


class Pieces:
    """The pieces of one file, in order. `size` is how many bytes they have."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._pieces: list[Piece] = []
        self.size = 0

    def __iter__(self) -> Iterator[Piece]:
        return iter(self._pieces)

    def __len__(self) -> int:
        return len(self._pieces)

    def write(self, offset: int, data: memoryview | bytes) -> None:
        """Put bytes there in place of what was."""
        view = memoryview(data)
        while view:
            room = CHUNK - offset % CHUNK
            self._write(offset, view[:room])
            offset += min(room, len(view))
            view = view[room:]

    def _write(self, offset: int, view: memoryview) -> None:
        stop = offset + len(view)
        at = bisect_right(self._starts, offset) - 1
        if at >= 0 and (at + 1 == len(self._starts) or stop <= self._starts[at + 1]):
            piece = self._pieces[at]
            into = offset - piece.start
            if into <= len(piece.data) and into + len(view) <= CHUNK - piece.start % CHUNK and not piece.sent:
                data = piece.data if isinstance(piece.data, bytearray) else bytearray(piece.data)
                self.size += max(0, into + len(view) - len(data))
                data[into : into + len(view)] = view
                piece.data = data
                return
        self.cut(offset, stop)
        at = bisect_left(self._starts, offset)
        self._insert(at, Piece(offset, bytes(view) if len(view) == CHUNK else bytearray(view)))

    def _insert(self, at: int, piece: Piece) -> None:
        self._starts.insert(at, piece.start)
        self._pieces.insert(at, piece)
        self.size += len(piece.data)

    def _span(self, start: int, stop: int) -> tuple[int, int]:
        """The first and the last but one of the pieces that have bytes of a range."""
        first = bisect_right(self._starts, start) - 1
        if first < 0 or self._pieces[first].stop <= start:
            first += 1
        return first, max(first, bisect_left(self._starts, stop))

    def cut(self, start: int, stop: int) -> None:
        """Forget the bytes of a range. What is left of a sent piece is to be sent anew."""
        first, last = self._span(start, stop)
        if first == last:
            return
        left, right = self._pieces[first], self._pieces[last - 1]
        kept = []
        if left.start < start:
            kept.append(Piece(left.start, left.data[: start - left.start]))
        if right.stop > stop:
            kept.append(Piece(stop, right.data[stop - right.start :]))
        self.size -= sum(len(piece.data) for piece in self._pieces[first:last])
        self.size += sum(len(piece.data) for piece in kept)
        self._pieces[first:last] = kept
        self._starts[first:last] = [piece.start for piece in kept]

    def parts(self, start: int, stop: int) -> list[tuple[int, bytes]]:
        """The bytes that there are of a range, by their offsets."""
        first, last = self._span(start, stop)
        found = []
        for piece in self._pieces[first:last]:
            skipped = max(0, start - piece.start)
            found.append((piece.start + skipped, bytes(piece.data[skipped : stop - piece.start])))
        return found

    def covered(self, start: int, stop: int) -> list[tuple[int, int]]:
        """The ranges of which there are bytes within a range, as start and end."""
        first, last = self._span(start, stop)
        return [(max(start, piece.start), min(stop, piece.stop)) for piece in self._pieces[first:last]]

    def whole(self, chunk: int) -> Piece | None:
        """The chunk of that number as one piece that was not sent yet, if all of its bytes are here."""
        first, last = self._span(chunk * CHUNK, (chunk + 1) * CHUNK)
        pieces = self._pieces[first:last]
        if sum(len(piece.data) for piece in pieces) < CHUNK or all(piece.sent for piece in pieces):
            return None
        return self._join(first, last)

    def unsent(self) -> list[Piece]:
        """What was not sent yet, neighbours in a chunk joined."""
        at, found = 0, []
        while at < len(self._pieces):
            last = at + 1
            if not self._pieces[at].sent:
                while last < len(self._pieces) and self._continues(last):
                    last += 1
                found.append(self._join(at, last))
            at += 1
        return found

    def _continues(self, at: int) -> bool:
        piece, before = self._pieces[at], self._pieces[at - 1]
        return not piece.sent and before.stop == piece.start and piece.start % CHUNK != 0

    def _join(self, first: int, last: int) -> Piece:
        """Make neighbours one piece."""
        if last - first > 1:
            joined = Piece(self._starts[first], b"".join([piece.data for piece in self._pieces[first:last]]))
            self._pieces[first:last] = [joined]
            self._starts[first:last] = [joined.start]
        return self._pieces[first]

    def take(self, piece: Piece) -> bool:
        """Forget a piece if it is still here as it was; whether it was."""
        at = bisect_left(self._starts, piece.start)
        if at == len(self._pieces) or self._pieces[at] is not piece:
            return False
        del self._starts[at], self._pieces[at]
        self.size -= len(piece.data)
        return True


class Unstored:
    """The pieces of all files. `total` is how many bytes they have, `count` how many they are."""

    def __init__(self) -> None:
        self._files: dict[int, Pieces] = {}
        self.total = 0
        self.count = 0

    def of(self, number: int) -> Pieces | None:
        """A file's, if it has any."""
        return self._files.get(number)

    def size(self, number: int) -> int:
        """How many bytes a file has here."""
        pieces = self._files.get(number)
        return pieces.size if pieces is not None else 0

    def write(self, number: int, offset: int, data: memoryview | bytes) -> Pieces:
        """Put bytes there; see `Pieces.write`."""
        pieces = self._files.get(number)
        if pieces is None:
            pieces = self._files[number] = Pieces()
        before = pieces.size, len(pieces)
        pieces.write(offset, data)
        self._changed(number, pieces, before)
        return pieces

    def cut(self, number: int, start: int, stop: int) -> None:
        """Forget bytes; see `Pieces.cut`."""
        pieces = self._files.get(number)
        if pieces is not None:
            before = pieces.size, len(pieces)
            pieces.cut(start, stop)
            self._changed(number, pieces, before)

    def take(self, number: int, piece: Piece) -> bool:
        """Forget a piece; see `Pieces.take`."""
        pieces = self._files.get(number)
        if pieces is None:
            return False
        before = pieces.size, len(pieces)
        found = pieces.take(piece)
        self._changed(number, pieces, before)
        return found

    def whole(self, number: int, chunk: int) -> Piece | None:
        """A chunk of which all bytes are here; see `Pieces.whole`."""
        pieces = self._files[number]
        before = pieces.size, len(pieces)
        found = pieces.whole(chunk)
        self._changed(number, pieces, before)
        return found

    def unsent(self) -> list[tuple[int, Piece]]:
        """What was not sent yet, of every file; see `Pieces.unsent`."""
        found = []
        for number, pieces in list(self._files.items()):
            before = pieces.size, len(pieces)
            found += [(number, piece) for piece in pieces.unsent()]
            self._changed(number, pieces, before)
        return found

    def all(self) -> list[tuple[int, Piece]]:
        """All there is, sent or not."""
        self.unsent()
        return [(number, piece) for number, pieces in self._files.items() for piece in pieces]

    def _changed(self, number: int, pieces: Pieces, before: tuple[int, int]) -> None:
        self.total += pieces.size - before[0]
        self.count += len(pieces) - before[1]
        if not pieces.size:
            del self._files[number]

    def forget(self, number: int) -> None:
        """Forget a file."""
        pieces = self._files.pop(number, None)
        if pieces is not None:
            self.total -= pieces.size
            self.count -= len(pieces)
