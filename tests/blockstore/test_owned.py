"""Many owners of one store: the suite for each, and what each may see, keep and be charged for."""

import contextlib
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from commonhold.api import PUBLIC, BlockStore
from commonhold.blockstore import reclaim
from commonhold.blockstore.owned import OwnedStore
from commonhold.blockstore.store import Store, create, discard_index
from commonhold.blockstore.verify import verify
from commonhold.errors import HoldError, Kind
from commonhold.formats import cid as cids
from tests.examples import examples
from tests.suites.blockstore import *  # noqa: F403
from tests.suites.blockstore import keep, key_of
from tests.waiting import until

ALICE, BOB = 1001, 1002


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Store]:
    create(tmp_path / "store")
    with Store(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def store(shared: Store) -> BlockStore:
    return OwnedStore(shared, ALICE, None)


def raises(kind: Kind) -> "pytest.RaisesExc[HoldError]":
    return pytest.raises(HoldError, check=lambda error: error.kind is kind)


def share(store: OwnedStore, name: str, readers: tuple[int, ...], *blocks: bytes) -> None:
    session = store.session(readers)
    for data in blocks:
        session.put(key_of(data), data)
    session.commit(name, cids.make_v1(cids.RAW, key_of(b"".join(sorted(blocks)))))


def test_what_one_put_does_not_exist_for_another(shared: Store) -> None:
    alice, bob = OwnedStore(shared, ALICE, None), OwnedStore(shared, BOB, None)
    keep(alice, "mine", b"secret", b"other" * 1000)
    key = key_of(b"secret")
    assert alice.get(key) == b"secret" and not bob.has(key) and list(bob.keys()) == []
    for probe in (bob.get, bob.size, bob.delete, lambda key: bob.read_into(key, memoryview(bytearray(100)))):
        with raises(Kind.NOT_FOUND) as missing:
            probe(key_of(b"nobody's"))
        with raises(Kind.NOT_FOUND) as hidden:
            probe(key)
        assert str(hidden.value).replace(key.digest.hex(), "") == str(missing.value).replace(
            key_of(b"nobody's").digest.hex(), ""
        )
    session = bob.session()
    assert not session.keep(key)
    session.close()
    assert bob.pins() == [] and bob.pin("mine") is None
    with raises(Kind.NOT_FOUND):
        bob.unpin("mine")
    with raises(Kind.NOT_FOUND):
        list(bob.pin_keys("mine"))
    with raises(Kind.NOT_FOUND):
        bob.rename_pin("mine", "his")


def test_the_same_block_of_two_is_stored_once_and_charged_twice(shared: Store) -> None:
    alice, bob = OwnedStore(shared, ALICE, None), OwnedStore(shared, BOB, None)
    keep(alice, "x", b"same" * 100)
    keep(bob, "x", b"same" * 100)
    keep(bob, "y", b"same" * 100)
    assert shared.usage().blocks == 1
    assert (alice.usage().bytes, bob.usage().bytes) == (400, 400)
    alice.unpin("x")
    assert alice.usage().bytes == 400 and alice.has(key_of(b"same" * 100))  # until gc
    alice.collect()
    assert alice.usage().bytes == 0 and not alice.has(key_of(b"same" * 100))
    assert bob.get(key_of(b"same" * 100)) == b"same" * 100
    bob.unpin("x")
    bob.unpin("y")
    bob.collect()
    assert shared.usage().blocks == 0


def test_readers_and_the_public_see_a_set_that_lets_them_and_no_longer_than_it_does(shared: Store) -> None:
    alice, bob, carol = (OwnedStore(shared, uid, None) for uid in (ALICE, BOB, 1003))
    share(alice, "granted", (BOB,), b"for bob")
    share(alice, "public", (PUBLIC,), b"for all")
    assert bob.get(key_of(b"for bob")) and bob.get(key_of(b"for all"))
    assert not carol.has(key_of(b"for bob")) and carol.has(key_of(b"for all"))
    assert bob.usage().bytes == 0
    session = bob.session()
    assert session.keep(key_of(b"for bob"))
    session.commit("copy", cids.make_v1(cids.RAW, key_of(b"for bob")))
    alice.unpin("granted")
    alice.unpin("public")
    reclaim.collect(shared)
    assert bob.get(key_of(b"for bob")) == b"for bob" and bob.usage().bytes == 7
    assert not alice.has(key_of(b"for bob")) and not bob.has(key_of(b"for all"))


def test_storing_what_another_has_costs_the_disk_what_a_new_block_costs_and_then_gives_it_back(tmp_path: Path) -> None:
    same = [bytes([n]) * 100_000 for n in range(20)]
    create(tmp_path / "store")
    with Store(tmp_path / "store") as shared:
        alice, bob = OwnedStore(shared, ALICE, None), OwnedStore(shared, BOB, None)
        keep(alice, "mine", *same)
        end = shared.segments.tail
        with contextlib.closing(bob.session()) as session:
            assert all(session.put(key_of(data), data) for data in same)
            session.flush()
            assert shared.segments.tail.offset - end.offset > 20 * 100_000  # no faster than if it were new
            session.commit("his", cids.make_v1(cids.RAW, key_of(same[0])))
        until(lambda: shared.usage().disk < 3_000_000)
        assert shared.usage().blocks == 20 and shared.index.audit() == []
    discard_index(tmp_path / "store")
    with Store(tmp_path / "store") as shared:
        alice, bob = OwnedStore(shared, ALICE, None), OwnedStore(shared, BOB, None)
        assert all(bob.get(key_of(data)) == alice.get(key_of(data)) == data for data in same)
        assert verify(shared).damage == []
        assert (alice.usage().bytes, bob.usage().bytes) == (2_000_000, 2_000_000)


def test_letting_go_says_the_same_whoever_else_holds_a_block_or_is_adding_it(shared: Store) -> None:
    alice, bob = OwnedStore(shared, ALICE, None), OwnedStore(shared, BOB, None)
    both, adding, own = b"both" * 10, b"adding" * 10, b"own" * 10
    keep(alice, "mine", both)
    with contextlib.closing(alice.session()) as session:
        session.put(key_of(adding), adding)
        with contextlib.closing(bob.session()) as his:
            for data in (both, adding, own):
                his.put(key_of(data), data)
            his.flush()
            with raises(Kind.BUSY):
                bob.delete(key_of(own))
        assert [bob.delete(key_of(data)) for data in (both, adding, own)] == [40, 60, 30]
        with contextlib.closing(bob.session()) as his:
            for data in (both, adding, own):
                his.put(key_of(data), data)
        done = bob.collect()
        assert (done.blocks, done.bytes, done.disk) == (3, 130, 0)
        assert bob.usage().bytes == 0 and not any(bob.has(key_of(data)) for data in (both, adding, own))
        session.commit("added", cids.make_v1(cids.RAW, key_of(adding)))
    assert alice.get(key_of(both)) == both and alice.get(key_of(adding)) == adding
    assert set(shared.keys()) == {key_of(both), key_of(adding)} and shared.index.audit() == []


def test_quota_is_checked_before_storing_and_each_has_their_own(shared: Store) -> None:
    alice, bob = OwnedStore(shared, ALICE, 1000), OwnedStore(shared, BOB, 100_000)
    keep(alice, "a", b"a" * 600)
    with raises(Kind.QUOTA):
        keep(alice, "b", b"b" * 401)
    assert not shared.has(key_of(b"b" * 401))
    keep(bob, "b", b"b" * 401)
    with raises(Kind.QUOTA):  # also what is there already is charged in full
        keep(alice, "b", b"b" * 401)
    keep(alice, "again", b"a" * 600, b"c" * 400)
    alice.unpin("again")
    alice.collect()
    keep(alice, "d", b"d" * 400)
    assert alice.usage().bytes == 1000


def test_quota_is_exact_under_many_writers(shared: Store) -> None:
    store = OwnedStore(shared, ALICE, 50_000)
    stored: list[int] = []

    def writer(number: int) -> None:
        for n in range(20):
            try:
                keep(store, f"{number}-{n}", bytes([number, n]) * 500)
                stored.append(1000)
            except HoldError as error:
                assert error.kind is Kind.QUOTA
                return

    threads = [threading.Thread(target=writer, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(stored) == store.usage().bytes == 50_000


def test_owners_readers_and_charges_survive_a_lost_index(tmp_path: Path) -> None:
    create(tmp_path / "store")
    with Store(tmp_path / "store") as shared:
        share(OwnedStore(shared, ALICE, None), "p", (PUBLIC, 77), b"one", b"two")
        keep(OwnedStore(shared, BOB, None), "p", b"two", b"three")
        keep(shared, "nobody's", b"four")
    discard_index(tmp_path / "store")
    with Store(tmp_path / "store") as shared:
        alice, bob = OwnedStore(shared, ALICE, None), OwnedStore(shared, BOB, None)
        assert alice.pins()[0].readers == (PUBLIC, 77) and bob.pins()[0].readers == ()
        assert (alice.usage().bytes, bob.usage().bytes) == (6, 8)
        assert bob.has(key_of(b"one")) and not alice.has(key_of(b"three")) and not bob.has(key_of(b"four"))
        assert [pin.name for pin in shared.pins()] == ["nobody's"]
        assert verify(shared).damage == []


class Owners(RuleBasedStateMachine):
    """Two owners of one store beside a model: who sees what, who is charged for what."""

    home: ClassVar[Path]
    blocks: ClassVar[list[bytes]] = [bytes([n]) * (n + 1) * 50 for n in range(8)]
    who = st.sampled_from([ALICE, BOB])
    name = st.sampled_from(["x", "y"])
    some = st.lists(st.sampled_from(range(8)), min_size=1, max_size=4)

    @initialize()
    def begin(self) -> None:
        self.place = Path(tempfile.mkdtemp(dir=self.home))
        create(self.place)
        self.store = Store(self.place)
        self.pins: dict[tuple[int, str], tuple[set[int], bool]] = {}
        self.put: dict[int, set[int]] = {ALICE: set(), BOB: set()}

    def view(self, who: int) -> OwnedStore:
        return OwnedStore(self.store, who, None)

    @rule(who=who, name=name, some=some, public=st.booleans())
    def commit(self, who: int, name: str, some: list[int], public: bool) -> None:
        share(self.view(who), name, (PUBLIC,) if public else (), *[self.blocks[n] for n in some])
        self.pins[who, name] = (set(some), public)
        self.put[who] |= set(some)

    @rule(who=who, name=name)
    def unpin(self, who: int, name: str) -> None:
        if (who, name) in self.pins:
            self.view(who).unpin(name)
            del self.pins[who, name]

    @rule(who=who)
    def collect(self, who: int) -> None:
        self.view(who).collect()
        self.put[who] = self.kept(who)

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = Store(self.place)

    def kept(self, who: int) -> set[int]:
        return {n for (owner, _), (some, _) in self.pins.items() if owner == who for n in some}

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "store"):
            return
        public = {n for some, open_ in self.pins.values() if open_ for n in some}
        for who in (ALICE, BOB):
            view = self.view(who)
            seen = {n for n, data in enumerate(self.blocks) if view.has(key_of(data))}
            assert seen == self.put[who] | public
            assert view.usage().bytes == sum(len(self.blocks[n]) for n in self.put[who])
            assert {pin.name for pin in view.pins()} == {name for owner, name in self.pins if owner == who}
        assert self.store.index.audit() == []

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()


def test_owners_agree_with_a_model(tmp_path: Path) -> None:
    Owners.home = tmp_path
    run_state_machine_as_test(
        Owners,
        settings=settings(
            max_examples=examples(100), stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
