"""Measuring: one command run to its end, its wall time, CPU time and peak memory; and series of such samples."""

import contextlib
import os
import signal
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_KIB = 1024  # ru_maxrss is in KiB on Linux


@dataclass(frozen=True, slots=True)
class Sample:
    """What one run of a command took. Seconds; the peak is the largest resident size of one process, in bytes."""

    seconds: float
    cpu: float
    peak: int


class Failed(Exception):
    """A command that was to be measured, or a result that was to be verified, was wrong."""


def run(argv: list[str], env: Mapping[str, str], out: Path, err: Path) -> Sample:
    """Run a command in a process group of its own, its words into two files. Failed unless it exits with 0.

    The clock runs from before the spawn to after the wait. The kernel counts the peak of the process that spawned
    towards the child's: keep this one small.
    """
    files = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(out), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
        (os.POSIX_SPAWN_OPEN, 2, str(err), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
    ]
    start = time.perf_counter()
    pid = os.posix_spawnp(argv[0], argv, env, file_actions=files, setpgroup=0)
    try:
        _, status, usage = os.wait4(pid, 0)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
        raise
    seconds = time.perf_counter() - start
    code = os.waitstatus_to_exitcode(status)
    if code != 0:
        tail = err.read_bytes()[-2000:].decode(errors="replace").strip()
        raise Failed(f"{' '.join(argv)}: exit {code}\n{tail}")
    return Sample(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * _KIB)


class Ledger:
    """Samples by the name of what was measured, in order of the runs."""

    def __init__(self) -> None:
        self._series: dict[str, list[Sample]] = {}

    def note(self, name: str, sample: Sample) -> None:
        """Add a sample to a series."""
        self._series.setdefault(name, []).append(sample)

    def names(self) -> list[str]:
        """Every series, in order of its first sample."""
        return list(self._series)

    def seconds(self, name: str) -> list[float]:
        """A series' wall times; empty if it was not measured."""
        return [sample.seconds for sample in self._series.get(name, [])]

    def peak(self, name: str) -> int:
        """The largest peak of a series, in bytes."""
        return max((sample.peak for sample in self._series.get(name, [])), default=0)


def ratios(theirs: Sequence[float], ours: Sequence[float]) -> list[float]:
    """Return how many times as fast ours was, run by run."""
    return [one / other for one, other in zip(theirs, ours, strict=True)]


def spread(values: Sequence[float], form: str) -> str:
    """Return a median with its minimum and maximum, each in a format such as `.2f`."""
    middle = statistics.median(values)
    if len(values) == 1:
        return f"{middle:{form}}"
    return f"{middle:{form}} ({min(values):{form}}–{max(values):{form}})"
