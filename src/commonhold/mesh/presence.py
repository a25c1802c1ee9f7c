"""A server's place in the mesh: it announces itself to introducers, and hears what it has asked them for.

For servers that pass nothing on themselves. REQUIREMENTS B23, B25: what goes out is its public address and blessings.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from commonhold.crypto import sign
from commonhold.formats.address import Address
from commonhold.formats.blessing import Purpose
from commonhold.formats.gossip import Subscription
from commonhold.formats.keys import Seed
from commonhold.formats.pin import GridId, pin_of
from commonhold.formats.statement import Kind
from commonhold.gossip.reading import Record
from commonhold.gossip.values import SUBSCRIBER_OUTBOUND, Config
from commonhold.host.saying import say
from commonhold.mesh.announcing import NUMBERS, Announcer, Notice, Numbers
from commonhold.mesh.blessings import DIRECTORY, Blessings
from commonhold.mesh.mesh import Mesh, Told
from commonhold.mesh.reaching import contact
from commonhold.mesh.setting import setting
from commonhold.transport.rules import Rules


@dataclass(frozen=True, slots=True)
class Profile:
    """What a server is to others: who, in which grid, for which purpose, where, and as what it is known to people."""

    seed: Seed
    grid: GridId
    purpose: Purpose
    addresses: Callable[[], tuple[str, ...]]  # which may change
    name: str


class Presence:
    """See the module. `state` is the server's directory; `learned` is told of what was asked for; `rules` say
    by which way introducers may be dialled; `leaving`: whether the server is being emptied."""

    def __init__(
        self, profile: Profile, state: Path, introducers: Iterable[Address], asks: Iterable[Subscription],
        learned: Callable[[Record], None], rules: Rules, leaving: Callable[[], bool],
    ) -> None:  # fmt: skip
        known = tuple(introducers)
        server = pin_of(sign.public_key(profile.seed))
        here = setting(known, rules)
        config = Config(
            frozenset((profile.grid,)), False, server, tuple(map(contact, known)), outbound=SUBSCRIBER_OUTBOUND
        )
        self.mesh = Mesh(config, here, Told(lambda record, introducer: learned(record), _contradicted))
        self.mesh.ask(asks)
        blessings = Blessings(state / DIRECTORY, server, _warn)

        def notices() -> list[Notice]:
            shown = blessings.of(profile.grid, profile.purpose, here.time.now())
            return [Notice(profile.grid, profile.purpose, profile.addresses(), shown, profile.name, leaving())]

        numbers = Numbers(state / NUMBERS)
        self._announcer = Announcer(self.mesh, profile.seed, server, numbers, notices, here.time, here.draw, _warn)

    async def run(self) -> None:
        """Be there until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.mesh.run())
            group.create_task(self._announcer.run())


def _contradicted(counts: Record, other: Record) -> None:
    """Say that a blesser has signed two lists of one number. What strangers sign is not said: there is no end to it."""
    if counts.kind is Kind.REVOCATIONS:
        _warn(f"the blesser {GridId(counts.key)} has signed two lists of one number: its key is in two hands")


def _warn(text: str) -> None:
    say("mesh", text)
