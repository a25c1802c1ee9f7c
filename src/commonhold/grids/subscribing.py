"""A member's ears: what introducers show of a grid's servers goes to the caches, what blessers take back to the lists.

Everything that comes is judged where it is used; here it is only kept. docs/spec/known-servers.md, gossip.md.
"""

import asyncio
import contextlib
import os
import random
import time
from collections.abc import Callable
from typing import Final

from commonhold.errors import HoldError
from commonhold.formats.address import Address
from commonhold.formats.blessing import STORAGE
from commonhold.formats.hint import parse
from commonhold.formats.malformed import Malformed
from commonhold.formats.statement import Kind
from commonhold.gossip.reading import Record
from commonhold.gossip.subscriptions import asked
from commonhold.gossip.values import SUBSCRIBER_OUTBOUND, Config
from commonhold.grids import files, writing
from commonhold.grids.membership import Membership
from commonhold.mesh.mesh import Mesh, Told
from commonhold.mesh.reaching import Reaching, contact
from commonhold.mesh.setting import Setting
from commonhold.transport.kept import Time

_QUIET: Final = 0.5  # seconds in which nothing new comes: that was all, for now
_LOOK: Final = 0.05
SPREAD: Final = 20.0  # seconds within which who is anonymous dials introducers: somebody waits for what they say


class Subscriber:
    """See the module. `heard` takes a revocation list; Malformed and HoldError end nothing."""

    def __init__(self, membership: Membership, owner: int, heard: Callable[[bytes], object]) -> None:
        self._membership = membership
        self._owner = owner
        self._heard = heard
        self._news = 0
        known = tuple(
            Address(one.pin, tuple(parse(text) for text in one.addresses)) for one in membership.charter.introducers
        )
        clock = Time(time.time, asyncio.sleep)
        self._spread = SPREAD if membership.rules.anonymous else 0.0
        chance = random.SystemRandom().random
        setting = Setting(membership.rules, clock, os.urandom, chance, Reaching(known), self._spread)
        config = Config(
            frozenset((membership.grid,)), False, None, tuple(map(contact, known)), outbound=SUBSCRIBER_OUTBOUND
        )
        self.mesh = Mesh(config, setting, Told(lambda record, introducer: self._learned(record)))
        blessers = {key for grid in membership.trust.grids for rule in grid.rules.values() for key in rule.blessers}
        self.mesh.ask(asked(membership.grid, STORAGE, blessers))

    def _learned(self, record: Record) -> None:
        self._news += 1
        if record.kind is Kind.REVOCATIONS:
            with contextlib.suppress(Malformed, HoldError):
                self._heard(record.data)

    async def refresh(self, seconds: float) -> int:
        """Ask introducers once, and keep what they show: until nothing new comes, or for so long. How many answered.

        Who is anonymous dials later, and has as much longer.
        """
        async with asyncio.TaskGroup() as group:
            running = group.create_task(self.mesh.run())
            until, quiet, news = time.monotonic() + self._spread + seconds, time.monotonic() + _QUIET, (0, 0)
            while time.monotonic() < until and not (self.mesh.shown() and time.monotonic() > quiet):
                await asyncio.sleep(_LOOK)
                if (now := (self._news, len(self.mesh.shown()))) != news:
                    news, quiet = now, time.monotonic() + _QUIET
            answered = self.keep()
            running.cancel()
        return answered

    def keep(self) -> int:
        """Write down what introducers show now; how many of them."""
        shown = self.mesh.shown()
        for introducer, records in shown.items():
            before = writing.entries(files.read_cache(self._membership.directory, introducer, self._owner))
            brought = [
                record.data for record in records if record.kind is Kind.ANNOUNCEMENT and record.purpose == STORAGE
            ]
            entries = writing.renewed(before, brought, {}, int(time.time()))
            files.write_cache(self._membership.directory, introducer, entries, self._membership.rules)
        return len(shown)
