"""A storage server in a thread of the test, on a unix socket: real files; callers say who they are."""

import asyncio
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from aiohttp import web

from commonhold.formats.pin import SpkiPin
from commonhold.storage.service import Service, Tenant
from tests.fakes.door import FakeDoor
from tests.node.wire import Answer, Wire
from tests.storage.keeping import QUOTA, Place, place
from tests.waiting import SECONDS

ALICE, BOB = SpkiPin(b"a" * 32), SpkiPin(b"b" * 32)


def _peer(request: web.Request) -> SpkiPin:
    return SpkiPin(bytes.fromhex(request.headers["X-Pin"]))


class Serving:
    """The server, and how to call it."""

    def __init__(self, kept: Place, socket: Path, stall_seconds: float) -> None:
        self.kept = kept
        self.socket = socket
        self.door = FakeDoor()
        self.threads = ThreadPoolExecutor(8)
        self.service = Service(kept.keeper, kept.ledger, self.door, _peer, self.threads, stall_seconds)
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve(ready)))
        self._thread.start()
        assert ready.wait(SECONDS)

    async def _serve(self, ready: threading.Event) -> None:
        runner = web.AppRunner(
            self.service.app(), access_log=None, handle_signals=False, shutdown_timeout=0.1, auto_decompress=False
        )
        await runner.setup()
        await web.UnixSite(runner, str(self.socket)).start()
        ready.set()
        await self._stop.wait()
        await runner.cleanup()

    def stop(self) -> None:
        """Stop it, if it runs."""
        if not self._thread.is_alive():
            return
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()
        self.threads.shutdown()

    def tenant(self, pin: SpkiPin = ALICE, number: int = 0, quota: int = QUOTA) -> str:
        """The path of a facet for a connection."""
        return f"/v1/facet/{self.door.give(pin, Tenant(self.kept.account(number), quota)).hex()}"

    def ask(self, method: str, path: str, body: bytes = b"", *headers: str, pin: SpkiPin = ALICE) -> Answer:
        """One call on a connection of its own."""
        with Wire(self.socket) as wire:
            return wire.request(method, path, body, f"X-Pin: {pin.hex()}", *headers)


@contextmanager
def serving(directory: Path, stall_seconds: float = 20.0) -> Iterator[Serving]:
    """Serve what is kept in a directory."""
    with tempfile.TemporaryDirectory(prefix="hold-") as short, place(directory) as kept:
        made = Serving(kept, Path(short) / "socket", stall_seconds)
        try:
            yield made
        finally:
            made.stop()
