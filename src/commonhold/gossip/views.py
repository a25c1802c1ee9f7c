"""What several introducers have shown to one subscriber, compared: who hides what others show. Pure. REQUIREMENTS D25.

An introducer that shows other servers to each client can part them from each other. It cannot know what others have
shown to a client; so whoever listens to several finds out. What is said here are findings with their evidence, no
verdict: an introducer whose room is full shows less, too.
"""

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Final, NamedTuple

from commonhold.formats.gossip import Id
from commonhold.formats.pin import SpkiPin
from commonhold.gossip.reading import Record
from commonhold.gossip.reconcile import Ids

GRACE: Final = 120.0  # seconds in which what one shows is to be shown by all
ENDING: Final = 600  # seconds before its end, in which clocks may differ about whether it has come


class Fault(Enum):
    """In what an introducer differs from others."""

    HIDES = "does not show it"
    OUTDATED = "shows an older one"
    DIFFERENT = "shows another one of the same sequence"


class View(NamedTuple):
    """What an introducer has shown by now, and since when it has had the chance."""

    server: SpkiPin
    since: float
    ids: Ids


class Seen(NamedTuple):
    """A statement, and when it became known."""

    record: Record
    since: float


class Finding(NamedTuple):
    """What an introducer keeps from others to see, and who shows it. `shows` is what it shows in its place."""

    server: SpkiPin
    fault: Fault
    record: Record
    shows: Id | None
    shown_by: tuple[SpkiPin, ...]


def findings(views: Sequence[View], seen: Iterable[Seen], now: float, grace: float = GRACE) -> list[Finding]:
    """Return what is kept back by introducers, for at least the time of grace, that others show."""
    found: list[Finding] = []
    for record, since in seen:
        if record.until - ENDING <= now or now - since < grace:
            continue
        shown_by = tuple(view.server for view in views if view.ids.get(record.slot) == record.id)
        for view in views:
            if shown_by and now - view.since >= grace and view.server not in shown_by:
                shows = view.ids.get(record.slot)
                fault = _fault(record.id, shows)
                if fault is not None:
                    found.append(Finding(view.server, fault, record, shows, shown_by))
    return found


def _fault(counts: Id, shows: Id | None) -> Fault | None:
    if shows is None:
        return Fault.HIDES
    if shows.sequence == counts.sequence:
        return Fault.DIFFERENT
    return Fault.OUTDATED if shows < counts else None  # a later one is on its way here
