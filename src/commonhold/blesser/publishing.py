"""A blesser's word on its way: each new revocation list goes to the introducers of its grid, as soon as it is signed.

Without introducers those who enrol here still hear it, each in their time.
"""

import asyncio
import contextlib
import os
import random
import time
from typing import Final

from commonhold.blesser.office import Office
from commonhold.crypto import sign
from commonhold.formats.address import Address
from commonhold.formats.hint import parse
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import pin_of
from commonhold.formats.statement import Kind
from commonhold.gossip.values import SUBSCRIBER_OUTBOUND, Config
from commonhold.mesh.mesh import Mesh
from commonhold.mesh.reaching import Reaching, contact
from commonhold.mesh.setting import Setting
from commonhold.transport.kept import Time
from commonhold.transport.retrying import ANONYMOUS

_LOOK: Final = 1.0  # seconds


class Publisher:
    """See the module."""

    def __init__(self, office: Office) -> None:
        charter = office.config.charter
        known = tuple(Address(one.pin, tuple(map(parse, one.addresses))) for one in charter.introducers)
        clock, chance = Time(time.time, asyncio.sleep), random.SystemRandom().random
        rules = office.config.tor.rules
        own = pin_of(sign.public_key(office.keys.server))
        config = Config(
            frozenset((charter.grid,)), False, own, tuple(map(contact, known)), outbound=SUBSCRIBER_OUTBOUND
        )
        self._mesh = Mesh(
            config,
            Setting(rules, clock, os.urandom, chance, Reaching(known), ANONYMOUS.spread if rules.anonymous else 0.0),
        )
        self._office = office

    async def run(self) -> None:
        """Go on until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._mesh.run())
            said = b""
            while True:
                newest = await asyncio.to_thread(self._office.revocations)
                if newest != said:
                    said = newest
                    with contextlib.suppress(Malformed):  # too large for others: they ask here
                        self._mesh.publish(Kind.REVOCATIONS, said)
                await asyncio.sleep(_LOOK)
