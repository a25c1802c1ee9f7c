"""A grid of processes on loopback, who puts onto it and gets from it, and the same by bare means. See `grid_rows`.

serve DIRECTORY         a storage server, and one for bare TLS: says pin and two ports, serves until its input ends
grid GRID K SIZE COUNT  put so many blocks of this size, k of n, get them and compare; GRID has what the servers said
tls GRID COUNT SIZE     send so many bytes to each of the first COUNT servers; receive as many from each
disk DIRECTORY COUNT SIZE   so many processes write a file of this size each, with fsync

The last three print seconds by name, as JSON. The servers, and the client's account there, are those of the tests.
"""

import asyncio
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from ssl import SSLSocket

import uvloop

from commonhold.erasure.choosing import quickest
from commonhold.erasure.values import Shape
from commonhold.exchange.book import Book
from commonhold.exchange.finding import SetReader, find_inventory
from commonhold.exchange.keeping import Keeping, Wanted
from commonhold.exchange.packing import Tools
from commonhold.formats import multihash
from commonhold.formats.hint import TcpHint
from commonhold.formats.keys import Seed
from commonhold.formats.multihash import Multihash
from commonhold.formats.pack import Entry
from commonhold.formats.pin import SpkiPin, parse_pin
from commonhold.host import allocator, disk
from commonhold.transport import listen, tls

sys.path.append(str(Path(__file__).resolve().parent.parent))
from tests.exchange import grids

_THREADS = 8  # of a storage server, as it has them; and of a client, as an agent has
_PIECE = 1 << 20
_UP, _DOWN = b"<", b">"


# ── servers ──


async def _serve(directory: Path) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, ended.set)
    bare = listen.bind("127.0.0.1", 0)
    with ThreadPoolExecutor(_THREADS) as threads:
        async with grids.server(directory, threads) as one:
            threading.Thread(target=_serve_bare, args=(bare, one.seed), daemon=True).start()
            print(one.pin, one.hint.port, bare.getsockname()[1], flush=True)
            await ended.wait()


def _serve_bare(listening: socket.socket, seed: Seed) -> None:
    """Read, or send, as many bytes as the other end says; one connection after another."""
    context = tls.server_context(seed)
    while True:
        accepted, _ = listening.accept()
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with context.wrap_socket(accepted, server_side=True) as sock:
            way, size = sock.recv(1), int.from_bytes(sock.recv(8), "big")
            if way == _UP:
                _receive(sock, size)
                sock.sendall(b".")
            else:
                _send(sock, size)


def _send(sock: SSLSocket, size: int) -> None:
    piece = memoryview(os.urandom(_PIECE))
    for start in range(0, size, _PIECE):
        sock.sendall(piece[: size - start])


def _receive(sock: SSLSocket, size: int) -> None:
    room = bytearray(_PIECE)
    while size:
        size -= sock.recv_into(room, min(size, _PIECE))


# ── a client ──


class _Client(grids.Client):
    """An account at servers that other processes are."""

    def __init__(self, known: Mapping[SpkiPin, TcpHint]) -> None:
        super().__init__([])
        self.known = dict(known)


async def _grid(known: Mapping[SpkiPin, TcpHint], directory: Path, k: int, size: int, count: int) -> dict[str, float]:
    """Put, and get by who knows the set's seed alone, over connections of its own that are open already."""
    have = {multihash.sha2_256(data): data for data in (os.urandom(size) for _ in range(count))}
    seed, shape = os.urandom(32), Shape(k, len(known))
    wanted = Wanted("bench", seed, shape, [Entry(key, len(data)) for key, data in have.items()])
    writer, reader, book = _Client(known), _Client(known), Book(directory / f"{seed.hex()}.sqlite")
    with ThreadPoolExecutor(_THREADS) as threads:
        tools = Tools(quickest(), threads, os.urandom)
        for client in (writer, reader):
            await asyncio.gather(*(client.connection(pin) for pin in known))
        try:
            began = time.perf_counter()
            keeping = Keeping(writer, book, tools, os.urandom(32), grids.now)
            await keeping.keep(wanted, have.__getitem__, lambda _sent, _total: None)
            put = time.perf_counter() - began
            began = time.perf_counter()
            got = await _get(reader, seed, list(have), tools)
            get = time.perf_counter() - began
        finally:
            await asyncio.gather(writer.close(), reader.close())
            book.close()
    if any(got[key] != data for key, data in have.items()):
        raise SystemExit("what came is not what was put")
    return {"put": put, "get": get}


async def _get(client: _Client, seed: bytes, keys: list[Multihash], tools: Tools) -> Mapping[Multihash, memoryview]:
    servers = await client.all()
    return await SetReader(await find_inventory(seed, servers, tools), servers, tools).read(keys)


# ── by bare means ──


def _tls(ports: Mapping[SpkiPin, int], way: bytes, size: int) -> float:
    """So many bytes to each of these servers, or from each, over a connection and in a thread for each."""
    socks = []
    for pin, port in ports.items():
        plain = socket.create_connection(("127.0.0.1", port))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        socks.append(tls.client_context(Seed(os.urandom(32)), pin).wrap_socket(plain))

    def move(sock: SSLSocket) -> None:
        sock.sendall(way + size.to_bytes(8, "big"))
        if way == _UP:
            _send(sock, size)
            _receive(sock, 1)
        else:
            _receive(sock, size)

    began = time.perf_counter()
    with ThreadPoolExecutor(len(socks)) as threads:
        list(threads.map(move, socks))
    seconds = time.perf_counter() - began
    for sock in socks:
        sock.close()
    return seconds


def _disk(directory: Path, count: int, size: int) -> float:
    """A file in each of so many processes, and on the disk when they have ended."""
    context = get_context("fork")
    ready = context.Barrier(count + 1)
    writers = [context.Process(target=_write, args=(directory / f"{number}.plain", size, ready), daemon=True)
               for number in range(count)]  # fmt: skip
    for writer in writers:
        writer.start()
    ready.wait()
    began = time.perf_counter()
    for writer in writers:
        writer.join()
    seconds = time.perf_counter() - began
    if any(writer.exitcode for writer in writers):
        raise SystemExit("a writer has failed")
    return seconds


def _write(path: Path, size: int, ready: Barrier) -> None:
    piece = memoryview(os.urandom(_PIECE))
    ready.wait()
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    for start in range(0, size, _PIECE):
        disk.write_all(fd, [piece[: size - start]], start)
    os.fsync(fd)
    path.unlink()


def _servers(path: Path) -> tuple[dict[SpkiPin, TcpHint], dict[SpkiPin, int]]:
    """Where they are, and their ports for bare TLS."""
    known, bare = {}, {}
    for pin, port, other in json.loads(path.read_text()):
        known[parse_pin(pin)], bare[parse_pin(pin)] = TcpHint("127.0.0.1", port), other
    return known, bare


def main(what: str, path: Path, *amounts: int) -> None:
    """Do what the words say."""
    allocator.tune()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if what == "serve":
            runner.run(_serve(path))
            return
        if what == "disk":
            found = {"disk": _disk(path, *amounts)}
        else:
            known, bare = _servers(path)
            if what == "tls":
                count, size = amounts
                some = dict(list(bare.items())[:count])
                found = {"up": _tls(some, _UP, size), "down": _tls(some, _DOWN, size)}
            else:
                found = runner.run(_grid(known, path.parent, *amounts))
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:]))
