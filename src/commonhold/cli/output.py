"""What people and programs see: results on standard output, everything else on standard error."""

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Any, BinaryIO

from commonhold.errors import HoldError, from_os

_PLAIN_EVERY = 10.0
_TERMINAL_EVERY = 0.1
_PATIENCE = 0.5  # shorter work shows nothing


def open_standard_files() -> None:
    """Fill descriptors 0 to 2 where whoever started us left them out, or the next files opened would take their places.

    Reading standard input and writing standard output fail then; standard error goes nowhere.
    """
    for number, (name, mode, access) in enumerate(
        (("stdin", "r", os.O_WRONLY), ("stdout", "w", os.O_RDONLY), ("stderr", "w", os.O_WRONLY))
    ):
        if getattr(sys, name) is None:
            os.open(os.devnull, access)  # the lowest descriptor that is free, which is this one
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115  open to the end
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


@contextlib.contextmanager
def writing() -> Iterator[None]:
    """Run a block whose OSErrors are about standard output; after one, what is left to write is dropped."""
    try:
        yield
    except OSError as error:
        _drop(1)
        if isinstance(error, BrokenPipeError):  # the reader has left: main ends quietly
            raise
        raise from_os("write", "standard output", error) from error


@contextlib.contextmanager
def standard_output() -> Iterator[BinaryIO]:
    """Standard output for bytes, flushed when the block ends."""
    with writing():
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()


def _drop(number: int) -> None:
    """Have a descriptor lead nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)


def _tell(text: str) -> None:
    """Write to standard error; a command goes on where nobody can be told."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        _drop(2)


class Output:
    """Where a command's words go."""

    def __init__(self, *, json: bool, quiet: bool) -> None:
        self.json = json
        self.quiet = quiet

    def result(self, value: dict[str, Any], text: str | None = None) -> None:
        """One result: a JSON object, or its line of text (None: nothing in text mode)."""
        if self.json:
            self.line(json.dumps(value, ensure_ascii=False))
        elif text is not None:
            self.line(text)

    def line(self, text: str) -> None:
        """A line on standard output."""
        with writing():
            sys.stdout.write(text + "\n")

    def flush(self) -> None:
        """Have every line written."""
        with writing():
            sys.stdout.flush()

    def remark(self, text: str) -> None:
        """Something worth saying that is no result."""
        if not self.quiet:
            _tell(f"{text}\n")

    def error(self, error: HoldError) -> None:
        """Say what failed, what to do, and the code. Results so far come first."""
        with contextlib.suppress(HoldError, BrokenPipeError):
            self.flush()
        if self.json:
            _tell(json.dumps(error.described(), ensure_ascii=False) + "\n")
            return
        _tell(f"error: {error}\ntry: {error.hint}\ncode: {error.kind.value.code}\n")

    def progress(self, what: str, total: int | None = None) -> "Progress":
        """A progress line for a piece of work measured in bytes."""
        return Progress(what, total, shown=not self.quiet and not self.json)


class Progress:
    """Bytes, rate and time left: on a terminal in place, elsewhere a line every ten seconds."""

    def __init__(self, what: str, total: int | None, *, shown: bool) -> None:
        self._what = what
        self._total = total
        self._shown = shown
        self._terminal = shown and sys.stderr.isatty()
        self._every = _TERMINAL_EVERY if self._terminal else _PLAIN_EVERY
        self._start = time.monotonic()
        self._next = self._start + max(_PATIENCE, self._every)
        self._drawn = False
        self.done = 0
        self.beside = ""  # what else is to be said at the line's end

    def bytes(self, count: int) -> None:
        """So many more bytes."""
        self.done += count
        if self._shown:
            now = time.monotonic()
            if now >= self._next:
                self._next = now + self._every
                self._draw(now)

    def _draw(self, now: float) -> None:
        rate = self.done / max(now - self._start, 1e-9)
        line = f"{self._what}: {human(self.done)}"
        if self._total:
            line += f" of {human(self._total)}"
        line += f", {human(rate)}/s"
        if self._total and rate > 0:
            line += f", {clock((self._total - self.done) / rate)} left"
        line += self.beside
        _tell(f"\r\033[K{line}" if self._terminal else f"{line}\n")
        self._drawn = True

    def close(self) -> None:
        """Take the line away."""
        if self._terminal and self._drawn:
            _tell("\r\033[K")


def human(count: float) -> str:
    """Bytes for people, in binary units."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def counted(number: int, one: str, many: str | None = None) -> str:
    """How many of something, for people."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def clock(seconds: float) -> str:
    """A duration for people."""
    whole = max(0, int(seconds))
    return (
        f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}" if whole >= 3600 else f"{whole // 60}:{whole % 60:02}"
    )
