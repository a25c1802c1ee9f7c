"""The values and seams of the whole system, on one page.

A floor that needs another floor's work names it here; the wiring is in the mains.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeAlias, TypeVar

from commonhold.formats.cid import Cid
from commonhold.formats.multihash import Multihash

MAX_BLOCK = 2 << 20

T = TypeVar("T")


class Block(NamedTuple):
    """Bytes and their name. Whoever makes one has checked that they belong together."""

    cid: Cid
    data: bytes


# ── Plans: what the pure floors give instead of doing I/O ──────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Want:
    """A plan's request: these blocks, in this order. It is answered with their bytes."""

    cids: tuple[Cid, ...]


# A plan yields wants and is sent the blocks; what it returns is its answer.
Plan: TypeAlias = Generator[Want, Sequence[bytes], T]
# A stream yields wants, answered likewise, and items, answered with ().
Stream: TypeAlias = Generator[Want | T, Sequence[bytes], None]


# ── The block store ────────────────────────────────────────────────────────────────────────────────


MAX_USER = 0xFFFFFFEF  # uids above stand for no single user
NOT_A_USER = 0xFFFFFFFD
PUBLIC = 0xFFFFFFFE  # as a reader: everybody
OWNERLESS = 0xFFFFFFFF  # as an owner: a store of one user asks for none


class Pin(NamedTuple):
    """A retain set as its owner sees it. `root` is what it was made for; `blocks` counts what it keeps.

    Owners and readers are uids of this host.
    """

    name: str
    root: Cid
    blocks: int
    bytes: int
    made: float  # seconds since 1970
    owner: int = OWNERLESS
    readers: tuple[int, ...] = ()


class Usage(NamedTuple):
    """What a store holds. Bytes are of payload, except `disk`, which is of files."""

    blocks: int
    bytes: int
    pins: int
    segments: int
    disk: int


class Slot(NamedTuple):
    """A place for one block's bytes in memory that goes to disk as it is. `into` is exactly as long as was asked."""

    into: memoryview
    start: int
    home: object


class Session(Protocol):
    """An add under way. All it puts or finds is kept; `commit` gives it a name, `close` lets it go.

    Not for use from two threads at once, except that slots may be filled and hashed anywhere.
    """

    fillers: int  # how many threads it pays to fill slots with

    def reserve(self, length: int, *, wait: bool) -> Slot | None:
        """Make a place for a block that is yet to be read. None where there is no room until open slots are settled,
        or, if `wait` is off, until the disk has caught up."""
        ...

    def digest(self, slot: Slot) -> bytes:
        """The sha2-256 digest of what was read into a slot, which is not written to after that. From any thread."""
        ...

    def settle(self, slot: Slot, key: Multihash) -> bool:
        """Say what a filled slot holds; False if that block was there, as far as is known, and the slot not needed."""
        ...

    def abandon(self, slot: Slot) -> None:
        """Give a slot up."""
        ...

    def put(self, key: Multihash, data: bytes | memoryview) -> bool:
        """Store a block that the caller has hashed; False if it is known to have been there.

        Durable after `flush` or `commit`.
        """
        ...

    def keep(self, key: Multihash) -> bool:
        """Count a block that may be there as one of this session's; False if the store has none such."""
        ...

    def keep_all(self, keys: Sequence[Multihash]) -> list[bool]:
        """The same for many at once."""
        ...

    def flush(self) -> None:
        """Return when all that was put is on disk."""
        ...

    def commit(self, name: str, root: Cid) -> Pin:
        """Make all that was put and kept a retain set, replacing the one of that name. On disk on return."""
        ...

    def close(self) -> None:
        """Let go of what was not committed. What was put stays until `gc`."""
        ...


class BlockStore(Protocol):
    """Blocks by multihash. Errors are HoldError; a missing block is NOT_FOUND, a wrong one CORRUPT."""

    def has(self, key: Multihash) -> bool: ...

    def size(self, key: Multihash) -> int:
        """Bytes of a block's payload."""
        ...

    def get(self, key: Multihash) -> bytes:
        """A block, checked against its key."""
        ...

    def read_into(self, key: Multihash, into: memoryview, *, unchecked: bool = False) -> int:
        """Read a block, checked, to the start of a buffer that can hold it; its length. Safe from many threads.

        `unchecked`: it need not be, as the caller finds out if these are other bytes. Who unseals a block does.
        """
        ...

    def delete(self, key: Multihash) -> int:
        """Remove a block that no retain set and no session holds, durably; its length."""
        ...

    def expect(self, keys: Iterable[Multihash]) -> None:
        """Say which blocks will be asked for soon, for a store that had better fetch them in one go."""
        ...

    def session(self, readers: tuple[int, ...] = ()) -> Session:
        """Begin an add. `readers`, uids or PUBLIC, may read what it commits; USAGE where nobody else reads."""
        ...

    def pins(self) -> list[Pin]: ...

    def pin(self, name: str) -> Pin | None: ...

    def pin_keys(self, name: str) -> Iterator[Multihash]: ...

    def unpin(self, name: str) -> None: ...

    def rename_pin(self, old: str, new: str) -> None: ...

    def keys(self) -> Iterator[Multihash]: ...

    def usage(self) -> Usage: ...

    def close(self) -> None: ...


Fetch: TypeAlias = Callable[[Sequence[Cid]], Iterable[bytes]]
"""Whoever can answer a Want: the blocks of these CIDs, checked, in order."""


@dataclass(slots=True)
class Reclaimed:
    """What a collection did. Bytes are of payload for `bytes`, of files for `disk`."""

    blocks: int = 0
    bytes: int = 0
    moved: int = 0
    segments: int = 0
    disk: int = 0


@dataclass(frozen=True, slots=True)
class Damage:
    """Something that is not as it was written. `key` is None where it is not one block; `pins` names who it touches."""

    what: str
    key: Multihash | None
    pins: tuple[str, ...] = ()


@dataclass(slots=True)
class Report:
    """What a verification read and found."""

    blocks: int = 0
    bytes: int = 0
    damage: list[Damage] = field(default_factory=list)


# ── Records ────────────────────────────────────────────────────────────────────────────────────────

MAX_RECORD = 10 << 10
MAX_RECORDS = 1024  # of one owner
MAX_ANSWERS = 64
MAX_RECORD_KEY = 128


class Records(Protocol):
    """Signed records, kept without understanding them. Errors are HoldError.

    Each owner (a uid) has a place of their own for each kind and key, so nobody overwrites another's record; and
    nothing is verified here, so whoever reads one must, and pick.
    """

    def put(self, owner: int, kind: str, key: bytes, record: bytes) -> None:
        """Keep an owner's record in place of the one before; on disk on return. TOO_LARGE, or QUOTA for too many."""
        ...

    def get(self, asker: int, kind: str, key: bytes) -> list[bytes]:
        """The records of a key, at most MAX_ANSWERS: the asker's own first, then others' in the order in which they
        first came, so that nobody's record is crowded out by a later one."""
        ...

    def remove(self, owner: int, kind: str, key: bytes) -> None:
        """Let an owner's record go. NOT_FOUND."""
        ...

    def keys(self, owner: int, kind: str) -> list[bytes]:
        """The keys that an owner has records of, sorted: at most MAX_RECORDS."""
        ...

    def close(self) -> None: ...
