"""Storage servers that write down all they see of who calls, and what is the same in two such books."""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, cast

from commonhold.formats import dagcbor
from commonhold.formats.malformed import Malformed
from commonhold.transport.visitors import Visitor, Visitors
from tests.exchange.grids import Server, server
from tests.transport.wire import Relayed, hello, relay

KEY_SHARE = 51  # RFC 8446 §4.2
WINDOW = 16  # bytes that are the same in two places are no chance


class Call(NamedTuple):
    """One request as it came in: its head's lines, its body, and when it began."""

    lines: tuple[str, ...]
    body: bytes
    moment: float


@dataclass
class Heard:
    """One connection as its server has it: the certificate, and all that came by it, in the clear."""

    certificate: bytes
    data: bytearray = field(default_factory=bytearray)
    moments: list[tuple[int, float]] = field(default_factory=list)  # how much had come, and when

    def calls(self) -> Iterator[Call]:
        """The requests, in order."""
        at = 0
        while at < len(self.data):
            moment = next(when for length, when in self.moments if length > at)
            end = self.data.index(b"\r\n\r\n", at)
            lines = tuple(self.data[at:end].decode().split("\r\n"))
            said = dict(line.split(": ", 1) for line in lines[1:])
            assert "Transfer-Encoding" not in said
            at = end + 4 + int(said.get("Content-Length", 0))
            yield Call(lines, bytes(self.data[end + 4 : at]), moment)


class Watchers(Visitors):
    """Visitors of a server that listens to what goes by."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[Heard] = []

    def settle(self, visitor: Visitor) -> bool:
        """Listen from now on."""
        settled = super().settle(visitor)
        tls = cast(asyncio.Transport, visitor._transport).get_extra_info("ssl_object")
        heard = Heard(tls.getpeercert(binary_form=True))
        self.heard.append(heard)
        serve = visitor.data_received

        def listen(data: bytes) -> None:
            heard.data += data
            heard.moments.append((len(heard.data), time.time()))
            serve(data)

        visitor.data_received = listen  # type: ignore[method-assign]
        return settled


@dataclass
class Spy:
    """A server, and what it has: connections in the clear, and on the wire."""

    server: Server
    watchers: Watchers
    wires: list[Relayed]

    def forget(self) -> "Book":
        """What was seen up to now, which is left behind."""
        found = Book(list(self.watchers.heard), [bytes(one.up) for one in self.wires])
        self.watchers.heard.clear()
        self.wires.clear()
        return found


@contextlib.asynccontextmanager
async def spies(path: Path, count: int, threads: ThreadPoolExecutor) -> AsyncIterator[list[Spy]]:
    """So many servers, each with a relay before it that sees what any wire does."""
    async with contextlib.AsyncExitStack() as stack:
        found = []
        for number in range(count):
            watchers = Watchers()
            there = await stack.enter_async_context(server(path / f"spy{number}", threads, watchers))
            there.hint, wires = await stack.enter_async_context(relay(there.hint))
            found.append(Spy(there, watchers, wires))
        yield found


class Book:
    """All that one server has of one session: values by what they are, and the bytes of shares."""

    def __init__(self, heard: list[Heard], wires: list[bytes]) -> None:
        self.values: defaultdict[str, set[Any]] = defaultdict(set)
        self.shares: list[bytes] = []
        self.times: list[int] = []  # of entries: drawn from so few that some are the same by chance
        self.certificates = [one.certificate for one in heard]
        for wire in wires:
            self._wire(wire)
        for one in heard:
            for call in one.calls():
                self._call(call)

    def _wire(self, wire: bytes) -> None:
        """TLS as it is on the wire: the greeting, and the lengths of all records."""
        greeting = hello(wire)
        self.values["greeting"] |= {greeting.ciphers, *greeting.extensions}
        self.values["drawn"] |= {greeting.random, greeting.session, greeting.extension(KEY_SHARE)}
        at = 0
        while at < len(wire):
            length = int.from_bytes(wire[at + 3 : at + 5], "big")
            self.values["record length"].add(length)
            at += 5 + length

    def _call(self, call: Call) -> None:
        method, target, version = call.lines[0].split(" ")
        path, _, query = target.partition("?")
        self.values["line"] |= {method, version, *path.split("/"), *filter(None, query.split("&"))}
        for line in call.lines[1:]:
            name, value = line.split(": ", 1)
            self.values["header"].add(name)
            if name == "Content-Length":
                self.values["length"].add(int(value))
            elif name == "Range":
                self.values["span"] |= {int(one) for one in value.removeprefix("bytes=").split("-")}
            else:
                self.values["header"].add(value)
        self.values["moment"].add(round(call.moment))
        if method == "PUT":
            self.shares.append(call.body)
        elif call.body:
            self._leaves(dagcbor.decode(call.body))

    def _leaves(self, value: Any) -> None:
        """All values of a body, those of signed statements in it too."""
        match value:
            case dict():
                for name, one in value.items():
                    self.values["field's name"].add(name)
                    if name == "time":
                        self.times.append(one)
                    else:
                        self._leaves(one)
            case list() | tuple():
                for one in value:
                    self._leaves(one)
            case bytes():
                self.values["body"].add(value)
                with contextlib.suppress(Malformed):
                    inner = dagcbor.decode(value)
                    if isinstance(inner, dict):
                        self._leaves(inner)
            case _:
                self.values["body"].add(value)

    def common(self, other: "Book") -> dict[str, set[Any]]:
        """Values that both have, whatever each has them as."""
        found = {name: values & set().union(*other.values.values()) for name, values in self.values.items()}
        return {name: values for name, values in found.items() if values}


def same_bytes(ones: list[bytes], others: list[bytes]) -> set[bytes]:
    """What stands in both, at whatever places: any run of twice WINDOW bytes is found."""
    windows = {data[at : at + WINDOW] for data in ones for at in range(0, len(data) - WINDOW + 1, WINDOW)}
    return {
        data[at : at + WINDOW]
        for data in others
        for at in range(len(data) - WINDOW + 1)
        if data[at : at + WINDOW] in windows
    }
