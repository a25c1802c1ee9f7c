"""What every group of calls works with: the caller's view of the store, work in threads, what came with a request."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp import web

from commonhold.blockstore.owned import OwnedStore, SoleStore
from commonhold.blockstore.store import Store
from commonhold.errors import HoldError, Kind
from commonhold.formats import keylist
from commonhold.formats.multihash import Multihash
from commonhold.ipc.answering import json_object
from commonhold.node import ticks
from commonhold.node.callers import UID
from commonhold.node.config import Config
from commonhold.node.lanes import Lane, Lanes

MAX_BODY = keylist.MAX_KEYS * 161
_MANY_KEYS = 4096  # bytes of keys that are not read in the loop: everybody would wait

BEGAN = web.RequestKey("began", float)  # when a request came, by the loop's clock

Later = Callable[[Sequence[Multihash] | None], None]


class Desk:
    """For one node and all its callers. `later` is told what nobody may hold any more."""

    def __init__(self, store: Store, config: Config, lanes: Lanes, later: Later) -> None:
        self._store = store
        self._config = config
        self._lanes = lanes
        self._later = later

    def lane(self, request: web.Request) -> Lane:
        """The caller's lane."""
        return self._lanes.of(request[UID])

    def view(self, request: web.Request) -> OwnedStore:
        """The store as the caller sees it."""
        uid: int = request[UID]
        if self._config.group is None:
            return SoleStore(self._store)
        pause = self._lanes.of(uid).pause
        return OwnedStore(self._store, uid, self._config.quota_of(uid), self._later, pause)

    async def run(self, uid: int, work: Callable[..., Any], *given: Any) -> Any:
        """Do something for somebody in a thread that reads."""
        return await asyncio.get_running_loop().run_in_executor(self._lanes.of(uid).threads.reading, work, *given)

    async def write(self, uid: int, work: Callable[..., Any], *given: Any) -> Any:
        """Do something for somebody in a thread that may wait for the disk; it is done when this is cancelled, too."""
        working = asyncio.get_running_loop().run_in_executor(self._lanes.of(uid).threads.writing, work, *given)
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            await asyncio.wait([working])  # whoever had the session has it until the thread is done with it
            raise

    async def body(self, request: web.Request) -> bytes:
        """What comes with a request, unless it says itself that it is too much: who sends that is not waited for."""
        if (request.content_length or 0) > MAX_BODY:
            raise HoldError("call", Kind.TOO_LARGE, request.path, f"over {MAX_BODY} bytes")
        return bytes(await self.within(request.read()))

    async def within(self, waiting: Awaitable[Any]) -> Any:
        """Wait for the caller, but not for ever."""
        async with asyncio.timeout(self._config.limits.stall_seconds):
            return await waiting

    async def asked(self, request: web.Request) -> list[Multihash]:
        """The keys that come with a request."""
        packed = await self.body(request)
        if len(packed) <= _MANY_KEYS:
            return keylist.unpack(packed)
        pause = self._lanes.of(request[UID]).pause
        keys: list[Multihash] = await self.run(request[UID], keylist.unpack, packed, keylist.MAX_KEYS, pause)
        return keys

    async def json(self, request: web.Request) -> dict[str, Any]:
        """The object that comes with a request; an empty one where there is none."""
        return json_object(await self.body(request) or b"{}", request.path)

    async def key_stream(self, request: web.Request, keys: Any) -> web.StreamResponse:
        """Send keys in runs: each as 4 bytes of length, then the packed keys; an empty run is the end."""

        def run() -> bytes:
            found = [key for _, key in zip(range(keylist.MAX_KEYS), keys, strict=False)]
            return keylist.pack(found)

        packed = await self.run(request[UID], run)
        answer = web.StreamResponse()
        await answer.prepare(request)
        while packed:
            await self.within(answer.write(len(packed).to_bytes(4, "little") + packed))
            packed = await self.run(request[UID], run)
        await self.within(answer.write(bytes(4)))
        return answer

    async def tick(self, request: web.Request, keys: int = 1) -> None:
        """Wait for the moment at which answers leave that could tell something by their time."""
        await ticks.next_tick(request[BEGAN], keys)
