"""A rehearsal played on a real grid: each step is done to its processes, or by its users' commands, and compared.

What users put is drawn from the seed, too. `rehearsing` has the steps, and says how each is to end.
"""

import filecmp
import os
import random
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from commonhold.errors import HoldError, Kind, os_errors
from commonhold.host import disk
from commonhold.lab import building, processes, rehearsing
from commonhold.lab.plan import Plan
from commonhold.lab.rehearsing import KEPT, MENDED, NOT_KEPT, NOT_MENDED, NOT_READ, READ, READABLE, WHOLE, Step
from commonhold.lab.wire import State

K: Final = 3  # of 5, as a grid has it where nobody says otherwise
SERVERS: Final = 5
_SLOW: Final = State(False, 4 << 20, 0.005)
_FILES: Final = 6
_LARGEST: Final = 300_000
_SECONDS: Final = 120.0


class Rehearsal:
    """See the module. The lab is mended first; things that users put and get are below `rehearsal` in it."""

    def __init__(self, directory: Path, plan: Plan, seed: int) -> None:
        if len(plan.servers) != SERVERS or not plan.users:
            why = f"it takes {SERVERS} servers and a user"
            raise HoldError("lab rehearse", Kind.USAGE, str(directory), why, hint="hold lab up DIR")
        self._directory = directory
        self._plan = plan
        self._seed = seed
        self._capabilities: dict[int, str] = {}
        self._got = 0
        self._work = directory / "rehearsal" / os.urandom(4).hex()

    def play(self, count: int) -> Iterator[tuple[Step, str]]:
        """Play so many steps; each, and how it ended."""
        for part in self._plan.parts:
            building.straighten(self._directory, part)
            building.honest(self._directory, part)
        with os_errors("lab rehearse", str(self._work)):
            disk.make_directory(self._work.parent, 0o700)
            self._work.mkdir()
        servers = [part.name for part in self._plan.servers]
        for step in rehearsing.schedule(self._seed, servers, self._plan.users, K, count):
            yield step, self._done(step)

    def _done(self, step: Step) -> str:
        match step.verb:
            case "put":
                return self._put(step)
            case "get":
                return self._get(step)
            case "check":
                return self._check(step)
            case "repair":
                done = self._hold(step.user, "repair", self._capabilities[step.tree])
                return NOT_MENDED if done.returncode else MENDED
        self._befall(step)
        return rehearsing.DONE

    def _befall(self, step: Step) -> None:
        directory, part = self._directory, self._plan.part(step.server)
        match step.verb:
            case "kill":
                processes.end(directory, part.name, signal.SIGKILL)
            case "damage":
                building.damage(directory, part)
            case "hostile":
                building.lie(directory, part)
            case "slow":
                building.bend(directory, part, _SLOW)
            case "cut":
                building.bend(directory, part, State(cut=True), step.user)
            case "mend":
                building.straighten(directory, part)
                building.honest(directory, part)

    # ── what users do ──

    def _hold(self, user: str, *words: str) -> "subprocess.CompletedProcess[str]":
        command = processes.hold("--quiet", "--repo", str(self._directory / user), *words)
        return subprocess.run(
            command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, timeout=_SECONDS
        )

    def _put(self, step: Step) -> str:
        source = self._tree(step.tree)
        made = source if source.exists() else self._write(step.tree)
        done = self._hold(step.user, "put", str(made), "/hold/me")
        if done.returncode:
            return NOT_KEPT
        self._capabilities[step.tree] = done.stdout.strip().splitlines()[-1]
        return KEPT

    def _tree(self, number: int) -> Path:
        return self._work / f"tree{number} of {self._work.name}"  # not to be put into that of another rehearsal

    def _write(self, number: int) -> Path:
        """Make a tree: of this seed and number it is the same each time."""
        draw, where = random.Random(f"{self._seed} {number}"), self._tree(number)
        with os_errors("lab rehearse", str(where)):
            where.mkdir()
            for name in range(draw.randint(1, _FILES)):
                (where / f"file{name}").write_bytes(draw.randbytes(draw.randint(0, _LARGEST)))
        return where

    def _get(self, step: Step) -> str:
        to = self._work / f"got by {step.user} {self._got}"
        self._got += 1
        done = self._hold(step.user, "get", self._capabilities[step.tree], "-o", str(to))
        if done.returncode:
            return NOT_READ
        source = self._tree(step.tree)
        names, there = (sorted(path.name for path in one.iterdir()) for one in (source, to))
        same, _, _ = filecmp.cmpfiles(source, to, names, shallow=False)
        return READ if sorted(same) == names == there else "other bytes"

    def _check(self, step: Step) -> str:
        capability = self._capabilities[step.tree]
        rows = processes.rows("--repo", str(self._directory / step.user), "check", capability, "--deep")
        if not rows or not rows[-1].get("readable"):
            return NOT_READ
        return WHOLE if rows[-1]["whole"] else READABLE
