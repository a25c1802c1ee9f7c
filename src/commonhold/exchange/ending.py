"""Shares let go at every server that can be told; who could not is named. docs/spec/keeping.md."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from commonhold.erasure.values import PackSeed
from commonhold.errors import HoldError, Kind
from commonhold.exchange.packing import Servers
from commonhold.exchange.server import StorageServer
from commonhold.formats.pin import SpkiPin
from commonhold.formats.shareindex import ShareIndex

_TRIES: Final = 5  # where another call is at work on one of them
_PAUSE: Final = 0.2


@dataclass(frozen=True, slots=True)
class Ended:
    """Who has none of the shares any more, and who could not be told, and why."""

    told: tuple[SpkiPin, ...]
    failed: Mapping[SpkiPin, HoldError]


async def end(seeds: Sequence[PackSeed], servers: Servers, pins: Collection[SpkiPin]) -> Ended:
    """Have each of these servers let its shares of these packs go."""

    async def tell(pin: SpkiPin) -> HoldError | None:
        try:
            await drop(await servers.open(pin), sorted(seed.index(pin) for seed in seeds))  # D18, as in renewing
        except HoldError as error:
            return error
        return None

    answers = dict(zip(pins, await asyncio.gather(*map(tell, pins)), strict=True))
    return Ended(
        tuple(pin for pin, error in answers.items() if error is None),
        {pin: error for pin, error in answers.items() if error is not None},
    )


async def drop(server: StorageServer, indexes: Sequence[ShareIndex]) -> None:
    """Have one server let shares go. HoldError, unless it has none of them: who lets us in nowhere may have none."""
    for left in reversed(range(_TRIES)):
        try:
            await server.drop(indexes)
        except HoldError as error:
            if error.kind is Kind.BUSY and left:
                await asyncio.sleep(_PAUSE)
                continue
            if error.kind is Kind.UNREACHABLE or any(await server.find(indexes)):
                raise
        return
