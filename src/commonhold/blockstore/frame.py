"""A frame being filled: page-aligned memory for payloads, and the table that goes before them.

Slots are reserved in order, filled and hashed anywhere, and settled in any order by whoever has the frame at a time.
A slot whose block turned out to be there already leaves no trace on disk when it is the last one or a large one.
"""

from commonhold.api import Slot
from commonhold.blockstore import layout, records
from commonhold.blockstore.records import HEADER_SIZE, RecordKind
from commonhold.formats.multihash import Multihash
from commonhold.host import disk
from commonhold.host.disk import PAGE, round_up

PAYLOAD = 32 << 20
TABLE_ROOM = 512 << 10
_LARGE = 32 << 10  # from here on payloads start on a page, so that holes and direct reads fit them exactly


class Frame:
    """One ring place's memory and what is in it now."""

    def __init__(self) -> None:
        self._memory = disk.aligned(TABLE_ROOM + PAYLOAD)
        self.reset()

    def reset(self) -> None:
        """Empty it for another round."""
        self._end = 0  # of reserved payload
        self._table = 0  # bytes of table that settled and reserved slots need at most
        self._blocks: list[tuple[Multihash, int, int]] = []  # key, start in the payload, length
        self._dead: list[tuple[int, int]] = []  # whole pages of large slots not needed after all
        self.unsettled = 0

    @property
    def empty(self) -> bool:
        """Whether there is nothing to write."""
        return not self._blocks

    @property
    def size(self) -> int:
        """Bytes of payload reserved so far."""
        return self._end

    def keys(self) -> list[Multihash]:
        """The blocks settled so far."""
        return [key for key, _, _ in self._blocks]

    def reserve(self, length: int) -> Slot | None:
        """Make room for a payload; None if the frame is full."""
        large = length >= _LARGE
        start = round_up(self._end) if large else self._end
        end = start + (round_up(length) if large else length)
        if end > PAYLOAD or self._table + _MAX_ENTRY > TABLE_ROOM - HEADER_SIZE:
            return None
        self._end = end
        self._table += _MAX_ENTRY
        self.unsettled += 1
        base = TABLE_ROOM + start
        return Slot(self._memory[base : base + length], start, self)

    def settle(self, slot: Slot, key: Multihash) -> None:
        """Say what a filled slot holds."""
        self.unsettled -= 1
        self._blocks.append((key, slot.start, len(slot.into)))
        self._table += len(key) + 9 - _MAX_ENTRY

    def forget(self, slot: Slot) -> None:
        """Say that a slot is not needed."""
        self.unsettled -= 1
        self._table -= _MAX_ENTRY
        length = len(slot.into)
        large = length >= _LARGE
        end = slot.start + (round_up(length) if large else length)
        if end == self._end:
            self._end = slot.start
        elif large:
            self._dead.append((slot.start, end))

    def seal(self, key: bytes) -> tuple[list[memoryview], int, list[tuple[Multihash, int, int]]]:
        """Return what to write, its size in whole pages, and the blocks: (key, offset from its start, length)."""
        runs = self._runs()
        shifts = _Shifts(self._dead)
        placed = [
            (name, start - shifts.before(start), length) for name, start, length in sorted(self._blocks, key=_start)
        ]
        body = b"".join([layout.pack_entry(*entry) for entry in placed])
        front = round_up(HEADER_SIZE + len(body))
        total = front + sum(end - start for start, end in runs)
        head = records.pack_header(key, RecordKind.BLOCKS, body, payload=front, total=total)
        first = TABLE_ROOM - front
        self._memory[first : first + HEADER_SIZE + len(body)] = head + body
        self._memory[first + HEADER_SIZE + len(body) : TABLE_ROOM] = bytes(front - HEADER_SIZE - len(body))
        parts = [
            self._memory[first : TABLE_ROOM + runs[0][1]]
            if runs and runs[0][0] == 0
            else self._memory[first:TABLE_ROOM]
        ]
        parts += [self._memory[TABLE_ROOM + a : TABLE_ROOM + b] for a, b in runs if a > 0]
        return parts, total, [(name, front + offset, length) for name, offset, length in placed]

    def _runs(self) -> list[tuple[int, int]]:
        """The stretches of payload to write, in whole pages."""
        end = round_up(self._end)
        self._memory[TABLE_ROOM + self._end : TABLE_ROOM + end] = bytes(end - self._end)
        runs, at = [], 0
        for start, stop in sorted(self._dead):
            stop = min(stop, end)
            if start >= stop:
                continue
            if start > at:
                runs.append((at, start))
            at = stop
        if end > at:
            runs.append((at, end))
        return runs


_MAX_ENTRY = 1 + 160 + 8


def _start(block: tuple[Multihash, int, int]) -> int:
    return block[1]


class _Shifts:
    """How far payloads move up when dead pages before them are left out; asked in ascending order."""

    def __init__(self, dead: list[tuple[int, int]]) -> None:
        self._dead = sorted(dead)
        self._next = 0
        self._sum = 0

    def before(self, start: int) -> int:
        while self._next < len(self._dead) and self._dead[self._next][0] < start:
            a, b = self._dead[self._next]
            self._sum += b - a
            self._next += 1
        return self._sum


assert PAYLOAD % PAGE == 0 and TABLE_ROOM % PAGE == 0
