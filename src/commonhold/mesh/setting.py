"""What a mesh stands on: what may be dialled and by which hints, a clock, and randomness."""

import asyncio
import os
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from commonhold.formats.address import Address
from commonhold.gossip.values import Draw
from commonhold.mesh.reaching import Reaching
from commonhold.transport.kept import Time
from commonhold.transport.retrying import ANONYMOUS, Pace
from commonhold.transport.rules import Rules


@dataclass(frozen=True, slots=True)
class Setting:
    """See the module. `time` is in seconds since 1970; `randomness(n)` gives n random bytes, `draw()` a number from 0
    up to, but not, 1; each connection is dialled within `spread` seconds, at random (REQUIREMENTS D20)."""

    rules: Rules
    time: Time
    randomness: Callable[[int], bytes]
    draw: Draw
    reaching: Reaching
    spread: float


def setting(configured: Iterable[Address], rules: Rules) -> Setting:
    """Return that of a process: the machine's clock and randomness; `configured` are addresses by a person's word."""
    pace = ANONYMOUS if rules.anonymous else Pace()
    clock = Time(time.time, asyncio.sleep)
    return Setting(rules, clock, os.urandom, random.SystemRandom().random, Reaching(configured), pace.spread)
