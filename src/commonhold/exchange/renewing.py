"""Leases of many packs renewed at once: a call per server for up to a thousand of them. docs/spec/keeping.md."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from commonhold.erasure.values import PackSeed
from commonhold.errors import HoldError
from commonhold.exchange.packing import Servers, Tools, drawn_end
from commonhold.exchange.server import StorageServer
from commonhold.formats.inventory import Packed
from commonhold.formats.pin import SpkiPin


@dataclass(frozen=True, slots=True)
class Renewed:
    """The seeds of those packs whose share is kept longer now, by server; and who did not say."""

    there: Mapping[SpkiPin, frozenset[bytes]]
    failed: Mapping[SpkiPin, HoldError]

    def short(self, packs: Iterable[Packed]) -> list[Packed]:
        """Those packs of which fewer than n servers keep a share now."""
        return [one for one in packs if sum(one.seed in seeds for seeds in self.there.values()) < one.n]


async def renew_at(server: StorageServer, packs: Sequence[Packed], until: int, tools: Tools) -> frozenset[bytes]:
    """Have the shares that one server has of packs kept until then at least; the seeds of those. HoldError."""
    asked = sorted((PackSeed(one.seed).index(server.pin), one.seed) for one in packs)  # no two in the same order: D18
    there = await server.renew([index for index, _ in asked], drawn_end(until, tools))
    return frozenset(seed for (_, seed), found in zip(asked, there, strict=True) if found)


async def renew(
    packs: Sequence[Packed], servers: Servers, pins: Collection[SpkiPin], until: int, tools: Tools
) -> Renewed:
    """Have packs kept longer by each of these servers that has a share of theirs."""

    async def ask(pin: SpkiPin) -> frozenset[bytes] | HoldError:
        try:
            return await renew_at(await servers.open(pin), packs, until, tools)
        except HoldError as error:
            return error

    answers = dict(zip(pins, await asyncio.gather(*map(ask, pins)), strict=True))
    return Renewed(
        {pin: found for pin, found in answers.items() if not isinstance(found, HoldError)},
        {pin: found for pin, found in answers.items() if isinstance(found, HoldError)},
    )
