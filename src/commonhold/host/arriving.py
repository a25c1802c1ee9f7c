"""Whoever connects to a listening socket, and tasks that sockets are given to: none is lost when that is given up.

`loop.sock_accept` forgets who came in the very turn of the loop in which it is cancelled, and a task that is cancelled
before it has begun forgets what it was given: open until the garbage collector comes, and somebody waits there.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from commonhold.host.sockets import SCARCE

_BREATH = 0.1  # seconds until the next try where the machine has no more descriptors or memory


async def arrivals(listening: socket.socket) -> AsyncIterator[socket.socket]:
    """Whoever connects to a socket, one after the other, without end; the sockets do not block."""
    listening.setblocking(False)
    while True:
        await _readable(listening)
        try:
            sock, _ = listening.accept()
        except OSError as error:
            if error.errno in SCARCE:
                await asyncio.sleep(_BREATH)
            continue
        sock.setblocking(False)
        yield sock


def entrust(
    group: asyncio.TaskGroup, sock: socket.socket, work: Callable[[socket.socket], Coroutine[Any, Any, None]]
) -> asyncio.Task[None]:
    """Start a task that a socket belongs to from now on, also if it is cancelled before it has begun."""
    begun = False

    async def run() -> None:
        nonlocal begun
        begun = True
        await work(sock)

    def ended(task: asyncio.Task[None]) -> None:
        if not begun:
            sock.close()

    task = group.create_task(run())
    task.add_done_callback(ended)
    return task


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    readable: asyncio.Future[None] = loop.create_future()
    loop.add_reader(sock, _tell, readable)
    try:
        await readable
    finally:
        loop.remove_reader(sock)


def _tell(waiting: "asyncio.Future[None]") -> None:
    if not waiting.done():
        waiting.set_result(None)
