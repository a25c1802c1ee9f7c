"""Tells a watcher how it goes when something is kept on a grid: how much is kept, and what went to which server."""

import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from commonhold.calls import Watcher
from commonhold.formats.pin import SpkiPin

if TYPE_CHECKING:
    from commonhold.agent.ongrid import OnGrid

_SECONDS: Final = 0.25


class Telling:
    """See the module. What went where is told now and then."""

    def __init__(self, on: "OnGrid", watcher: Watcher) -> None:
        self._names = {server.pin: server.name or str(server.pin) for server in on.known()}
        self._watcher = watcher
        self._kept = 0
        self._sent: Counter[SpkiPin] = Counter()
        self._next = 0.0

    def kept(self, done: int, _total: int) -> None:
        """So many bytes are kept, of so many."""
        self.flush()
        self._watcher.bytes(done - self._kept)
        self._kept = done

    def sent(self, server: SpkiPin, count: int) -> None:
        """So many more bytes went there."""
        self._sent[server] += count
        if time.monotonic() >= self._next:
            self.flush()

    def flush(self) -> None:
        """Tell what was not told yet."""
        for server, count in self._sent.items():
            self._watcher.part(self._names.get(server, str(server)), count)
        self._sent.clear()
        self._next = time.monotonic() + _SECONDS
