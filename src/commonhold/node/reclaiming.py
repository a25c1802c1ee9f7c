"""Reclaiming: what nobody holds any more is deleted, a while after it was let go of.

Apart from the call that let go of it: how long that takes, and what it gives back, depends on what others hold.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from commonhold.blockstore import reclaim
from commonhold.blockstore.store import Store
from commonhold.errors import HoldError
from commonhold.formats.multihash import Multihash
from commonhold.host.saying import say

_SECONDS = 1.0  # between the first word of something dead and the deletion of all there is by then


class Reclaimer:
    """Deletes in a task of its own. While there is nothing to be done it sleeps."""

    def __init__(self, store: Store, do: Callable[..., Awaitable[Any]], pause: Callable[[], None]) -> None:
        self._store = store
        self._do = do
        self._pause = pause
        self._keys: set[Multihash] = set()
        self._anything = False
        self._told = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def tell(self, keys: Sequence[Multihash] | None) -> None:
        """Say which blocks may be dead; None: any. From any thread."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._take, keys)

    def _take(self, keys: Sequence[Multihash] | None) -> None:
        self._anything |= keys is None
        self._keys.update(keys or ())
        self._told.set()

    async def run(self) -> None:
        """Delete what is dead, until cancelled; what is left then goes with the next collection."""
        self._loop = asyncio.get_running_loop()
        while True:
            await self._told.wait()
            await asyncio.sleep(_SECONDS)
            self._told.clear()
            keys, self._keys = self._keys, set()
            anything, self._anything = self._anything, False
            try:
                await self._do(reclaim.bury, self._store, None if anything else list(keys), self._pause)
            except HoldError as error:
                say("hold node", str(error))
