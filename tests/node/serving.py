"""A node in a thread of the test: real sockets and files, and the test's own user as the only one."""

import asyncio
import os
import tempfile
import threading
from collections.abc import Iterator
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


@contextmanager
def serving(directory: Path, **changed: Any) -> Iterator[tuple[Config, Store]]:
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
            service = Service(store, records, config, os.geteuid(), workers)
            loop = uvloop.new_event_loop()
            stop = asyncio.Event()
            sock = listen(config)
            thread = threading.Thread(target=lambda: loop.run_until_complete(serve(service, [sock], {}, stop)))
            thread.start()
            try:
                yield config, store
            finally:
                loop.call_soon_threadsafe(stop.set)
                thread.join()
                loop.close()
