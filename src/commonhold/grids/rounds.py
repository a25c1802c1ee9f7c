"""Rounds over all that somebody keeps on grids: whichever set has waited longest is visited when it is due.

An agent makes them for its user, a tender for whoever is away. What is due is `exchange.tending`'s to say, what is done
`exchange.visiting`'s. docs/spec/keeping.md, "Tending".
"""

import asyncio
import contextlib
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from commonhold.erasure.choosing import quickest
from commonhold.errors import HoldError, Kind, from_any
from commonhold.exchange import tending
from commonhold.exchange.book import Book, KeptSet
from commonhold.exchange.packing import Opened, Tools
from commonhold.exchange.tending import Care, Visit
from commonhold.exchange.visiting import Kept, Mending, Visited, survey
from commonhold.formats.inventory import Packed
from commonhold.formats.pin import SpkiPin
from commonhold.grids.client import GridClient
from commonhold.host import sidebyside

BOOK: Final = "kept.sqlite"
TURNS: Final = "kept.lock"  # what is kept or mended goes side by side; what ends, alone
REST: Final = 3600  # seconds, at most, until somebody looks at the book again
_PAUSE, _PAUSE_ANONYMOUS = 20.0, 600.0  # seconds, at most, between two servers
_BETWEEN: Final = 60.0  # and between two sets
_THREADS: Final = 2


class Home(Protocol):
    """A grid that somebody keeps something on: where its book is, what a set there is, and how to reach its servers."""

    @property
    def directory(self) -> Path: ...

    def kept(self, book: Book, kept: KeptSet) -> Kept:
        """All that is kept of a set of the book."""
        ...

    def client(self) -> contextlib.AbstractAsyncContextManager[GridClient]:
        """A client that knows the servers there are, and has what lets it in, where there is that. HoldError."""
        ...


@dataclass(frozen=True, slots=True)
class Setting:
    """What rounds go by: the time in seconds since 1970, numbers from 0 to before 1, random bytes, and how to wait for
    some seconds."""

    now: Callable[[], int]
    draw: Callable[[], float]
    randomness: Callable[[int], bytes]
    wait: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(frozen=True, slots=True)
class _Turn:
    """A set, and the grid that keeps it."""

    home: Home
    kept: KeptSet
    care: Care


class Rounds:
    """See the module. `homes` says which grids there are, each time."""

    def __init__(self, homes: Callable[[], Sequence[Home]], setting: Setting) -> None:
        self._homes = homes
        self._setting = setting

    async def once(self) -> float:
        """Visit the set whose turn it is, if it is due; for how many seconds there is nothing to do then."""
        turns = [one for home in self._homes() for one in self._turns(home)]
        if not turns:
            return REST
        now = self._setting.now()
        turn = min(turns, key=lambda one: (tending.turn(one.care, now), one.home.directory, one.kept.name))
        what = tending.due(turn.care, turn.kept.until, now)
        if what is None:
            return min(REST, max(1, turn.care.next - now))
        await self._visit(turn, what)
        return self._setting.draw() * _BETWEEN

    def _turns(self, home: Home) -> list[_Turn]:
        """The sets of one grid. None of a book that cannot be read, as one of a newer version."""
        try:
            with contextlib.closing(Book(home.directory / BOOK)) as book:
                cares = book.cares()
                found = []
                for kept in book.sets():
                    care = cares.get(kept.name)
                    if care is None:
                        care = tending.begun(self._setting.now(), self._setting.draw)
                        book.put_care(kept, care)
                    found.append(_Turn(home, kept, care))
                return found
        except HoldError:
            return []

    async def _visit(self, turn: _Turn, what: Visit) -> None:
        """Visit a set, and write down what came of it."""
        with contextlib.closing(Book(turn.home.directory / BOOK)) as book:
            until = None
            try:
                found = await self._visited(turn, what, book)
            except Exception as error:  # noqa: BLE001 one set must not keep the others from being looked after
                told = from_any("look", error)
                if told.kind is Kind.BUG:
                    traceback.print_exception(error, file=sys.stderr)
                care = tending.unreached(turn.care, str(told), self._setting.now(), self._setting.draw)
            else:
                seen = (found.state, found.said)
                care = tending.looked(turn.care, seen, what.deep, self._setting.now(), self._setting.draw)
                until = found.until
            book.put_care(turn.kept, care, until)

    async def _visited(self, turn: _Turn, what: Visit, book: Book) -> Visited:
        kept = turn.home.kept(book, turn.kept)

        with ThreadPoolExecutor(_THREADS, thread_name_prefix="hold-tend") as threads:
            async with turn.home.client() as client:
                longest = _PAUSE_ANONYMOUS if client.member.rules.anonymous else _PAUSE

                async def pause() -> None:
                    await self._setting.wait(self._setting.draw() * longest)

                servers, tools = Opened(client), Tools(quickest(), threads, self._setting.randomness)
                order = sorted(servers.verdicts(), key=lambda _: self._setting.draw())
                found = await survey(kept.all, servers, order, what, tools, pause)
                now = self._setting.now()
                book.met(found.reached, found.away, now)
                reached = book.reached()

                def waits(pin: SpkiPin) -> bool:
                    return tending.waits(reached.get(pin, now), now)

                mending = Mending(kept, servers, tools, _turn(turn, book), now + tending.LEASE)
                return await mending.mended(found, waits)


def _turn(turn: _Turn, book: Book) -> Callable[[Packed], contextlib.AbstractContextManager[None]]:
    """In which a pack is mended: nothing is being let go then, and for an inventory nothing kept anew either."""

    @contextlib.contextmanager
    def of(packed: Packed) -> Iterator[None]:
        how = sidebyside.alone if packed.seed == turn.kept.seed else sidebyside.beside
        with how(turn.home.directory / TURNS, 0):
            if not book.has(turn.kept):
                raise HoldError("mend", Kind.CHANGED, turn.kept.name, "it was kept anew, or ended, meanwhile")
            yield

    return of
