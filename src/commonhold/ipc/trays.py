"""Large blocks by way of memory that a node lets us read, one piece of it for each thread, as for each connection.

It is asked for when a thread reads large blocks. What lies there is the node's: it is copied, and only then looked at.
"""

import mmap
import os
import threading

from commonhold.errors import HoldError, Kind
from commonhold.formats import keylist, tray
from commonhold.formats.multihash import Multihash
from commonhold.ipc.unixhttp import Client

LARGE = 256 << 10  # bytes of a block that is worth it
_NONE = (Kind.NOT_FOUND, Kind.BUSY)  # said by a node that knows no trays; by one that is in a muddle with us


class _Own(threading.local):
    """A thread's."""

    memory: memoryview | None = None
    wanted = True


class Trays:
    """Those of one node. Safe from many threads."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._own = _Own()

    def came(self, length: int) -> None:
        """A block came over the socket: where it was a large one, further ones come by the thread's tray."""
        if length >= LARGE and self._own.wanted:
            self._own.wanted = False
            self._ask()

    def _ask(self) -> None:
        try:
            fd = self._client.memory("/v1/tray", tray.SIZE)
        except HoldError as error:
            if error.kind not in _NONE:
                raise
            fd = None
        self._own.memory = None if fd is None else self._mapped(fd)

    def _mapped(self, fd: int) -> memoryview:
        try:
            return memoryview(mmap.mmap(fd, tray.SIZE, access=mmap.ACCESS_READ))
        except OSError as error:
            raise self._client.lied(f"memory that cannot be read: {error.strerror}") from error
        finally:
            os.close(fd)

    @property
    def there(self) -> bool:
        """Whether the thread has one."""
        return self._own.memory is not None

    def read(self, key: Multihash) -> memoryview | None:
        """A block as it lies there until the thread's next call; None where there is none for us."""
        try:
            found = self._lay(key)
        except HoldError as error:
            if error.kind is not Kind.INVALID:
                raise
            self._ask()  # the connection is another one by now
            if self._own.memory is None:
                raise
            found = self._lay(key)
        if found is None:
            return None
        if found > tray.SIZE or self._own.memory is None:
            raise self._client.lied(f"a block of {found} bytes")
        return self._own.memory[:found]

    def _lay(self, key: Multihash) -> int | None:
        answer = self._client.read(self._client.call("POST", "/v1/tray/read", keylist.pack([key])))
        return self._client.understood(lambda: keylist.unpack_sizes(answer, 1))[0]
