"""The table of locks beside one that knows of every byte what each owner has on it."""

from itertools import groupby

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from commonhold.locking.locks import Locks
from commonhold.locking.values import MAX_OFFSET, NONE, READ, WRITE, Answer, Limits, Lock, Outcome, Owner, Request
from tests.examples import examples

BYTES = 6  # that are locked one by one; flock locks have all, and what is beyond
LIMITS = Limits(of_object=16, of_table=20, waiting=6)
OWNERS = [Owner(client, number) for client in "ab" for number in (1, 2, 3)]

Cell = tuple[int, int, int]  # mode, handle, pid
Place = tuple[int, bool]


def span(lock: Lock) -> range:
    return range(lock.start, min(lock.end, BYTES) + 1)


class Model:
    """What is held, byte by byte, and who waits, by brute force."""

    def __init__(self) -> None:
        self.cells: dict[tuple[Place, Owner, int], Cell] = {}
        self.waiting: dict[Request, Lock] = {}

    def put(self, lock: Lock) -> None:
        for byte in span(lock):
            key = ((lock.object, lock.flock), lock.owner, byte)
            self.cells.pop(key, None)
            if lock.mode != NONE:
                self.cells[key] = (lock.mode, lock.handle, lock.pid)

    def blockers(self, lock: Lock) -> set[Owner]:
        return {
            owner
            for (place, owner, byte), (mode, _, _) in self.cells.items()
            if place == (lock.object, lock.flock) and owner != lock.owner and byte in span(lock)
            if WRITE in (mode, lock.mode) and lock.mode != NONE
        }

    def lines_up(self, lock: Lock, before: list[Lock]) -> bool:
        place = (lock.object, lock.flock)
        here = any(owner == lock.owner and where == place for where, owner, _ in self.cells)
        anywhere = any(
            (owner.client, pid) == (lock.owner.client, lock.pid) for (_, owner, _), (_, _, pid) in self.cells.items()
        )
        if here or anywhere or lock.mode == NONE:
            return False
        return any(
            (other.object, other.flock) == place and other.owner != lock.owner
            and set(span(other)) & set(span(lock)) and WRITE in (other.mode, lock.mode)
            for other in before
        )  # fmt: skip

    def count(self, place: Place | None = None) -> int:
        """How many locks there are: runs of bytes of one owner that are alike."""
        return sum(
            1
            for where in {where for where, _, _ in self.cells if place in (None, where)}
            for owner in OWNERS
            for cell, _ in groupby(self.cells.get((where, owner, byte)) for byte in range(BYTES + 1))
            if cell is not None
        )

    def room(self, place: Place, more: int) -> bool:
        here = sum((lock.object, lock.flock) == place for lock in self.waiting.values())
        return (
            self.count() + more + 2 * len(self.waiting) <= LIMITS.of_table
            and self.count(place) + more + 2 * here <= LIMITS.of_object
        )

    def growth(self, lock: Lock) -> int:
        before, cells = self.count(), dict(self.cells)
        self.put(lock)
        after, self.cells = self.count(), cells
        return after - before

    def deadlock(self, lock: Lock) -> bool:
        waits = [other for other in self.waiting.values() if not other.flock]
        reached = self.blockers(lock)
        while True:
            further = reached.union(*(self.blockers(other) for other in waits if other.owner in reached))
            if further == reached:
                return lock.owner in reached
            reached = further

    def set(self, request: Request, lock: Lock, wait: bool) -> Outcome:
        if request in self.waiting:
            return Outcome.WAITING
        place = (lock.object, lock.flock)
        blocked = bool(self.blockers(lock))
        if not blocked and not (wait and self.lines_up(lock, list(self.waiting.values()))):
            more = self.growth(lock)
            if more > 0 and not self.room(place, more):
                return Outcome.FULL
            self.put(lock)
            return Outcome.GRANTED
        if wait and not lock.flock and self.deadlock(lock):
            return Outcome.DEADLOCK
        if wait and (len(self.waiting) == LIMITS.waiting or not self.room(place, 2)):
            return Outcome.FULL
        if lock.flock:
            self.put(lock._replace(mode=NONE))
        if wait:
            self.waiting[request] = lock
            return Outcome.WAITING
        return Outcome.REFUSED

    def end(self, place: Place, owner: Owner | None, client: str | None, handle: int | None) -> None:
        """Take away what is of all that is given."""
        for key, (_, its_handle, _) in list(self.cells.items()):
            where, whose, _byte = key
            mine = owner in (None, whose) and client in (None, whose.client) and handle in (None, its_handle)
            if where == place and mine:
                del self.cells[key]

    def grant(self, granted: list[Request]) -> None:
        """Each that was granted had nothing and nobody in the way; each that was not has."""
        for request in granted:
            before = []
            for other, lock in self.waiting.items():
                if other == request:
                    break
                before.append(lock)
            lock = self.waiting[request]
            assert not self.blockers(lock) and not self.lines_up(lock, before)
            del self.waiting[request]
            self.put(lock)
        before = []
        for lock in self.waiting.values():
            assert self.blockers(lock) or self.lines_up(lock, before)
            before.append(lock)


OBJECTS = st.sampled_from([1, 1, 1, 2])
OWNER = st.sampled_from(OWNERS)
HANDLES = st.integers(1, 2)
OTHER = st.sampled_from([0, 0, 0, 1])  # a process may have several owners
MODES = st.sampled_from([READ, READ, WRITE, WRITE, NONE])
WAIT = st.sampled_from([True, True, False])
SPANS = st.sampled_from([(0, 0), (1, 1), (2, 3), (3, 4), (0, 2), (0, BYTES - 1), (5, MAX_OFFSET), (0, MAX_OFFSET)])


def wanted(number: int, flock: bool, owner: Owner, handle: int, span: tuple[int, int], mode: int, other: int) -> Lock:
    return Lock(number, flock, owner, handle, span[0], span[1], mode, owner.number + other)


POSIX = st.builds(wanted, OBJECTS, st.just(False), OWNER, HANDLES, SPANS, MODES, OTHER)
FLOCK = st.builds(wanted, OBJECTS, st.just(True), OWNER, HANDLES, st.just((0, MAX_OFFSET)), MODES, OTHER)


class Beside(RuleBasedStateMachine):
    """Both tables, and the same calls of both."""

    def __init__(self) -> None:
        super().__init__()
        self.locks = Locks(LIMITS)
        self.model = Model()
        self.requests = 0

    def both(self, lock: Lock, wait: bool) -> None:
        self.requests += 1
        expected = self.model.set(self.requests, lock, wait)
        answer = self.locks.set(self.requests, lock, wait)
        assert answer.outcome is expected
        self.model.grant(answer.granted)

    @rule(locks=st.lists(st.tuples(POSIX, WAIT), min_size=1, max_size=8))
    def posix(self, locks: list[tuple[Lock, bool]]) -> None:
        for lock, wait in locks:
            self.both(lock, wait)

    @rule(locks=st.lists(st.tuples(FLOCK, WAIT), min_size=1, max_size=8))
    def flock(self, locks: list[tuple[Lock, bool]]) -> None:
        for lock, wait in locks:
            self.both(lock, wait)

    @rule(data=st.data())
    def ask_again(self, data: st.DataObject) -> None:
        if self.model.waiting:
            request = data.draw(st.sampled_from(list(self.model.waiting)))
            again = self.locks.set(request, self.model.waiting[request], True)
            assert again == Answer(Outcome.WAITING, [])

    @rule(number=OBJECTS, owner=OWNER, start=st.integers(0, BYTES - 1), size=st.integers(1, BYTES), flock=st.booleans())
    def look(self, number: int, owner: Owner, start: int, size: int, flock: bool) -> None:
        end = min(start + size, BYTES) - 1
        for mode in (0, 1, 2):
            whole = (0, MAX_OFFSET) if flock else (start, end)
            lock = Lock(number, flock, owner, 9, *whole, mode, 9)
            found = self.locks.test(lock)
            assert (found is not None) == bool(self.model.blockers(lock))
            if found is not None:
                cell = (found.mode, found.handle, found.pid)
                assert found.owner in self.model.blockers(lock)
                assert {self.model.cells[(number, flock), found.owner, byte] for byte in span(found)} == {cell}
                assert WRITE in (mode, found.mode) and found.start <= lock.end and lock.start <= found.end
                sooner = lock._replace(end=max(found.start, lock.start) - 1)
                assert sooner.end < sooner.start or not self.model.blockers(sooner)

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        request = data.draw(st.sampled_from([*self.model.waiting, self.requests + 1]))
        was = self.model.waiting.pop(request, None)
        granted = self.locks.cancel(request)
        assert (granted is None) == (was is None)
        self.model.grant(granted or [])

    @rule(number=OBJECTS, owner=OWNER)
    def closed(self, number: int, owner: Owner) -> None:
        self.model.end((number, False), owner, None, None)
        self.model.grant(self.locks.closed(number, owner))

    @rule(number=OBJECTS, handle=HANDLES, owner=OWNER, flock=st.booleans())
    def released(self, number: int, handle: int, owner: Owner, flock: bool) -> None:
        for kind in (False, True):
            self.model.end((number, kind), None, owner.client, handle)
        if flock:
            self.model.end((number, True), owner, None, None)
        self.model.grant(self.locks.released(number, owner.client, handle, owner if flock else None))

    @rule(number=OBJECTS)
    def gone(self, number: int) -> None:
        ended = [request for request, lock in self.model.waiting.items() if lock.object == number]
        for request in ended:
            del self.model.waiting[request]
        for kind in (False, True):
            self.model.end((number, kind), None, None, None)
        assert sorted(map(str, self.locks.gone(number))) == sorted(map(str, ended))
        self.model.grant([])

    @rule(client=st.sampled_from("ab"))
    def left(self, client: str) -> None:
        for request in [request for request, lock in self.model.waiting.items() if lock.owner.client == client]:
            del self.model.waiting[request]
        for number in (1, 2):
            for kind in (False, True):
                self.model.end((number, kind), None, client, None)
        self.model.grant(self.locks.left(client))

    @rule()
    def come_back(self) -> None:
        self.locks = Locks.load(self.locks.dump(), LIMITS)
        self.model.waiting.clear()

    @invariant()
    def the_same_is_held(self) -> None:
        cells = {}
        for number, flock, client, owner, handle, start, end, mode, pid in self.locks.dump():
            for byte in range(start, min(end, BYTES) + 1):
                key = ((number, bool(flock)), Owner(client, owner), byte)
                assert key not in cells
                cells[key] = (mode, handle, pid)
        assert cells == self.model.cells
        assert len(self.locks.dump()) == self.model.count() == self.locks._count

    @invariant()
    def nothing_is_left_of_what_has_ended(self) -> None:
        places = {place for place, _, _ in self.model.cells}
        places |= {(lock.object, lock.flock) for lock in self.model.waiting.values()}
        assert {place: locked.count for place, locked in self.locks._places.items()} == {
            place: self.model.count(place) for place in places
        }
        processes = {(owner.client, pid) for (_, owner, _), (_, _, pid) in self.model.cells.items()}
        assert set(self.locks._holding) == processes and set(self.locks._waiting) == set(self.model.waiting)


def test_every_byte_is_held_as_by_the_model() -> None:
    run_state_machine_as_test(
        Beside, settings=settings(max_examples=examples(150), stateful_step_count=30, deadline=None)
    )
