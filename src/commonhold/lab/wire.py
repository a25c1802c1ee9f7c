"""A wire between a lab's process and the others: it hands on what comes, as it is told to: all, nothing, or slowly.

A process of its own in front of each server: its port is what is announced, and each user has one more. It is told by
files that it looks at, so that nobody has to be there to tell it: `open`, `cut`, or `slow BYTES_A_SECOND MILLISECONDS`.
"""

import asyncio
import contextlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from commonhold.formats.malformed import Malformed

LOOK_SECONDS: Final = 0.1
_PIECE: Final = 64 << 10
_FASTEST: Final = 1 << 40


@dataclass(frozen=True, slots=True)
class State:
    """How a wire is: whether it hands on anything; bytes a second each way, and seconds until each piece arrives."""

    cut: bool = False
    rate: int = _FASTEST
    delay: float = 0.0

    @property
    def text(self) -> str:
        """As its file has it."""
        if self.cut:
            return "cut"
        return "open" if self == State() else f"slow {self.rate} {round(self.delay * 1000)}"

    def over(self, other: "State") -> "State":
        """Both of them, one after the other."""
        return State(self.cut or other.cut, min(self.rate, other.rate), self.delay + other.delay)


def parse(text: str) -> State:
    """Return the state of a file's text."""
    words = text.split()
    if words in (["open"], ["cut"]):
        return State(cut=words == ["cut"])
    if len(words) == 3 and words[0] == "slow" and all(word.isascii() and word.isdecimal() for word in words[1:]):
        rate, delay = int(words[1][:12]), int(words[2][:9])
        if rate > 0:
            return State(False, rate, delay / 1000)
    raise Malformed("wire", "neither open, nor cut, nor slow BYTES_A_SECOND MILLISECONDS")


class Wire:
    """See the module. What any of the files says counts."""

    def __init__(self, told: Sequence[Path], port: int, to: int) -> None:
        self._told = told
        self._port = port
        self._to = to
        self._state = State()
        self._lines: set[asyncio.StreamWriter] = set()

    async def run(self) -> None:
        """Hand on until cancelled."""
        self._look()
        async with await asyncio.start_server(self._connected, "127.0.0.1", self._port):
            while True:
                await asyncio.sleep(LOOK_SECONDS)
                self._look()

    def _look(self) -> None:
        with contextlib.suppress(OSError, Malformed):  # it is being written
            found = State()
            for path in self._told:
                found = found.over(parse(path.read_text()))
            self._state = found
        if self._state.cut:
            for line in list(self._lines):
                line.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._state.cut:
            writer.transport.abort()
            return
        try:
            other_reader, other = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, other}
        self._lines |= ends
        try:
            await asyncio.gather(self._pass_on(reader, other), self._pass_on(other_reader, writer))
        finally:
            self._lines -= ends
            for end in ends:
                end.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_PIECE):
                state = self._state
                if state.delay or state.rate < _FASTEST:
                    await asyncio.sleep(state.delay + len(data) / state.rate)
                writer.write(data)
                await writer.drain()
            writer.write_eof()


async def _run(wires: Sequence[Wire]) -> None:
    async with asyncio.TaskGroup() as group:
        for wire in wires:
            group.create_task(wire.run())


def main(words: list[str]) -> None:
    """`python -m commonhold.lab.wire TO FILE PORT [FILE PORT]…`: what the first of the files says counts for all."""
    to, lines = int(words[0]), [(Path(path), int(port)) for path, port in zip(words[1::2], words[2::2], strict=True)]
    wires = [Wire(tuple(dict.fromkeys((lines[0][0], path))), port, to) for path, port in lines]
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(wires))


if __name__ == "__main__":
    main(sys.argv[1:])
