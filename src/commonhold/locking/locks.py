"""The locks of one tree: who has which bytes, who waits for them, and who has them next. Pure.

Sources: fcntl(2), flock(2), IEEE 1003.1 on fcntl(), and Linux, fs/locks.c, where these leave something open.
docs/spec/locking.md; REQUIREMENTS C17, C18.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TypeAlias

from commonhold.formats.malformed import Malformed
from commonhold.locking.locked import Locked, Waiter, exclude
from commonhold.locking.values import NONE, Answer, Limits, Lock, Outcome, Owner, Request, Row, from_row, row

_Place: TypeAlias = tuple[int, bool]  # an object, and whether flock locks of it are meant
_Process: TypeAlias = tuple[str, int]

MAX_SEARCHED = 128  # waits that are followed for a deadlock; Linux follows ten
_MORE = 2  # locks more, at most, once a waiting request is granted: it splits one and is there itself


class Locks:
    """All locks of a tree. Each call that gives something up names the requests that are granted by that."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._places: dict[_Place, Locked] = {}
        self._count = 0
        self._holding: dict[_Process, int] = {}  # how many locks each has
        self._waiting: dict[Request, Lock] = {}

    def test(self, lock: Lock) -> Lock | None:
        """Return the first lock, by its bytes, that keeps this one from being taken: F_GETLK."""
        locked = self._places.get((lock.object, lock.flock))
        return None if locked is None else min(locked.conflicts(lock), key=lambda found: found.start, default=None)

    def set(self, request: Request, lock: Lock, wait: bool) -> Answer:
        """Take, change or give up a lock. A request that waits already goes on waiting."""
        if request in self._waiting:
            return Answer(Outcome.WAITING, [])
        place = (lock.object, lock.flock)
        locked = self._places.get(place) or Locked()
        blocked = next(locked.conflicts(lock), None) is not None
        if blocked or (wait and self._lines_up(locked, lock, locked.waiting)):
            outcome = self._line_up(request, locked, lock) if wait else Outcome.REFUSED
            if not lock.flock or outcome in (Outcome.DEADLOCK, Outcome.FULL):
                return Answer(outcome, [])
            self._put(locked, lock._replace(mode=NONE))
        elif self._fits(locked, lock):
            outcome = Outcome.GRANTED
            self._places[place] = locked
            self._put(locked, lock)
        else:
            return Answer(Outcome.FULL, [])
        return Answer(outcome, self._after(place, lock))

    def cancel(self, request: Request) -> list[Request] | None:
        """End a request that waits: who is granted by that; None if it waits no more: INTERRUPT."""
        lock = self._waiting.pop(request, None)
        if lock is None:
            return None
        place = (lock.object, lock.flock)
        locked = self._places[place]
        locked.waiting = [waiter for waiter in locked.waiting if waiter.request != request]
        return self._settle([place])

    def closed(self, number: int, owner: Owner) -> list[Request]:
        """An owner has closed an object, by whichever handle: its POSIX locks there end. FLUSH."""
        return self._end([(number, False)], lambda lock: lock.owner == owner)

    def released(self, number: int, client: str, handle: int, flock: Owner | None) -> list[Request]:
        """A handle is gone: what was taken by it ends, and the flock lock of this owner. RELEASE."""
        return self._end(
            [(number, False), (number, True)],
            lambda lock: (
                (lock.handle == handle and lock.owner.client == client) or (lock.flock and lock.owner == flock)
            ),
        )

    def left(self, client: str) -> list[Request]:
        """A client is gone, and all that it had or waited for."""
        for request in [request for request, lock in self._waiting.items() if lock.owner.client == client]:
            del self._waiting[request]
        for locked in self._places.values():
            locked.waiting = [waiter for waiter in locked.waiting if waiter.request in self._waiting]
        return self._end(list(self._places), lambda lock: lock.owner.client == client)

    def gone(self, number: int) -> list[Request]:
        """An object is no more: which requests waited for it, and have nothing to wait for any longer."""
        ended: list[Request] = []
        for place in ((number, False), (number, True)):
            if (locked := self._places.get(place)) is not None:
                ended += [waiter.request for waiter in locked.waiting]
                locked.waiting = []
                for request in ended:
                    self._waiting.pop(request, None)
                self._end([place], lambda lock: True)
        return ended

    def dump(self) -> list[Row]:
        """Return all that is held, as plain values. Who waits is not among it: they ask again."""
        return [row(lock) for locked in self._places.values() for held in locked.held.values() for lock in held]

    @classmethod
    def load(cls, rows: Iterable[Sequence[object]], limits: Limits | None = None) -> "Locks":
        """Return the table of a dump."""
        table = cls(limits)
        taken: list[Row] = []
        for values in rows:
            lock = from_row(values)
            if table.set(None, lock, wait=False).outcome is not Outcome.GRANTED:
                raise Malformed("locks", f"one of {lock.object} that is too many or cannot be beside those before it")
            taken.append(row(lock))
        if sorted(taken) != sorted(table.dump()):
            raise Malformed("locks", "what no table has: two on one byte by one owner, or two that are one")
        return table

    # ── who goes first ──

    def _lines_up(self, locked: Locked, lock: Lock, ahead: Iterable[Waiter]) -> bool:
        """Return whether a request waits for its turn behind those who were there before it.

        Not if its process has a lock already, on whatever object: somebody ahead may be waiting for just that one, and
        both would wait for ever.
        """
        if lock.mode == NONE or lock.owner in locked.held or _process(lock) in self._holding:
            return False
        return any(exclude(waiter.lock, lock) for waiter in ahead)

    def _line_up(self, request: Request, locked: Locked, lock: Lock) -> Outcome:
        """Have a request wait, unless that is for ever or too many do."""
        more = _MORE * (len(self._waiting) + 1)
        more_here = _MORE * (len(locked.waiting) + 1)
        if not lock.flock and self._deadlock(locked, lock):
            return Outcome.DEADLOCK
        if (
            len(self._waiting) >= self._limits.waiting
            or self._count + more > self._limits.of_table
            or locked.count + more_here > self._limits.of_object
        ):
            return Outcome.FULL
        self._waiting[request] = lock
        locked.waiting.append(Waiter(request, lock))
        return Outcome.WAITING

    def _deadlock(self, locked: Locked, lock: Lock) -> bool:
        """Return whether whoever is in the way of a lock waits, maybe over others, for its owner; the nearest first.

        Who lines up only for its turn has nothing that others could wait for, and is in no circle.
        """
        waits: dict[Owner, list[Lock]] = {}
        for waiting in self._waiting.values():
            if not waiting.flock:
                waits.setdefault(waiting.owner, []).append(waiting)
        todo = [(locked, lock)]
        for locked, wanted in todo:  # which grows meanwhile
            for blocker in locked.conflicts(wanted):
                if blocker.owner == lock.owner:
                    return True
                todo += [(self._places[other.object, False], other) for other in waits.pop(blocker.owner, ())]
            if len(todo) > MAX_SEARCHED:
                break
        return False

    def _after(self, place: _Place, lock: Lock) -> list[Request]:
        """Return who is granted after a request: there, or where its process lines up and need not any more."""
        if self._waiting:
            return self._settle([place, *self._places_of({_process(lock)})])
        if not self._places[place].held:
            del self._places[place]
        return []

    def _settle(self, places: Iterable[_Place]) -> list[Request]:
        """Grant what can be granted, first come first, and return what was."""
        granted: list[Request] = []
        todo = dict.fromkeys(places)
        while todo:
            place = next(iter(todo))
            del todo[place]
            locked = self._places.get(place)
            if locked is None:
                continue
            ahead: list[Waiter] = []
            processes: set[_Process] = set()
            for waiter in locked.waiting:
                lock = waiter.lock
                if next(locked.conflicts(lock), None) is not None or self._lines_up(locked, lock, ahead):
                    ahead.append(waiter)
                    continue
                del self._waiting[waiter.request]
                self._put(locked, lock)
                granted.append(waiter.request)
                processes.add(_process(lock))
            locked.waiting = ahead
            if processes:  # they have more than before, but may have made a lock a lesser one
                todo.update(dict.fromkeys([place, *self._places_of(processes)]))
            elif not locked.held and not ahead:
                del self._places[place]
        return granted

    def _places_of(self, processes: Collection[_Process]) -> list[_Place]:
        """Return where these wait."""
        return [(lock.object, lock.flock) for lock in self._waiting.values() if _process(lock) in processes]

    # ── what is held ──

    def _fits(self, locked: Locked, lock: Lock) -> bool:
        """Return whether there may be as many locks as there would be, and those of all who wait."""
        more = locked.growth(lock)
        return more <= 0 or (
            self._count + more + _MORE * len(self._waiting) <= self._limits.of_table
            and locked.count + more + _MORE * len(locked.waiting) <= self._limits.of_object
        )

    def _put(self, locked: Locked, lock: Lock) -> None:
        self._counted(*locked.put(lock))

    def _end(self, places: list[_Place], whether: Callable[[Lock], bool]) -> list[Request]:
        """End the locks of which this is true, and return who is granted by that."""
        for place in places:
            if (locked := self._places.get(place)) is not None:
                for owner in list(locked.held):
                    self._counted(locked.drop(owner, whether), [])
        return self._settle(places)

    def _counted(self, gone: list[Lock], came: list[Lock]) -> None:
        self._count += len(came) - len(gone)
        for lock in came:
            process = _process(lock)
            self._holding[process] = self._holding.get(process, 0) + 1
        for lock in gone:
            process = _process(lock)
            self._holding[process] -= 1
            if not self._holding[process]:
                del self._holding[process]


def _process(lock: Lock) -> _Process:
    return lock.owner.client, lock.pid
