"""Which servers have a share of a pack, and which. They are asked side by side; the slow ones are not waited for."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
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
_COPIES: Final = 8  # of as many accounts under one index, of which the first that opens counts


@dataclass(frozen=True, slots=True)
class Holder:
    """A server that has a share, and how that is opened. `copy`: which one of those under its index it is."""

    server: StorageServer
    index: ShareIndex
    share: Share
    copy: int = 0


@dataclass(frozen=True, slots=True)
class Searched:
    """Who has shares of a pack, and what came of asking the others: an error, or None for one that has none."""

    holders: tuple[Holder, ...]
    others: tuple[tuple[StorageServer, HoldError | None], ...]


def readable(holders: Sequence[Holder]) -> bool:
    """Whether a pack can be read from them."""
    return any(len({holder.share.number for holder in mine}) >= layout.shape.k for layout, mine in by_layout(holders))


async def locate(
    seed: PackSeed,
    servers: Sequence[StorageServer],
    enough: Callable[[Sequence[Holder]], bool] | None = None,
    fits: Callable[[Layout], bool] = lambda layout: True,
) -> Searched:
    """Ask servers for a pack's shares. When those found are `enough`, the rest of the servers have as long again to
    answer. Of several shares that a server has of different accounts the first that `fits` counts, else the first."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    asking = {asyncio.ensure_future(_ask(seed, server, fits)): server for server in servers}
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
            if enough is not None and enough(found):
                deadline = min(deadline, loop.time() + max(_GRACE, loop.time() - began))
        late = HoldError("find share", Kind.UNREACHABLE, "server", "it has not answered in time")
        others += [(asking[task], late) for task in pending]
    finally:
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
    return Searched(tuple(found), tuple(others))


async def _ask(seed: PackSeed, server: StorageServer, fits: Callable[[Layout], bool]) -> Holder | HoldError | None:
    index = seed.index(server.pin)
    try:
        size = (await server.find([index]))[0]
    except HoldError as error:
        return error
    first: HoldError | None = None
    other: Holder | None = None
    for copy in range(_COPIES if size else 0):
        try:
            share = await _opened(seed, server, index, copy)
        except HoldError as error:
            first = first or error
            if error.kind is not Kind.CORRUPT:
                break
            continue
        if not copy and size != share.length:
            first = HoldError("read share", Kind.CORRUPT, str(server.pin), f"{size} bytes, not {share.length}")
        elif fits(share.layout):
            return Holder(server, index, share, copy)
        else:
            other = other or Holder(server, index, share, copy)
    return other or first


async def _opened(seed: PackSeed, server: StorageServer, index: ShareIndex, copy: int) -> Share:
    """One of the shares under an index. CORRUPT for what is none of this pack: any account can put that there."""
    head = memoryview(bytearray(HEAD))
    await server.read(index, 0, head, copy)
    try:
        return Share(seed, server.pin, bytes(head))
    except Malformed as error:
        raise HoldError("read share", Kind.CORRUPT, str(server.pin), str(error)) from error


def by_layout(holders: Sequence[Holder]) -> list[tuple[Layout, list[Holder]]]:
    """Sort holders by the pack that their shares are of, the most shares first: a pack may have been written twice."""
    found: defaultdict[Layout, list[Holder]] = defaultdict(list)
    for holder in holders:
        found[holder.share.layout].append(holder)
    return sorted(found.items(), key=lambda item: -len({holder.share.number for holder in item[1]}))
