"""Members and servers ask their blessers: for what they have not yet, for what ends soon, and what was revoked.

A loop that goes on though blessers are away, and that needs no restart. `asking` decides what and when, `answers`
whether to believe it; this asks. docs/spec/membership.md; REQUIREMENTS B16, B23, B24, B32, D20.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from commonhold.authority.lists import Lists, Taken
from commonhold.errors import HoldError, Kind
from commonhold.formats import revocations
from commonhold.formats.charter import Blesser
from commonhold.formats.keys import PublicKey
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import GridId
from commonhold.formats.statement import Kind as Said
from commonhold.formats.statement import decode
from commonhold.grids import asking
from commonhold.grids.answers import lied
from commonhold.grids.asking import Counsel, Holding, Patience, Wish
from commonhold.grids.calling import Caller
from commonhold.grids.membership import Membership
from commonhold.grids.standing import Given, Standing
from commonhold.grids.surroundings import Surroundings
from commonhold.transport.retrying import ANONYMOUS, Pace

LONGEST_SECONDS: Final = 600  # until it looks again what is wanted
_SOONEST_SECONDS: Final = 1


@dataclass(frozen=True, slots=True)
class Validity:
    """From when until when something holds that was granted; `keep`: whether it is of use beyond its blesser."""

    about: bytes
    statement: bytes
    not_before: int
    not_after: int
    keep: bool = True


class Asker(Protocol):
    """Who asks: an account or a server."""

    def counsel(self) -> Counsel:
        """What is wanted now, and of whom."""
        ...

    def request(self, blesser: PublicKey, about: Sequence[bytes], now: int) -> bytes:
        """An encoded, signed request."""
        ...

    def granted(
        self, blesser: PublicKey, about: Sequence[bytes], statements: Sequence[bytes], now: int
    ) -> list[Validity]:
        """What an answer gives of what was asked; HoldError INVALID if it cannot be."""
        ...

    def validity(self, given: Given) -> Validity | None:
        """From when until when something holds that was kept; None for what is of no use any more."""
        ...


@dataclass(frozen=True, slots=True)
class Last:
    """How asking a blesser went the last time: granted, or it waits for a person there, or why not."""

    at: int
    waits: bool = False
    error: HoldError | None = None


class Enrolment:
    """See the module. What is kept is in the file `kept`; `made` makes who asks, by what is there. `heard` is told
    every revocation list that is newer than those known; `lists` has all. `granted` is called when something new is
    kept. Close it."""

    def __init__(
        self,
        membership: Membership,
        kept: Path,
        made: Callable[[Standing], Asker],
        world: Surroundings,
        heard: Callable[[bytes], None] = lambda statement: None,
        granted: Callable[[], None] = lambda: None,
    ) -> None:
        self.last: dict[PublicKey, Last] = {}
        self.lists = Lists((one.key, membership.grid) for one in membership.charter.blessers)
        self._charter = membership.charter
        self._world = world
        self._heard = heard
        self._granted = granted
        self._pace = ANONYMOUS if membership.rules.anonymous else Pace()
        self._caller = Caller(membership.rules, world.randomness)
        self._patience = Patience(world.chance)
        self._deafness = Patience(world.chance)  # towards those whose lists did not come
        self._hear_at: dict[PublicKey, int] = {}
        self._woken = asyncio.Event()
        self._standing = Standing(kept)
        try:
            self._asker = made(self._standing)
            self._held = {
                (one.about, given.blesser): self._holding(one, given.blesser)
                for given in self._standing.all()
                if (one := self._asker.validity(given)) is not None
            }
            for statement in self._standing.lists():
                self._take(statement)
        except BaseException:
            self._standing.close()
            raise

    def close(self) -> None:
        """Close what is kept."""
        self._standing.close()

    async def run(self) -> None:
        """Go on until cancelled."""
        await self._pause(self._pace.spread * self._world.chance())
        while True:
            await self.once()
            await self._pause(self._next() - self._world.now())

    def wake(self) -> None:
        """Something new is wanted: look now."""
        self._woken.set()

    async def once(self) -> None:
        """Ask for all that is to be asked for now. What went wrong is in `last`."""
        while True:
            now = self._world.now()
            wish = self._asker.counsel().wish(self._held.values(), self._patience.barred(now), now)
            if wish is None:
                break
            await self._ask(self._charter.blesser(wish.blesser), wish, now)
        await self.hear_all()

    async def hear_all(self) -> None:
        """Ask for all revocation lists that are to be asked for now."""
        for blesser in self._charter.blessers:
            if self._world.now() >= self._hear_at.get(blesser.key, 0):
                await self._hear(blesser)

    # ── what is granted ──

    async def _ask(self, blesser: Blesser, wish: Wish, now: int) -> None:
        try:
            request = self._asker.request(blesser.key, wish.about, now)
            answer = await self._call(blesser, request)
            if answer is not None:
                await self._keep(blesser.key, self._asker.granted(blesser.key, wish.about, answer, self._world.now()))
        except HoldError as error:
            self._patience.failed(blesser.key, self._world.now())
            self.last[blesser.key] = Last(now, error=error)
            return
        self.last[blesser.key] = Last(now, waits=answer is None)
        if answer is None or self._is_due(blesser.key, wish):  # what is to be renewed at once is no answer
            self._patience.failed(blesser.key, self._world.now())
        else:
            self._patience.worked(blesser.key)

    async def _call(self, blesser: Blesser, request: bytes) -> tuple[bytes, ...] | None:
        """What a blesser answers; None if it waits for a person."""
        return await self._caller.enrol(blesser, request)

    async def _keep(self, blesser: PublicKey, found: Iterable[Validity]) -> None:
        granted = list(found)
        kept = [Given(one.about, blesser, one.statement) for one in granted if one.keep]
        await asyncio.to_thread(self._standing.put, kept)
        for one in granted:
            self._held[one.about, blesser] = self._holding(one, blesser)
        self._granted()

    def _holding(self, one: Validity, blesser: PublicKey) -> Holding:
        return asking.holding(one.about, blesser, one.not_before, one.not_after, self._world.chance())

    def _is_due(self, blesser: PublicKey, wish: Wish) -> bool:
        now = self._world.now()
        return any(now >= self._held[about, blesser].renew_at for about in wish.about)

    # ── what was revoked ──

    async def _hear(self, blesser: Blesser) -> None:
        if blesser.key in self._deafness.barred(self._world.now()):
            return
        try:
            statement = await self._caller.revocations(blesser)
            said = revocations.parse(decode(Said.REVOCATIONS, statement))
            taken = self._take(statement)
            if taken is Taken.STRANGE:
                raise lied(blesser.key, "another's revocation list")
        except (HoldError, Malformed) as error:
            self._deafness.failed(blesser.key, self._world.now())
            wrong = error if isinstance(error, HoldError) else lied(blesser.key, str(error))
            if wrong.kind is not Kind.UNREACHABLE:
                self.last.setdefault(blesser.key, Last(self._world.now(), error=wrong))
            return
        self._deafness.worked(blesser.key)
        now = self._world.now()
        self._hear_at[blesser.key] = asking.hear_again(said.issued, said.fresh_until, now, self._world.chance())
        if taken in (Taken.NEWER, Taken.CONTRADICTS):
            kept = [one for one in self.lists.kept if decode(Said.REVOCATIONS, one).key == blesser.key]
            await asyncio.to_thread(self._standing.put_lists, blesser.key, kept)

    def hear(self, statement: bytes) -> Taken:
        """Take a revocation list that came by another way, as from an introducer. Malformed."""
        taken = self._take(statement)
        if taken in (Taken.NEWER, Taken.CONTRADICTS):
            by = decode(Said.REVOCATIONS, statement).key
            self._standing.put_lists(by, [one for one in self.lists.kept if decode(Said.REVOCATIONS, one).key == by])
        return taken

    def _take(self, statement: bytes) -> Taken:
        taken = self.lists.take(statement)
        if taken in (Taken.NEWER, Taken.CONTRADICTS):
            self._heard(statement)
        return taken

    # ── when ──

    def _next(self) -> int:
        """When there is something to do again."""
        now = self._world.now()
        hearing = [self._hear_at.get(one.key, now) for one in self._charter.blessers]
        barred = self._deafness.barred(now)
        times = [
            self._asker.counsel().next(self._held.values(), now),
            self._patience.next(now),
            self._deafness.next(now),
            *(at for at, one in zip(hearing, self._charter.blessers, strict=True) if one.key not in barred),
        ]
        return min([now + LONGEST_SECONDS, *(at for at in times if at is not None)])

    async def _pause(self, seconds: float) -> None:
        """Wait so long, or until woken."""
        waits = [
            asyncio.ensure_future(self._world.sleep(max(float(_SOONEST_SECONDS), seconds))),
            asyncio.ensure_future(self._woken.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()
        self._woken.clear()


def named(blesser: PublicKey) -> str:
    """A blesser as people are told it."""
    return str(GridId(blesser))
