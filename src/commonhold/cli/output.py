"""What people and programs see: results on standard output, everything else on standard error."""

import json
import sys
import time
from typing import Any

from commonhold.errors import HoldError

_PLAIN_EVERY = 10.0
_TERMINAL_EVERY = 0.1
_PATIENCE = 0.5  # shorter work shows nothing


class Output:
    """Where a command's words go."""

    def __init__(self, *, json: bool, quiet: bool) -> None:
        self.json = json
        self.quiet = quiet

    def result(self, value: dict[str, Any], text: str | None = None) -> None:
        """One result: a JSON object, or its line of text (None: nothing in text mode)."""
        if self.json:
            sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
        elif text is not None:
            sys.stdout.write(text + "\n")

    def remark(self, text: str) -> None:
        """Something worth saying that is no result."""
        if not self.quiet:
            sys.stderr.write(f"{text}\n")

    def error(self, error: HoldError) -> None:
        """Say what failed, what to do, and the code."""
        if self.json:
            sys.stderr.write(json.dumps(error.described(), ensure_ascii=False) + "\n")
            return
        lines = [f"error: {error}"]
        if error.hint:
            lines.append(f"try: {error.hint}")
        lines.append(f"code: {error.kind.value.code}")
        sys.stderr.write("\n".join(lines) + "\n")

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
        sys.stderr.write(f"\r\033[K{line}" if self._terminal else f"{line}\n")
        sys.stderr.flush()
        self._drawn = True

    def close(self) -> None:
        """Take the line away."""
        if self._terminal and self._drawn:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()


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
