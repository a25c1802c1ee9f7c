"""Telling the kernel what it did not ask for, in a thread of its own.

The kernel takes such a word only when nobody holds the directory or the page that it is about; and who holds it may be
waiting for an answer of the loop's. So it is not the loop that tells it. docs/spec/fuse.md.
"""

import os
import queue
import threading
from contextlib import suppress

from commonhold.formats.fusereplies import Reply

_MOST = 65536  # that wait; further ones are left out, and what is cached is believed until its time is over


class Notices:
    """Notices for a device, told one after the other."""

    def __init__(self, device: int) -> None:
        self._device = device
        self._queue: queue.Queue[Reply] = queue.Queue(_MOST)
        self._thread: threading.Thread | None = None

    def tell(self, notice: Reply) -> None:
        """Have the kernel told. Returns at once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="hold-notices", daemon=True)
            self._thread.start()
        with suppress(queue.Full):
            self._queue.put_nowait(notice)

    def _run(self) -> None:
        while True:
            with suppress(OSError):  # mostly: the kernel knows nothing of it
                os.writev(self._device, self._queue.get())
