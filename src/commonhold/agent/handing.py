"""An agent and its host's tender: it says that it is there, learns what was seen, and hands over what is kept.

Where there is no tender nothing is done. What a tender says is shown, and decides nothing: leases are renewed by when
the agent itself renewed them. docs/spec/tender.md.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from commonhold.agent.charging import charge_of
from commonhold.authority import times
from commonhold.errors import HoldError, Kind
from commonhold.exchange import tending
from commonhold.exchange.book import Book, KeptSet
from commonhold.exchange.tending import Care, State
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import GridId
from commonhold.grids import membership, places
from commonhold.grids.membership import Membership
from commonhold.grids.rounds import BOOK
from commonhold.host.saying import say
from commonhold.ipc.tenderclient import Looked, Tender, digest


class Handing:
    """See the module. `state` is where the user's own things are, `socket` the tender's."""

    def __init__(self, state: Path, uid: int, socket: Path, now: Callable[[], int]) -> None:
        self._state = state
        self._uid = uid
        self._socket = socket
        self._now = now

    def meet(self) -> None:
        """Say that we are here, and note what was seen. Whatever goes wrong is said, and ends nothing."""
        with self._called() as tender:
            for of in self._joined()[0]:
                _note(of.directory, tender.here(of.grid)[1], self._now())

    def hand(self) -> None:
        """Have the tender's charges be those that should be there now. What goes wrong is said, as above."""
        with self._called() as tender:
            joined, all_known = self._joined()
            for of in joined:
                self._hand(tender, of)
            for grid in set(tender.grids()) - {of.grid for of in joined} if all_known else ():
                tender.drop(grid)

    def _hand(self, tender: Tender, of: Membership) -> None:
        there, _ = tender.here(of.grid)
        charge = charge_of(of, self._uid, tender.keys, self._now)
        if charge is None:
            if there is not None:
                tender.drop(of.grid)
        elif there != digest(charge):
            tender.put(charge)

    def _joined(self) -> tuple[list[Membership], bool]:
        """One of each grid, of two memberships in the same one the first; and whether that is all: one whose
        files are wrong was not left."""
        found: dict[GridId, Membership] = {}
        all_known = True
        try:
            directories = places.joined(self._state, self._uid, Path)
        except HoldError as error:
            return [], error.kind is Kind.NOT_FOUND
        for directory in directories:
            try:
                of = membership.load(directory)
                found.setdefault(of.grid, of)
            except HoldError:
                all_known = False
        return list(found.values()), all_known

    @contextlib.contextmanager
    def _called(self) -> Iterator[Tender]:
        """The tender. The block ends where there is none, or it refuses something: that is said."""
        tender: Tender | None = None
        try:
            tender = Tender(self._socket, self._uid)
            yield tender
        except (HoldError, Malformed, OSError) as error:
            if not (isinstance(error, HoldError) and error.kind in (Kind.UNREACHABLE, Kind.NOT_FOUND)):
                say("hold agent", f"handing over to the tender: {error}")
        finally:
            if tender is not None:
                tender.close()


def _note(directory: Path, seen: list[Looked], now: int) -> None:
    """Write down what a tender has seen since we looked ourselves."""
    if not (directory / BOOK).exists():
        return
    with contextlib.closing(Book(directory / BOOK)) as book:
        cares = book.cares()
        by_set = {(one.seed, one.made): one for one in seen}
        for kept in book.sets():
            one = by_set.get((kept.seed, kept.made))
            if one is not None:
                care = _newer(cares.get(kept.name), kept, one, now)
                if care is not None:
                    book.put_care(kept, care)


def _newer(care: Care | None, kept: KeptSet, one: Looked, now: int) -> Care | None:
    """What is known of a set now; None: nothing new. When it is looked at next, and its leases, stay as they were."""
    if one.looked is None or one.state is None or not kept.made <= one.looked <= now:
        return None
    if care is not None and care.looked is not None and care.looked >= one.looked:
        return None
    was = care or tending.begun(now, lambda: 0.0)
    until = times.shown(one.until)[:10]
    said = f"looked after by this host's tender while you were away: leases until {until}, it says"
    return replace(was, looked=one.looked, state=State(one.state), said=f"{said}; {one.said}" if one.said else said)
