"""What the files of known servers say: a clause for each server, with places beside all that decides something. Pure.

docs/spec/known-servers.md; REQUIREMENTS D5, D6, D8, D9, D12.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, NamedTuple, TypeVar

from commonhold.formats.announcement import MAX_ADDRESSES, Announcement
from commonhold.formats.blessing import Purpose
from commonhold.formats.hint import Hint
from commonhold.formats.pin import GridId, SpkiPin
from commonhold.grids.marked import Place, Problem

VERSION: Final = 1
MAX_CLAUSES: Final = 4096
MAX_COPIES: Final = 8  # announcements of one server: it may serve several purposes
MAX_HINTS: Final = MAX_ADDRESSES

T = TypeVar("T")


class Marked(NamedTuple, Generic[T]):
    """A value and where it stands."""

    value: T
    place: Place


@dataclass(frozen=True, slots=True)
class Local:
    """How one user reaches a server. Those of the first group stand in an override, the others in a cache.

    `hints` instead of the announced addresses, `add_hints` before them; `direct`: these may be dialled directly,
    whatever the rules say. `rules`: how each address would have been dialled when that was written. Times in seconds.
    """

    hints: Marked[tuple[Hint, ...]] | None = None
    add_hints: Marked[tuple[Hint, ...]] | None = None
    direct: Marked[bool] | None = None
    use: Marked[bool] | None = None
    name: Marked[str] | None = None

    rules: tuple[tuple[str, Marked[str]], ...] = ()
    seen: Marked[int] | None = None
    connected: Marked[int] | None = None


@dataclass(frozen=True, slots=True)
class Copy:
    """An announcement that was copied, or what an override says in the place of one.

    `data` is the signed statement and `said` what it says, whose signature is right. `addresses` and `name` are those
    that differ from it; `blessings` stand beside it. `purpose` and `grid` are None where nothing here says them.
    """

    place: Place
    purpose: Purpose | None
    grid: GridId | None
    data: bytes = b""
    said: Announcement | None = None
    addresses: Marked[tuple[Hint, ...]] | None = None
    name: Marked[str] | None = None
    blessings: tuple[Marked[bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Clause:
    """All that one file says of a server."""

    server: SpkiPin
    place: Place
    local: Local = field(default_factory=Local)
    copies: tuple[Copy, ...] = ()

    @property
    def named(self) -> bool:
        """Whether it names an address by the user's own word."""
        local = self.local
        return bool(local.hints or local.add_hints or any(copy.addresses for copy in self.copies))


@dataclass(frozen=True, slots=True)
class File:
    """What was read of a file. `introducer`: whose cache it is; None for the override.

    `refused`: servers of which the file says something that is wrong, by the first problem of each.
    """

    name: str
    introducer: SpkiPin | None = None
    clauses: Mapping[SpkiPin, Clause] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    refused: Mapping[SpkiPin, Problem] = field(default_factory=dict)
