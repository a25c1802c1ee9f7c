"""One round of a policy: a snapshot of its path is kept on the grid, and the oldest generation ends.

Whatever ends it half-way, the next one goes on: a generation is written down before its snapshot is made.
docs/spec/keeping.md, "Policies".
"""

import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import dataclass

from commonhold.agent.chronicle import Entry
from commonhold.agent.naming import parse_name
from commonhold.agent.ongrid import OnGrid
from commonhold.agent.own import Own
from commonhold.agent.shooting import chronicle_of, shoot
from commonhold.agent.telling import Telling
from commonhold.calls import Shooting, Watcher
from commonhold.errors import HoldError, Kind, from_any
from commonhold.exchange.ending import Ended
from commonhold.exchange.tending import State
from commonhold.formats.capability import ReadCapability, VerifyCapability
from commonhold.grids import policies
from commonhold.grids.policies import Generation, Policy, PolicyBook
from commonhold.sealing.seal import verify_capability


@dataclass(frozen=True, slots=True)
class Setting:
    """What a round goes by: the time in seconds since 1970, and numbers from 0 to before 1."""

    now: Callable[[], int]
    draw: Callable[[], float]


class Upkeep:
    """Rounds of the policies of one grid, one at a time: whoever has it has the grid's `policies.TURNS`."""

    def __init__(self, own: Own, on: OnGrid, book: PolicyBook, setting: Setting) -> None:
        self._own = own
        self._on = on
        self._book = book
        self._setting = setting

    def attempt(self, policy: Policy, watcher: Watcher) -> HoldError | None:
        """Make a round, and write down what came of it; why it failed. CancelledError passes."""
        now, draw = self._setting.now, self._setting.draw
        try:
            if policy.ending:
                self.end(policy)
                return None
            self._keep(policy, watcher)
            self._book.succeeded(policy, now(), policies.after_success(policy, now(), draw))
            self._end_old(policy)
        except CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 one policy must not keep the others from being looked after
            told = from_any("keep", error)
            if told.kind is Kind.BUG:
                traceback.print_exception(error, file=sys.stderr)
            self._book.failed(policy, str(told), policies.after_failure(policy, now(), draw))
            return told
        return None

    def end(self, policy: Policy) -> list[Ended]:
        """End a policy, and all that it keeps on the grid."""
        self._book.end(policy.name)
        ended = [self._on.end(one.name) for one in self._book.generations(policy.name) if self._has(one)]
        self._book.remove(policy.name)
        return ended

    def _keep(self, policy: Policy, watcher: Watcher) -> None:
        entry = self._snapshot(policy, watcher)
        there = [one for one in self._book.generations(policy.name) if one.root is not None]
        if there and there[-1].root == entry.root and self._sound(there[-1]):
            self._let_go(entry.name)
            return
        shape, remark = self._on.shape()
        if remark is not None:
            watcher.remark(f"note: {remark}")
        instead = frozenset(one.name for one in _oldest(there, policy.generations - 1))
        telling = Telling(self._on, watcher)
        self._on.keep(entry.name, _verify(entry.root), shape, telling.kept, telling.sent, instead)
        telling.flush()
        self._book.whole(entry.name, entry.root)

    def _snapshot(self, policy: Policy, watcher: Watcher) -> Entry:
        """What is to be kept: a snapshot that was made before and not kept yet, unless it is old, or a new one."""
        now = self._setting.now()
        for one in self._book.generations(policy.name):
            if one.root is None:
                entry = self._entry(one.name)
                if entry is not None and self._has(one):  # it was kept, and that was not noted
                    self._book.whole(one.name, entry.root)
                    continue
                if entry is not None and 0 <= now - one.made < policy.every:
                    return entry
                self._end_one(one)
        name = self._free(f"{policy.name}@{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(now))}")
        self._book.begin(policy.name, Generation(name, now))
        return shoot(self._own, policy.path, Shooting(name), watcher)

    def _entry(self, name: str) -> Entry | None:
        with chronicle_of(self._own) as chronicle:
            return chronicle.find(name)

    def _free(self, base: str) -> str:
        """A name that no snapshot and no set has."""
        with chronicle_of(self._own) as chronicle:
            taken = {entry.name for entry in chronicle.all()} | {kept.name for kept in self._on.sets()}
        name, number = base, 2
        while name in taken:
            name, number = f"{base}-{number}", number + 1
        return name

    def _sound(self, one: Generation) -> bool:
        """Whether a generation is on the grid, as far as the book knows."""
        care = self._on.cares().get(one.name)
        missing = care is not None and care.state is State.MISSING
        return not missing and any(
            kept.until > self._setting.now() for kept in self._on.sets() if kept.name == one.name
        )

    def _has(self, one: Generation) -> bool:
        return any(kept.name == one.name for kept in self._on.sets())

    def _end_old(self, policy: Policy) -> None:
        """End what is beyond the number of generations, on the grid and in the history."""
        there = [one for one in self._book.generations(policy.name) if one.root is not None]
        for one in _oldest(there, policy.generations):
            self._end_one(one)

    def _end_one(self, one: Generation) -> None:
        """End a generation, on the grid if it is there, and in the history."""
        if self._has(one):
            self._on.end(one.name)
        self._let_go(one.name)

    def _let_go(self, name: str) -> None:
        """Forget a generation that is not on the grid, and its snapshot."""
        with chronicle_of(self._own) as chronicle:
            if chronicle.find(name) is not None:
                chronicle.remove(name)
        self._book.strike(name)


def _oldest(there: list[Generation], stay: int) -> list[Generation]:
    """All but the last so many."""
    return there[: max(0, len(there) - stay)]


def _verify(root: str) -> VerifyCapability:
    """The right to list a snapshot's blocks."""
    capability = parse_name(root).root
    if not isinstance(capability, ReadCapability):
        raise HoldError("keep", Kind.BUG, "snapshot", "is not sealed")
    return verify_capability(capability)
