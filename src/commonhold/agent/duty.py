"""What policies say, done by an agent when it is due, one round at a time: see `upkeep`."""

import contextlib
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from commonhold.errors import HoldError, Kind
from commonhold.host import sidebyside

if TYPE_CHECKING:
    from commonhold.agent.ongrid import OnGrid
    from commonhold.agent.own import Own
    from commonhold.agent.upkeep import Setting
    from commonhold.formats.cid import Cid
    from commonhold.grids.policies import Policy, PolicyBook

REST: Final = 3600.0  # seconds, at most, until somebody looks at the books again
_OTHERS: Final = 300.0  # where another process is at work on a grid's policies


@dataclass(frozen=True, slots=True)
class _Turn:
    """A policy, and its grid."""

    directory: Path
    policy: "Policy"


class Duty:
    """See the module. `own`: the user's own tree over the node that listens at a path."""

    def __init__(self, state: Path, uid: int, own: "Callable[[Path], Own]", setting: "Setting | None" = None) -> None:
        self.busy = False
        self._state = state
        self._uid = uid
        self._own = own
        self._setting = setting
        self._mutex = threading.Lock()
        self._stop = threading.Event()
        self._on: OnGrid | None = None

    def once(self) -> float:
        """Make a round of the policy that waits longest, if one is due; for how many seconds there is nothing to do
        then. CancelledError after `cancel`."""
        from commonhold.agent.upkeep import Setting
        from commonhold.grids import policies

        setting = self._setting or Setting(lambda: int(time.time()), random.SystemRandom().random)
        turns = self._turns()
        due = [one for one in turns if policies.is_due(one.policy, setting.now())]
        if not due:
            return min([REST, *(max(1.0, float(one.policy.next - setting.now())) for one in turns)])
        turn = min(due, key=lambda one: (one.policy.next, one.directory, one.policy.name))
        self.busy = True
        try:
            return self._made(turn, setting)
        finally:
            self.busy = False

    def _turns(self) -> list[_Turn]:
        """All policies. None of a book that cannot be read, as one of a newer version; `hold doctor` says so."""
        from commonhold.grids import places, policies

        found: list[_Turn] = []
        with contextlib.suppress(HoldError):
            for directory in places.joined(self._state, self._uid, Path):
                if (directory / policies.FILE).exists():
                    with contextlib.suppress(HoldError), self._book(directory) as book:
                        found += [_Turn(directory, one) for one in book.all()]
        return found

    def _book(self, directory: Path) -> "contextlib.closing[PolicyBook]":
        from commonhold.grids import policies

        return contextlib.closing(policies.PolicyBook(directory / policies.FILE))

    def _made(self, turn: _Turn, setting: "Setting") -> float:
        from commonhold.grids import policies

        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(sidebyside.alone(turn.directory / policies.TURNS, 0))
            except HoldError as error:
                if error.kind is not Kind.BUSY:
                    raise
                return _OTHERS
            book = stack.enter_context(self._book(turn.directory))
            try:
                self._round(turn, book, setting)
            except HoldError as error:  # nobody could begin: a node that is not there, files that are wrong
                book.failed(turn.policy, str(error), policies.after_failure(turn.policy, setting.now(), setting.draw))
        return 1.0

    def _round(self, turn: _Turn, book: "PolicyBook", setting: "Setting") -> None:
        from commonhold.agent.ongrid import OnGrid
        from commonhold.agent.upkeep import Upkeep

        own = self._own(Path(turn.policy.node))
        with contextlib.closing(OnGrid(OnGrid.load(turn.directory), self._uid, own.store)) as on:
            with self._mutex:
                self._on = on
            try:
                Upkeep(own, on, book, setting).attempt(turn.policy, _Quiet(self._stop))
            finally:
                with self._mutex:
                    self._on = None

    def cancel(self) -> None:
        """From another thread: end what is at work, and what comes."""
        self._stop.set()
        with self._mutex:
            if self._on is not None:
                self._on.cancel()


class _Quiet:
    """A watcher whom nobody hears, and who says when it is enough."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def bytes(self, count: int) -> None:
        """See `calls.Watcher`."""
        if self._stop.is_set():
            raise CancelledError

    def part(self, name: str, count: int) -> None:
        """See `calls.Watcher`."""

    def file(self, path: str, cid: "Cid", size: int) -> None:
        """See `calls.Watcher`."""

    def skipped(self, path: str, why: str) -> None:
        """See `calls.Watcher`."""

    def remark(self, text: str) -> None:
        """See `calls.Watcher`."""
