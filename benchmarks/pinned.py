"""Two ends of pinned connections, each a process of its own, and the same bytes over bare `ssl` sockets.

`pinned.py serve` says two ports, then serves until its input ends. `pinned.py upload|bare|connect|together PORT AMOUNT`
does one piece of work against one of them and says the seconds that it took.
"""

import asyncio
import os
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator

import uvloop
from aiohttp import web

from commonhold.crypto import sign
from commonhold.formats.hint import TcpHint
from commonhold.formats.keys import Seed
from commonhold.formats.pin import pin_of
from commonhold.host import allocator
from commonhold.transport import dial, listen, tls
from commonhold.transport.rules import Rules
from commonhold.transport.visitors import Visitors

_SEED = Seed(bytes(range(32)))
_PIN = pin_of(sign.public_key(_SEED))
_PIECE = 1 << 20
_AT_ONCE = 8


async def _take(request: web.Request) -> web.Response:
    length = 0
    async for piece in request.content.iter_any():
        length += len(piece)
    return web.Response(text=str(length))


async def _serve(sock: socket.socket) -> None:
    app = web.Application()
    app.router.add_put("/", _take)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, stop.set)
    await listen.serve(app, _SEED, [sock], Visitors(), stop)


def _serve_bare(listening: socket.socket) -> None:
    context, buffer = tls.server_context(_SEED), bytearray(_PIECE)
    while True:
        accepted, _ = listening.accept()
        with context.wrap_socket(accepted, server_side=True) as sock:
            left = int.from_bytes(sock.recv(8), "big")
            while left:
                left -= sock.recv_into(buffer)
            sock.sendall(b".")


async def _upload(port: int, size: int) -> float:
    """An upload in pieces, until the server has said that it has it all."""

    async def pieces() -> AsyncIterator[memoryview]:
        for start in range(0, size, _PIECE):
            yield memoryview(piece)[: min(_PIECE, size - start)]

    piece = os.urandom(_PIECE)
    connection = await dial.dial(_PIN, [TcpHint("127.0.0.1", port)], Rules(), os.urandom)
    began = time.perf_counter()
    async with connection.request("PUT", "/", body=pieces(), length=size) as answer:
        assert int(await answer.read(100)) == size
    seconds = time.perf_counter() - began
    await connection.close()
    return seconds


def _upload_bare(port: int, size: int) -> float:
    piece = os.urandom(_PIECE)
    context = tls.client_context(Seed(os.urandom(32)), _PIN)
    with context.wrap_socket(socket.create_connection(("127.0.0.1", port))) as sock:
        began = time.perf_counter()
        sock.sendall(size.to_bytes(8, "big"))
        for _ in range(size // _PIECE):
            sock.sendall(piece)
        assert sock.recv(1) == b"."
        return time.perf_counter() - began


async def _once(port: int) -> None:
    """A new key, a connection, a call."""
    connection = await dial.dial(_PIN, [TcpHint("127.0.0.1", port)], Rules(), os.urandom)
    await connection.ping()
    await connection.close()


async def _connect(port: int, count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        await _once(port)
    return time.perf_counter() - began


async def _together(port: int, count: int) -> float:
    async def some() -> None:
        for _ in range(count // _AT_ONCE):
            await _once(port)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(some())
    return time.perf_counter() - began


def main() -> None:
    """Do what the words say."""
    allocator.tune()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if sys.argv[1] == "serve":
            ours, bare = listen.bind("127.0.0.1", 0), listen.bind("127.0.0.1", 0)
            threading.Thread(target=_serve_bare, args=(bare,), daemon=True).start()
            print(ours.getsockname()[1], bare.getsockname()[1], flush=True)
            runner.run(_serve(ours))
            return
        what, port, amount = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
        if what == "bare":
            seconds = _upload_bare(port, amount)
        else:
            work = {"upload": _upload, "connect": _connect, "together": _together}[what]
            seconds = runner.run(work(port, amount))
    print(seconds)


if __name__ == "__main__":
    main()
