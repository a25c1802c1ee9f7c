"""Rounds of an agent over all that its user keeps on grids: whichever set has waited longest is visited when it is due.

What is due is `exchange.tending`'s to say, what is done `exchange.visiting`'s. docs/spec/keeping.md, "Tending".
"""

import asyncio
import contextlib
import os
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from commonhold.agent.ongrid import BOOK, TURNS
from commonhold.erasure.choosing import quickest
from commonhold.errors import HoldError, Kind, from_any
from commonhold.exchange import tending
from commonhold.exchange.book import Book, KeptSet
from commonhold.exchange.packing import Opened, Tools
from commonhold.exchange.tending import Care, Visit
from commonhold.exchange.visiting import Kept, Mending, Visited, survey
from commonhold.formats.inventory import Packed
from commonhold.formats.pin import SpkiPin
from commonhold.grids import membership, places
from commonhold.grids.client import GridClient
from commonhold.grids.member import Member
from commonhold.host import sidebyside

REST: Final = 3600  # seconds, at most, until somebody looks at the book again
_PAUSE, _PAUSE_ANONYMOUS = 20.0, 600.0  # seconds, at most, between two servers
_BETWEEN: Final = 60.0  # and between two sets
_THREADS: Final = 2


@dataclass(frozen=True, slots=True)
class Setting:
    """What rounds go by: the time in seconds since 1970, numbers from 0 to before 1, and how to wait for some
    seconds."""

    now: Callable[[], int]
    draw: Callable[[], float]
    wait: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(frozen=True, slots=True)
class _Turn:
    """A set, and the grid that keeps it."""

    directory: Path
    kept: KeptSet
    care: Care


class Rounds:
    """See the module. `state` is where the user's own things are."""

    def __init__(self, state: Path, uid: int, setting: Setting) -> None:
        self._state = state
        self._uid = uid
        self._setting = setting

    async def once(self) -> float:
        """Visit the set whose turn it is, if it is due; for how many seconds there is nothing to do then."""
        turns = [one for directory in self._directories() for one in self._turns(directory)]
        if not turns:
            return REST
        now = self._setting.now()
        turn = min(turns, key=lambda one: (tending.turn(one.care, now), one.directory, one.kept.name))
        what = tending.due(turn.care, turn.kept.until, now)
        if what is None:
            return min(REST, max(1, turn.care.next - now))
        await self._visit(turn, what)
        return self._setting.draw() * _BETWEEN

    def _directories(self) -> list[Path]:
        """The grids that somebody keeps something on. `hold doctor` says what is wrong where one is left out."""
        try:
            return [one for one in places.joined(self._state, self._uid, Path) if (one / BOOK).exists()]
        except HoldError:
            return []

    def _turns(self, directory: Path) -> list[_Turn]:
        """The sets of one grid. None of a book that cannot be read, as one of a newer version."""
        try:
            with contextlib.closing(Book(directory / BOOK)) as book:
                cares = book.cares()
                found = []
                for kept in book.sets():
                    care = cares.get(kept.name)
                    if care is None:
                        care = tending.begun(self._setting.now(), self._setting.draw)
                        book.put_care(kept, care)
                    found.append(_Turn(directory, kept, care))
                return found
        except HoldError:
            return []

    async def _visit(self, turn: _Turn, what: Visit) -> None:
        """Visit a set, and write down what came of it."""
        with contextlib.closing(Book(turn.directory / BOOK)) as book:
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
        of = membership.load(turn.directory)
        kept = _kept(book, turn.kept)
        longest = _PAUSE_ANONYMOUS if of.rules.anonymous else _PAUSE

        async def pause() -> None:
            await self._setting.wait(self._setting.draw() * longest)

        with ThreadPoolExecutor(_THREADS, thread_name_prefix="hold-tend") as threads:
            async with self._client(Member(of, self._uid)) as client:
                servers, tools = Opened(client), Tools(quickest(), threads, os.urandom)
                order = sorted(servers.verdicts(), key=lambda _: self._setting.draw())
                found = await survey(kept.all, servers, order, what, tools, pause)
                now = self._setting.now()
                book.met(found.reached, found.away, now)
                reached = book.reached()

                def waits(pin: SpkiPin) -> bool:
                    return tending.waits(reached.get(pin, now), now)

                mending = Mending(kept, servers, tools, _turn(turn, book), now + tending.LEASE)
                return await mending.mended(found, waits)

    @contextlib.asynccontextmanager
    async def _client(self, member: Member) -> AsyncIterator[GridClient]:
        """A client that knows the servers there are, with a credential for each as far as blessers give them."""
        client = GridClient(member, self._uid, self._setting.now, os.urandom)
        try:
            await client.refresh()
            await member.enrol([one.pin for one in client.known() if one.read.allowed])
            client.forget()
            yield client
        finally:
            await client.close()
            member.close()


def _kept(book: Book, kept: KeptSet) -> Kept:
    return Kept(tuple(book.packs(kept.name)), book.inventory(kept))


def _turn(turn: _Turn, book: Book) -> Callable[[Packed], contextlib.AbstractContextManager[None]]:
    """In which a pack is mended: nothing is being let go then, and for an inventory nothing kept anew either."""

    @contextlib.contextmanager
    def of(packed: Packed) -> Iterator[None]:
        how = sidebyside.alone if packed.seed == turn.kept.seed else sidebyside.beside
        with how(turn.directory / TURNS, 0):
            if not book.has(turn.kept):
                raise HoldError("mend", Kind.CHANGED, turn.kept.name, "it was kept anew, or ended, meanwhile")
            yield

    return of
