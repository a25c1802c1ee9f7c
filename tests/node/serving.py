"""A node in a thread of the test: real sockets and files, and the test's own user as the only one."""

import asyncio
import os
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvloop

from commonhold.blockstore.store import Store, create
from commonhold.node.config import Config
from commonhold.node.main import listen, serve, threads
from commonhold.node.records import FILE, RecordStore
from commonhold.node.service import Service


class Running:
    """A node that runs in a thread."""

    def __init__(self, config: Config, store: Store, service: Service) -> None:
        self.config = config
        self.store = store
        self.service = service
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._loop = self._runner.get_loop()
        self._stop = asyncio.Event()
        sock = listen(config)
        self._thread = threading.Thread(target=lambda: self._runner.run(serve(service, [sock], {}, self._stop)))
        self._thread.start()

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.config.socket

    def do(self, work: Coroutine[Any, Any, None]) -> None:
        """Have something done in the node's loop."""
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def tell_to_stop(self) -> None:
        """As a signal would."""
        self._loop.call_soon_threadsafe(self._stop.set)

    def stop(self) -> None:
        """Tell it to stop, and wait until it has."""
        if self._thread.is_alive():
            self.tell_to_stop()
        self._thread.join()
        self._runner.close()


@contextmanager
def running(directory: Path, clock: Callable[[], float] = time.monotonic, **changed: Any) -> Iterator[Running]:
    """Serve a store in a directory, on a socket whose path is short enough to be one."""
    if not (directory / "store").exists():
        create(directory / "store")
    with tempfile.TemporaryDirectory(prefix="hold-") as short:
        config = replace(Config(directory / "store", Path(short) / "node.sock"), **changed)
        with (
            Store(config.repository) as store,
            closing(RecordStore(config.repository / FILE)) as records,
            threads() as workers,
        ):
            node = Running(config, store, Service(store, records, config, os.geteuid(), workers, clock))
            try:
                yield node
            finally:
                node.stop()


@contextmanager
def serving(directory: Path, **changed: Any) -> Iterator[tuple[Config, Store]]:
    """A node's config and store, while it runs."""
    with running(directory, **changed) as node:
        yield node.config, node.store
