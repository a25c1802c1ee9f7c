"""A server as it is known: how it is reached, whether it is blessed, and which clause of which file decided what. Pure.

docs/spec/known-servers.md; REQUIREMENTS D7, D22, D25.
"""

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from commonhold.authority.blessed import Candidate, Verdict, may_read, may_upload
from commonhold.authority.lists import Lists
from commonhold.authority.trust import Trust
from commonhold.formats.announcement import Announcement
from commonhold.formats.blessing import Purpose
from commonhold.formats.hint import Hint
from commonhold.formats.pin import GridId, SpkiPin
from commonhold.grids.clauses import Marked
from commonhold.grids.marked import Place, Problem
from commonhold.transport.rules import Rules


class Slot(NamedTuple):
    """Who serves what, where: a server may be known for several purposes."""

    grid: GridId
    purpose: Purpose
    server: SpkiPin


class Address(NamedTuple):
    """An address, where it stands, and what becomes of it. `named`: by an override. `hint`: as it is dialled, or None
    where it never is; `said`: how, or why not."""

    text: str
    place: Place
    named: bool
    hint: Hint | None
    said: str
    reached: bool


class View(Enum):
    """How an introducer's announcement of a server compares with the one that counts."""

    SAME = "shows the same"
    OLDER = "shows an older one"
    OTHER = "shows another one of the same sequence"
    NONE = "does not show it"


class Told(NamedTuple):
    """What one introducer says of a server. `said` and `place` are None where that is nothing."""

    introducer: SpkiPin
    view: View
    said: Announcement | None = None
    place: Place | None = None


class Decision(NamedTuple):
    """What was decided of a field, by which place, and in whose place; None for what is not in a file."""

    field: str
    value: str
    place: Place
    instead: tuple[Marked[str], ...] = ()


@dataclass(frozen=True, slots=True)
class KnownServer:
    """One server for one purpose. `hints` are what to dial, in order, by `rules`, which are of this server alone:
    `transport.dial` takes them as they are, with the pin.

    `blessed_at` are the places of the candidate's blessings; `cached` is how each address would have been dialled when
    the cache was written; times are in seconds since 1970.
    """

    slot: Slot
    name: str
    addresses: tuple[Address, ...]
    rules: Rules
    candidate: Candidate
    upload: Verdict
    read: Verdict
    blessed_at: tuple[Place, ...]
    told: tuple[Told, ...]
    trace: tuple[Decision, ...]
    cached: tuple[tuple[str, Marked[str]], ...] = ()
    seen: int | None = None
    connected: int | None = None

    @property
    def pin(self) -> SpkiPin:
        """Who it is."""
        return self.slot.server

    @property
    def purpose(self) -> Purpose:
        """What it is for."""
        return self.slot.purpose

    @property
    def hints(self) -> tuple[Hint, ...]:
        """What to dial, in order. None of it where an override says so."""
        return tuple(address.hint for address in self.addresses if address.hint is not None)

    @property
    def classes(self) -> frozenset[str]:
        """As what it is blessed, by as many as are needed."""
        return self.upload.classes

    @property
    def leaving(self) -> bool:
        """Whether what is kept there is to be moved: it says that it is being emptied, or its blessing was revoked."""
        return self.upload.leaving

    @property
    def reached(self) -> str:
        """How it is reached first, or why not at all."""
        for address in self.addresses:
            if address.reached:
                return f"{address.text} {address.said}"
        return f"not at all: {self.addresses[0].text} {self.addresses[0].said}" if self.addresses else "no address"

    def judged(self, trust: Trust, lists: Lists, now: int) -> tuple[Verdict, Verdict]:
        """Whether anything may be put there, and read from there, at another time or by newer lists."""
        return may_upload(self.candidate, trust, lists, now), may_read(self.candidate, trust, lists, now)


class Known(NamedTuple):
    """All servers that are known, by purpose and pin, and what is wrong in the files."""

    servers: tuple[KnownServer, ...]
    problems: tuple[Problem, ...]
