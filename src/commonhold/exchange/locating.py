"""Which servers have a share of a pack, and which. They are asked side by side; the slow ones are not waited for."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from commonhold.erasure.layout import HEAD, Layout
from commonhold.erasure.share import Share
from commonhold.erasure.values import PackSeed
from commonhold.errors import HoldError, Kind
from commonhold.exchange.server import StorageServer
from commonhold.formats.malformed import Malformed
from commonhold.formats.shareindex import ShareIndex

_GRACE: Final = 0.25  # seconds, at least, that are left to the others when there are enough
_PATIENCE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Holder:
    """A server that has a share, and how that is opened."""

    server: StorageServer
    index: ShareIndex
    share: Share


@dataclass(frozen=True, slots=True)
class Searched:
    """Who has shares of a pack, and what came of asking the others: an error, or None for one that has none."""

    holders: tuple[Holder, ...]
    others: tuple[tuple[StorageServer, HoldError | None], ...]


async def locate(seed: PackSeed, servers: Sequence[StorageServer], enough: int | None = None) -> Searched:
    """Ask servers for a pack's shares. With `enough`, for so many different ones: the rest of the servers then have as
    long again to answer."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    asking = {asyncio.ensure_future(_ask(seed, server)): server for server in servers}
    found: list[Holder] = []
    others: list[tuple[StorageServer, HoldError | None]] = []
    deadline = began + _PATIENCE
    try:
        pending = set(asking)
        while pending:
            done, pending = await asyncio.wait(
                pending, timeout=max(0.0, deadline - loop.time()), return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                break
            for task in done:
                answer = task.result()
                if isinstance(answer, Holder):
                    found.append(answer)
                else:
                    others.append((asking[task], answer))
            if enough is not None and len({holder.share.number for holder in found}) >= enough:
                deadline = min(deadline, loop.time() + max(_GRACE, loop.time() - began))
        late = HoldError("find share", Kind.UNREACHABLE, "server", "it has not answered in time")
        others += [(asking[task], late) for task in pending]
    finally:
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
    return Searched(tuple(found), tuple(others))


async def _ask(seed: PackSeed, server: StorageServer) -> Holder | HoldError | None:
    index = seed.index(server.pin)
    try:
        size = (await server.find([index]))[0]
        if not size:
            return None
        head = memoryview(bytearray(HEAD))
        await server.read(index, 0, head)
        share = Share(seed, server.pin, bytes(head))
    except HoldError as error:
        return error
    except Malformed as error:
        return HoldError("read share", Kind.CORRUPT, str(server.pin), str(error))
    if size != share.length:
        return HoldError("read share", Kind.CORRUPT, str(server.pin), f"{size} bytes, not {share.length}")
    return Holder(server, index, share)


def by_layout(holders: Sequence[Holder]) -> list[tuple[Layout, list[Holder]]]:
    """Sort holders by the pack that their shares are of, the most shares first: a pack may have been written twice."""
    found: defaultdict[Layout, list[Holder]] = defaultdict(list)
    for holder in holders:
        found[holder.share.layout].append(holder)
    return sorted(found.items(), key=lambda item: -len({holder.share.number for holder in item[1]}))
