"""Policies as their owner asks for them: made, changed, listed, done at once, ended. `upkeep` has what each does."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from commonhold.agent import places
from commonhold.agent.ongrid import OnGrid
from commonhold.agent.opened import Opened
from commonhold.agent.own import Own
from commonhold.agent.upkeep import Setting, Upkeep
from commonhold.calls import KeptPath, OsPath, Regular, Watcher
from commonhold.errors import HoldError, Kind
from commonhold.exchange.ending import Ended
from commonhold.grids import policies
from commonhold.grids.policies import Policy, PolicyBook
from commonhold.host import sidebyside
from commonhold.host.names import shown

_TURN = 60.0  # seconds that one waits for another
_MAX_NAME = 150  # bytes: a snapshot's has the time behind it


class Regularly:
    """The policies of one user, on all grids."""

    def __init__(self, opened: Opened, own: Callable[[], Own]) -> None:
        self._opened = opened
        self._own = own

    def keep(self, path: OsPath, how: Regular, watcher: Watcher) -> KeptPath:
        """Make a policy, or change one, and do what is due of it. EXISTS where its name is another's."""
        names = tuple(places.parse("keep", path, self._opened.uid))
        name = _checked(how, how.name or (os.fsdecode(names[-1]) if names else "me"))
        on = self._opened.grids.one(how.grid)
        with _book(on.directory) as book:
            old = book.find(name)
            _refuse_other(old, names, name)
            if old is None and any(kept.name == name for kept in on.sets()):
                raise _taken(name, "something is kept under that name")
            book.put(self._policy(old, name, names, how))
            new = book.find(name)
            assert new is not None
            if policies.is_due(new, _now()):
                error = self._round(on, book, new, watcher)
                if error is not None:
                    watcher.remark(f"note: it is tried again from time to time, as hold keep says of {shown(name)}")
                    raise error
            return self._told(on, book, name)

    def _policy(self, old: Policy | None, name: str, path: tuple[bytes, ...], how: Regular) -> Policy:
        now = _now()
        usual = policies.GENERATIONS if old is None else old.generations
        generations = usual if how.generations is None else how.generations
        due = now if old is None else now + how.every
        return Policy(name, path, str(self._opened.node), how.every, generations, now, due)

    def _round(self, on: OnGrid, book: PolicyBook, policy: Policy, watcher: Watcher) -> HoldError | None:
        with sidebyside.alone(on.directory / policies.TURNS, _TURN):
            return self._upkeep(on, book).attempt(policy, watcher)

    def _upkeep(self, on: OnGrid, book: PolicyBook) -> Upkeep:
        return Upkeep(self._own(), on, book, Setting(_now, _draw))

    def keep_due(self, watcher: Watcher) -> list[KeptPath]:
        """Make a round of every policy of this node that is due; how they are then, but for those that have ended."""
        found = []
        for on, book in self._books():
            due = [one for one in book.all() if policies.is_due(one, _now()) and one.node == str(self._opened.node)]
            for one in due:
                self._round(on, book, one, watcher)
            left = {one.name for one in book.all()}
            found += [self._told(on, book, one.name) for one in due if one.name in left]
        return found

    def all(self) -> list[KeptPath]:
        """All of them."""
        return [self._told(on, book, one.name) for on, book in self._books() for one in book.all()]

    def _books(self) -> Iterator[tuple[OnGrid, PolicyBook]]:
        for name in self._opened.grids.names():
            on = self._opened.grids.one(name)
            if (on.directory / policies.FILE).exists():
                with _book(on.directory) as book:
                    yield on, book

    def _told(self, on: OnGrid, book: PolicyBook, name: str) -> KeptPath:
        one = book.find(name)
        assert one is not None
        there = [made for made in book.generations(name) if made.root is not None]
        said = "it is to end, and does so soon" if one.ending else one.said
        return KeptPath(
            on.name, name, OsPath(places.text(one.path)), one.every, one.generations, len(there), one.done, one.next,
            said, there[-1].root if there else None,
        )  # fmt: skip

    def end(self, on: OnGrid, name: str) -> tuple[str, int, list[Ended]] | None:
        """End a policy and what it keeps: its name, until when leases of that lasted, and what servers said. None if
        there is none of that name. BUSY where something is being kept by it: it ends after that."""
        if not (on.directory / policies.FILE).exists():
            return None
        with _book(on.directory) as book:
            policy = book.find(name)
            if policy is None:
                return None
            book.end(name)
            mine = {one.name for one in book.generations(name)}
            until = max((kept.until for kept in on.sets() if kept.name in mine), default=_now())
            with sidebyside.alone(on.directory / policies.TURNS, _TURN):
                return name, until, self._upkeep(on, book).end(policy)

    def newest(self, on: OnGrid, name: str) -> str | None:
        """The set that a policy has kept last, if there is one of that name."""
        if not (on.directory / policies.FILE).exists():
            return None
        with _book(on.directory) as book:
            there = [one.name for one in book.generations(name) if one.root is not None]
        return there[-1] if there else None

    def refuse_name(self, on: OnGrid, name: str | None) -> None:
        """EXISTS for the name of a policy."""
        if name is not None and (on.directory / policies.FILE).exists():
            with _book(on.directory) as book:
                if book.find(name) is not None:
                    raise _taken(name, "a policy has that name")


@contextmanager
def _book(directory: Path) -> Iterator[PolicyBook]:
    with closing(PolicyBook(directory / policies.FILE)) as book:
        yield book


def _checked(how: Regular, name: str) -> str:
    """The name of a policy that can be. USAGE."""
    if not 0 < len(name.encode(errors="surrogatepass")) <= _MAX_NAME or not name.isprintable():
        why = f"a name has up to {_MAX_NAME} bytes, all of them printable"
        raise HoldError("keep", Kind.USAGE, shown(name)[:80], why, hint="--name NAME")
    if not policies.SHORTEST <= how.every <= policies.LONGEST:
        raise HoldError("keep", Kind.USAGE, "--every", "a period is an hour to a year", hint="--every 1d")
    if how.generations is not None and not 1 <= how.generations <= policies.MOST_GENERATIONS:
        raise HoldError("keep", Kind.USAGE, "--generations", f"1 to {policies.MOST_GENERATIONS} can be kept")
    return name


def _refuse_other(old: Policy | None, path: tuple[bytes, ...], name: str) -> None:
    if old is not None and old.path != path:
        raise _taken(name, f"{shown(places.text(old.path))} is kept under that name")
    if old is not None and old.ending:
        raise HoldError("keep", Kind.BUSY, shown(name), "it is about to end", hint=f"hold keep --end {name}")


def _taken(name: str, why: str) -> HoldError:
    return HoldError("keep", Kind.EXISTS, shown(name)[:80], why, hint="--name NAME")


def _draw() -> float:
    return int.from_bytes(os.urandom(4)) / 2**32


def _now() -> int:
    return int(time.time())
