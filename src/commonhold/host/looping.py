"""An asyncio loop in a thread of its own, for code that waits: what it asks for is awaited there."""

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")


class LoopThread:
    """See the module. `run` may be called from many threads."""

    def __init__(self, name: str) -> None:
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Have something awaited, and return what comes of it. Whatever ends the waiting here ends it there too."""
        doing = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return doing.result()
        except BaseException:
            doing.cancel()
            with contextlib.suppress(BaseException):
                concurrent.futures.wait([doing], timeout=5)
            raise

    def cancel(self) -> None:
        """Have all that is awaited there end now: whoever waits for it gets CancelledError."""
        asyncio.run_coroutine_threadsafe(_cancel_all(), self._loop).result()

    def close(self) -> None:
        """End the thread; what is under way is cancelled."""
        asyncio.run_coroutine_threadsafe(_cancel_all(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _cancel_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
