"""A keeper beside a dict: whatever is asked of it, in whatever order, and wherever it is started anew."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from commonhold.errors import HoldError, Kind
from commonhold.host import disk
from commonhold.storage.keeping import GRACE, MAX_LEASE
from commonhold.storage.moving import PAUSE
from commonhold.storage.underway import UPLOAD_SECONDS
from tests.examples import examples
from tests.storage.keeping import MOST, Clock, Place, bytes_of, hash_of, index_of

QUOTA = 25_000
ACCOUNTS = st.integers(0, 1)
NAMES = st.integers(0, 3)
SIZES = {name: 4000 + 3000 * name for name in range(4)}


class Kept(RuleBasedStateMachine):
    """By account and name: the leases of `shares`; of `uploads` the bytes that came, when it was begun, the lease."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory(prefix="hold-")
        self.place = Place(Path(self.directory.name), Clock(), (MOST, MOST - 1))
        self.shares: dict[tuple[int, int], int] = {}
        self.uploads: dict[tuple[int, int], dict[str, int]] = {}
        self.open: set[tuple[int, int]] = set()

    def used(self, account: int) -> int:
        return sum(SIZES[name] for owner, name in [*self.shares, *self.uploads] if owner == account)

    def _refused(self, kind: Kind, *call: Any) -> None:
        with pytest.raises(HoldError) as caught:
            call[0](*call[1:])
        assert caught.value.kind is kind

    def _key(self, account: int, name: int) -> tuple[Any, Any]:
        return self.place.account(account), index_of(name)

    @rule(account=ACCOUNTS, name=NAMES, lease=st.integers(-10, MAX_LEASE + 10))
    def begin(self, account: int, name: int, lease: int) -> None:
        now, key = self.place.clock.now, (account, name)
        until = min(now + lease, now + MAX_LEASE)
        call = (self.place.keeper.begin, self._key(account, name)[0], QUOTA, index_of(name), SIZES[name], now + lease)
        if key in self.shares:
            assert call[0](*call[1:]) == SIZES[name]
            self.shares[key] = max(self.shares[key], until)
        elif key in self.uploads or self.used(account) + SIZES[name] <= QUOTA:
            upload = self.uploads.setdefault(key, {"came": 0, "begun": now})
            if key not in self.open:  # nobody knows how much of the last block had come
                upload["came"] = max(0, upload["came"] - 1) // disk.PAGE * disk.PAGE
            assert call[0](*call[1:]) == upload["came"]
            upload["until"] = until
            self.open.add(key)
        else:
            self._refused(Kind.QUOTA, *call)

    @rule(account=ACCOUNTS, name=NAMES, size=st.integers(0, 7000), off=st.sampled_from([0, 0, 0, 0, 1, -1]))
    def append(self, account: int, name: int, size: int, off: int) -> None:
        key = account, name
        came = self.uploads.get(key, {"came": 0})["came"]
        at = max(0, came + off)
        call = (self.place.keeper.append, *self._key(account, name), at, bytes_of(name, SIZES[name] + 7000)[at:][:size])
        if key not in self.open:
            self._refused(Kind.NOT_FOUND, *call)
        elif at != came:
            self._refused(Kind.CHANGED, *call)
        elif at + size > SIZES[name]:
            self._refused(Kind.TOO_LARGE, *call)
        else:
            assert call[0](*call[1:]) == at + size
            self.uploads[key]["came"] += size

    @rule(account=ACCOUNTS, name=NAMES, right=st.sampled_from([True, True, True, False]))
    def finish(self, account: int, name: int, right: bool) -> None:
        key = account, name
        digest = hash_of(bytes_of(name, SIZES[name] + 7000)[: SIZES[name]] if right else b"")
        call = (self.place.keeper.finish, *self._key(account, name), digest)
        if key in self.shares and right:
            call[0](*call[1:])
        elif key not in self.open:
            self._refused(Kind.NOT_FOUND, *call)
        elif self.uploads[key]["came"] < SIZES[name]:
            self._refused(Kind.CHANGED, *call)
        else:
            self.open.discard(key)
            until = self.uploads.pop(key)["until"]
            if right:
                call[0](*call[1:])
                self.shares[key] = until
            else:
                self._refused(Kind.CORRUPT, *call)

    @rule(account=ACCOUNTS, names=st.lists(NAMES, max_size=3))
    def drop(self, account: int, names: list[int]) -> None:
        self.place.keeper.drop(self.place.account(account), [index_of(name) for name in names])
        for name in names:
            self.shares.pop((account, name), None)
            self.uploads.pop((account, name), None)
            self.open.discard((account, name))

    @rule(account=ACCOUNTS, name=NAMES, lease=st.integers(-10, MAX_LEASE + 10))
    def renew(self, account: int, name: int, lease: int) -> None:
        key, until = (account, name), self.place.clock.now + min(lease, MAX_LEASE)
        found = self.place.keeper.renew(self.place.account(account), [index_of(name)], self.place.clock.now + lease)
        assert found == [key in self.shares]
        if key in self.shares:
            self.shares[key] = max(self.shares[key], until)

    @rule(passed=st.sampled_from([0, 61, UPLOAD_SECONDS, GRACE, 100 * 86_400]))
    def expire(self, passed: int) -> None:
        self.place.clock.now += passed
        self.place.sweep()
        before = self.place.clock.now - GRACE
        self.shares = {key: until for key, until in self.shares.items() if until >= before}
        self.uploads = {key: one for key, one in self.uploads.items() if one["begun"] + UPLOAD_SECONDS >= before}
        self.open = set() if passed else self.open & self.uploads.keys()
        assert self.place.files() == self.place.rows().keys()

    @rule(number=st.integers(0, 1))
    def empty(self, number: int) -> None:
        """A shelf is emptied onto the other, taken off if its uploads let it, and comes back."""
        self.place.clock.now += PAUSE
        shelf, ledger = self.place.ledger.shelves()[number], self.place.ledger
        idle = [key for key in self.uploads if key not in self.open]
        moved = [key for key in idle if (row := ledger.own(*self._key(*key))) and row.shelf == shelf.id]
        self.place.keeper.empty_shelf(shelf)
        while self.place.keeper.mover.step():
            pass
        for key in moved:
            self.uploads[key]["came"] = max(0, self.uploads[key]["came"] - 1) // disk.PAGE * disk.PAGE
        self.place.keeper.add_shelf(shelf.path, shelf.most)

    @rule()
    def crash(self) -> None:
        self.place = self.place.crash()
        self.open.clear()

    @invariant()
    def the_books_are_right(self) -> None:
        self.place.check_books()
        for account in range(2):
            assert self.place.used(account) == self.used(account) <= QUOTA
            rows = self.place.ledger.listed(self.place.account(account), b"", 10)
            assert {row.index: row.until for row in rows} == {
                index_of(name): until for (owner, name), until in self.shares.items() if owner == account
            }

    @invariant()
    def what_is_whole_reads_back(self) -> None:
        for name, size in SIZES.items():
            copies = sum(one == name for _, one in self.shares)
            for copy in range(copies):
                assert self.place.read(index_of(name), copy) == bytes_of(name, size + 7000)[:size]
            assert self.place.keeper.sizes([index_of(name)]) == [size if copies else 0]
            self._refused(Kind.NOT_FOUND, self.place.keeper.open, index_of(name), copies)

    def teardown(self) -> None:
        self.place.close()
        self.directory.cleanup()


TestKept = Kept.TestCase
TestKept.settings = settings(
    max_examples=examples(25), stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestKept.pytestmark = [pytest.mark.slow]  # type: ignore[attr-defined]
