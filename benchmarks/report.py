"""The report: lines that compare, with a target and a verdict, as a Markdown table."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from measuring import ratios, spread

_HEAD = ("row", "what", "hold", "yardstick", "ratio", "target", "verdict")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table. `met` is None where there is no target, or nothing to hold against it."""

    row: int
    what: str
    hold: str
    yardstick: str = ""
    ratio: str = ""
    target: str = ""
    met: bool | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """How much was done: 1 unit is what the rate is told in."""

    amount: float
    unit: str

    def rate(self, seconds: Sequence[float]) -> str:
        """Return the rate of the median."""
        return f"{self.amount / statistics.median(seconds):.2f} {self.unit}/s"


def gigabytes(size: int) -> Work:
    """Bytes as work."""
    return Work(size / 1e9, "GB")


def thousand_files(count: int) -> Work:
    """Files as work."""
    return Work(count / 1e3, "k files")


def thousands(count: int, unit: str) -> Work:
    """What is counted as work."""
    return Work(count / 1e3, f"k {unit}")


def timed(seconds: Sequence[float], work: Work) -> str:
    """Return times and rate as they are shown."""
    return f"{spread(seconds, '.2f')} s, {work.rate(seconds)}"


def compared(
    row: int,
    what: str,
    ours: Sequence[float],
    name: str,
    theirs: Sequence[float],
    work: Work,
    at_least: float | None = None,
) -> Line:
    """Compare times; the ratio says how many times as fast as the yardstick we were, by pairs of the same run."""
    target = f"≥ {at_least:g}" if at_least is not None else ""
    if not theirs:
        return Line(row, what, timed(ours, work), f"{name}: not installed", "", target, None)
    found = ratios(theirs, ours)
    met = None if at_least is None else statistics.median(found) >= at_least
    return Line(row, what, timed(ours, work), f"{name}: {timed(theirs, work)}", spread(found, ".2f"), target, met)


def rated(row: int, what: str, seconds: Sequence[float], work: Work, at_least: float) -> Line:
    """Hold a rate, in the work's unit, against what it should be."""
    met = work.amount / statistics.median(seconds) >= at_least
    return Line(row, what, timed(seconds, work), "", "", f"≥ {at_least:g} {work.unit}/s", met)


def limited(row: int, what: str, millis: Sequence[float], yardstick: str, below: float | None = None) -> Line:
    """Hold a time, in milliseconds, against a limit."""
    target = f"≤ {below:g} ms" if below is not None else ""
    met = None if below is None else statistics.median(millis) <= below
    return Line(row, what, f"{spread(millis, '.0f')} ms", yardstick, "", target, met)


def _verdict(line: Line, judged: bool) -> str:
    if line.met is None or not judged:
        return ""
    return "met" if line.met else "**not met**"


def table(lines: Sequence[Line], *, judged: bool) -> str:
    """Return the Markdown table; verdicts only if the scale is one that the targets are about."""
    rows = [
        (str(line.row), line.what, line.hold, line.yardstick, line.ratio, line.target, _verdict(line, judged))
        for line in lines
    ]
    cells = [_HEAD, tuple("---" for _ in _HEAD), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in cells) + "\n"


def append(readme: Path, text: str) -> None:
    """Add a run to the end of the README, whose last section is "Runs"."""
    with readme.open("a", encoding="utf-8") as out:
        out.write(f"\n{text}")
