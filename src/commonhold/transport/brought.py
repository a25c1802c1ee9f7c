"""Connections that come to a server by another way than its own sockets; `listen.serve` takes them as its own.

Bounded: what nobody has taken in is so much, and what comes beyond is hung up on.
"""

import asyncio
import socket
from typing import Final

_WAITING: Final = 64


class Brought:
    """See the module. For one loop."""

    def __init__(self) -> None:
        self._sockets: asyncio.Queue[socket.socket] = asyncio.Queue(_WAITING)

    def put(self, sock: socket.socket) -> None:
        """Give a connected socket away."""
        try:
            self._sockets.put_nowait(sock)
        except asyncio.QueueFull:
            sock.close()

    async def take(self) -> socket.socket:
        """The next, once there is one."""
        return await self._sockets.get()

    def close(self) -> None:
        """Hang up on what nobody has taken."""
        while not self._sockets.empty():
            self._sockets.get_nowait().close()
