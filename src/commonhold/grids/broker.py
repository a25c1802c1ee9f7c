"""The broker: what all introducers have shown and what the user says of it, made into one view of each server. Pure.

The newest announcement of a server counts, whoever shows it; then the override, field by field, for how to reach the
server and never for who it is. A server whose clause in the override is wrong is not dialled until that is mended: what
the user wanted of it is not known. docs/spec/known-servers.md; REQUIREMENTS D6, D7, D10, D11, D22, D24, D25.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from commonhold.authority import times
from commonhold.authority.blessed import MAX_BLESSINGS, Candidate, may_read, may_upload
from commonhold.authority.lists import Lists
from commonhold.authority.trust import Trust
from commonhold.formats.announcement import Announcement
from commonhold.formats.pin import SpkiPin
from commonhold.grids import addressing
from commonhold.grids.clauses import Clause, Copy, File, Local, Marked
from commonhold.grids.fields import shown
from commonhold.grids.known import Decision, Known, KnownServer, Slot, Told, View
from commonhold.grids.marked import Place, Problem
from commonhold.transport.rules import Rules


@dataclass(frozen=True, slots=True)
class Ground:
    """By what servers are judged: whom to believe, what may be dialled, what is revoked, and the time.

    `held` are servers where shares of one's own are, as one's own records say.
    """

    trust: Trust
    rules: Rules
    lists: Lists
    now: int
    held: frozenset[SpkiPin] = frozenset()


class _Shown(NamedTuple):
    """An announcement and who shows it; None: it was pasted into the override."""

    introducer: SpkiPin | None
    said: Announcement
    data: bytes
    place: Place
    local: Local

    @property
    def rank(self) -> tuple[int, bytes]:
        """The greatest counts, in whatever order they came."""
        return self.said.sequence, hashlib.sha256(self.data).digest()


class _Said(NamedTuple):
    """What the files say of one slot: announcements, whatever else the override says, and what is wrong with that."""

    shown: list[_Shown]
    clause: Clause | None
    wrong: Problem | None

    @property
    def copies(self) -> tuple[Copy, ...]:
        """The override's."""
        return self.clause.copies if self.clause else ()


def known(caches: Iterable[File], override: File, ground: Ground) -> Known:
    """Return every server that an introducer or the override makes known. The order of the caches does not matter."""
    read = sorted(caches, key=lambda file: file.introducer or b"")
    slots = _slots([*read, override])
    wrong = _wrong(override, slots)
    servers = []
    for slot, shown_here in slots.items():
        clause = None if slot.server in wrong else override.clauses.get(slot.server)
        found = _Said(sorted(shown_here, key=lambda one: one.rank, reverse=True), clause, wrong.get(slot.server))
        servers.append(_server(slot, found, [file.introducer for file in read if file.introducer], ground))
    servers.sort(key=lambda server: (server.purpose, server.pin, server.slot.grid))
    problems = [problem for file in (*read, override) for problem in file.problems]
    told = {problem for problem in wrong.values() if problem not in problems}
    return Known(tuple(servers), (*problems, *sorted(told)))


def _slots(files: Sequence[File]) -> dict[Slot, list[_Shown]]:
    found: dict[Slot, list[_Shown]] = {}
    for file in files:
        for server, clause in file.clauses.items():
            for copy in clause.copies:
                if copy.grid is None or copy.purpose is None or not (copy.said or copy.blessings):
                    continue
                shown_here = found.setdefault(Slot(copy.grid, copy.purpose, server), [])
                if copy.said is not None:
                    shown_here.append(_Shown(file.introducer, copy.said, copy.data, copy.place, clause.local))
    return found


def _wrong(override: File, slots: Mapping[Slot, list[_Shown]]) -> dict[SpkiPin, Problem]:
    """Clauses that cannot be: what their reader found, and those that name a purpose that the server has not."""
    found = dict(override.refused)
    for server, clause in override.clauses.items():
        mine = [slot for slot in slots if slot.server == server]
        if not mine:
            why = "no introducer has announced it, and no announcement or blessing stands here: it is not used"
            found[server] = Problem(clause.place, shown(server), why)
        for copy in clause.copies:
            if mine and not any(_is_of(copy, slot) for slot in mine):
                purposes = ", ".join(sorted({slot.purpose for slot in mine}))
                why = f"it is announced for {purposes} in another grid or for another purpose than this: "
                why += "who a server is cannot be overridden"
                found[server] = Problem(copy.place, f"{shown(server)}.announcement", why)
    return found


def _is_of(copy: Copy, slot: Slot) -> bool:
    return copy.purpose in (None, slot.purpose) and copy.grid in (None, slot.grid)


def _server(slot: Slot, found: _Said, introducers: Sequence[SpkiPin], ground: Ground) -> KnownServer:
    mine = [copy for copy in found.copies if _is_of(copy, slot)]
    newest = found.shown[0] if found.shown else None
    blessings = _blessings(found.shown, mine)
    leaving = newest is not None and newest.said.leaving
    candidate = Candidate(slot.server, slot.grid, slot.purpose, tuple(blessings), slot.server in ground.held, leaving)
    asked = addressing.Asked(
        slot.server,
        Marked(newest.said.addresses, newest.place) if newest else None,
        found.clause.local if found.clause else Local(),
        next((copy.addresses for copy in mine if copy.addresses), None),
        found.wrong,
    )
    rules = addressing.rules_of(asked, ground.rules)
    name, named = _name(newest, found.clause, mine)
    seen, connected = (_latest(found.shown, field) for field in ("seen", "connected"))
    trace = [*_announced(found.shown), *named, *addressing.decisions(asked), *_times(seen, connected)]
    return KnownServer(
        slot, name, addressing.addresses(asked, rules), rules, candidate,
        may_upload(candidate, ground.trust, ground.lists, ground.now),
        may_read(candidate, ground.trust, ground.lists, ground.now),
        tuple(blessings.values()), _told(found.shown, introducers), tuple(trace), _cached(found.shown),
        seen.value if seen else None, connected.value if connected else None,
    )  # fmt: skip


def _blessings(shown_here: Sequence[_Shown], mine: Sequence[Copy]) -> dict[bytes, Place]:
    """All that speak for a server, each once, as many as are looked at: the user's own first, then the newest's."""
    found: dict[bytes, Place] = {}
    for copy in mine:
        for data, place in copy.blessings:
            found.setdefault(data, place)
    for one in shown_here:
        for data in one.said.blessings:
            found.setdefault(data, one.place)
    return dict(list(found.items())[:MAX_BLESSINGS])


def _name(newest: _Shown | None, clause: Clause | None, mine: Sequence[Copy]) -> tuple[str, list[Decision]]:
    said = [clause.local.name] if clause and clause.local.name else []
    said += [copy.name for copy in mine if copy.name]
    if newest and newest.said.name:
        said.append(Marked(newest.said.name, newest.place))
    if not said:
        return "", []
    return said[0].value, [
        Decision("name", repr(said[0].value), said[0].place, tuple(_quoted(one) for one in said[1:]))
    ]


def _quoted(one: Marked[str]) -> Marked[str]:
    return Marked(repr(one.value), one.place)


def _announced(shown_here: Sequence[_Shown]) -> list[Decision]:
    if not shown_here:
        return []
    newest, *others = shown_here
    instead = tuple(Marked(_numbered(one), one.place) for one in others if one.data != newest.data)
    leaving = [Decision("leaving", "true", newest.place)] if newest.said.leaving else []
    return [Decision("announcement", _numbered(newest), newest.place, instead), *leaving]


def _numbered(one: _Shown) -> str:
    return f"number {one.said.sequence}"


def _latest(shown_here: Sequence[_Shown], field: str) -> Marked[int] | None:
    found: list[Marked[int]] = [mark for one in shown_here if (mark := getattr(one.local, field))]
    return max(found, default=None)


def _times(seen: Marked[int] | None, connected: Marked[int] | None) -> list[Decision]:
    both = (("seen", seen), ("connected", connected))
    return [Decision(name, times.shown(mark.value), mark.place) for name, mark in both if mark]


def _cached(shown_here: Sequence[_Shown]) -> tuple[tuple[str, Marked[str]], ...]:
    """What was in force when the newest announcement was cached; of several caches, where it was seen last."""
    newest = [one for one in shown_here if one.introducer and one.data == shown_here[0].data]
    best = max(newest, key=lambda one: (one.local.seen or Marked(0, one.place), one.introducer or b""), default=None)
    if best is None:
        return ()
    return tuple(entry for entry in best.local.rules if entry[0] in best.said.addresses)


def _told(shown_here: Sequence[_Shown], introducers: Sequence[SpkiPin]) -> tuple[Told, ...]:
    """Each introducer's view beside the others': one that hides what others show is found by this."""
    by = {one.introducer: one for one in shown_here}
    return tuple(
        Told(introducer, _view(by[introducer], shown_here[0]), by[introducer].said, by[introducer].place)
        if introducer in by
        else Told(introducer, View.NONE)
        for introducer in introducers
    )


def _view(one: _Shown, newest: _Shown) -> View:
    if one.data == newest.data:
        return View.SAME
    return View.OTHER if one.said.sequence == newest.said.sequence else View.OLDER
