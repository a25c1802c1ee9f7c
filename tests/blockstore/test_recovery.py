"""Opening after anything: torn tails, lost indexes, files cut short, stores of another version."""

import json
import random
import shutil
from pathlib import Path

import pytest

from commonhold.api import PUBLIC
from commonhold.blockstore import layout
from commonhold.blockstore.owned import OwnedStore
from commonhold.blockstore.store import FORMAT, Store, create
from commonhold.blockstore.verify import verify
from commonhold.errors import HoldError, Kind
from tests.suites.blockstore import keep, key_of

FIXTURES = Path(__file__).parents[1] / "fixtures"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    create(tmp_path / "store")
    return tmp_path / "store"


def segment(place: Path) -> Path:
    return sorted((place / "segments").glob("*.seg"))[-1]


def test_a_lost_index_is_made_anew_with_blocks_pins_and_counts(place: Path) -> None:
    with Store(place) as store:
        keep(store, "a", b"one", b"two" * 30_000)
        keep(store, "b", b"two" * 30_000, b"three")
        store.rename_pin("b", "c")
    shutil.rmtree(place / "index")
    with Store(place) as store:
        assert [item.name for item in store.pins()] == ["a", "c"]
        assert store.get(key_of(b"three")) == b"three"
        row = store.index.row(key_of(b"two" * 30_000))
        assert row is not None and row.refs == 2
        assert store.notes


@pytest.mark.parametrize("lost", [False, True])
def test_a_process_killed_between_a_commit_and_the_drop_of_what_had_its_name_leaves_no_damage(
    place: Path, *, lost: bool
) -> None:
    with Store(place) as store:
        keep(store, "was", b"one")
        store.rename_pin("was", "name")
        later = store.pins()[0]._replace(made=1.0, blocks=0, bytes=0)
        store.catalog.append(*layout.pack_commit(1000, later))
    if lost:
        shutil.rmtree(place / "index")
    with Store(place) as store:
        assert [pin.made for pin in store.pins()] == [1.0]
        row = store.index.row(key_of(b"one"))
        assert row is not None and row.refs == 0
        assert verify(store).damage == []


def test_an_index_that_is_garbage_is_made_anew(place: Path) -> None:
    with Store(place) as store:
        keep(store, "a", b"one")
    (place / "index" / "data.mdb").write_bytes(b"garbage" * 10_000)
    with Store(place) as store:
        assert store.get(key_of(b"one")) == b"one"


def test_what_was_deleted_stays_deleted_when_the_index_is_lost(place: Path) -> None:
    with Store(place) as store:
        session = store.session()
        session.put(key_of(b"gone"), b"gone")
        session.close()
        store.delete(key_of(b"gone"))
        keep(store, "a", b"one")
    shutil.rmtree(place / "index")
    with Store(place) as store:
        assert not store.has(key_of(b"gone")) and store.has(key_of(b"one"))


@pytest.mark.parametrize("left", range(0, 13_000, 397))
def test_a_segment_cut_short_opens_without_half_a_block(place: Path, left: int) -> None:
    with Store(place) as store:
        keep(store, "a", b"x" * 5_000, b"y" * 100)
    path = segment(place)
    with path.open("r+b") as file:
        file.truncate(min(left, path.stat().st_size))
    shutil.rmtree(place / "index")
    with Store(place) as store:
        for key in list(store.keys()):
            store.get(key)
        keep(store, "b", b"new")
        assert store.get(key_of(b"new")) == b"new"


def test_rubbish_after_the_last_frame_is_cut_off(place: Path) -> None:
    with Store(place) as store:
        keep(store, "a", b"one")
    with segment(place).open("ab") as file:
        file.write(b"HrEc" + b"\0" * 9_000)
    with Store(place) as store:
        keep(store, "b", b"two")
        assert verify(store).damage == []


def test_a_segment_whose_making_was_cut_short_is_no_damage(place: Path) -> None:
    with Store(place) as store:
        keep(store, "a", b"one")
    (place / "segments" / "00000002.seg").write_bytes(b"")
    with Store(place) as store:
        keep(store, "b", b"two")
        assert verify(store).damage == []


def test_a_payload_that_looks_like_a_frame_is_not_taken_for_one(place: Path) -> None:
    with Store(place) as store:
        keep(store, "a", b"victim")
    forged = bytes(4096) + segment(place).read_bytes()[4096:] * 20  # a whole sound frame, inside a block
    other = place.parent / "other"
    create(other)
    with Store(other) as store:
        keep(store, "b", forged)
    damaged = bytearray(segment(other).read_bytes())
    damaged[4096:4100] = b"oops"  # the real frame's head is lost: what is searched for now is in the payload
    segment(other).write_bytes(damaged)
    shutil.rmtree(other / "index")
    with Store(other) as store:
        assert not store.has(key_of(b"victim"))


def test_a_newer_format_is_refused_by_name(place: Path) -> None:
    value = json.loads((place / "format.json").read_text())
    (place / "format.json").write_text(json.dumps(value | {"format": 9}))
    with pytest.raises(HoldError) as caught:
        Store(place)
    assert caught.value.kind is Kind.VERSION and "format 9" in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "x"}', '{"format": 1, "secret": "zz"}'])
def test_an_unreadable_format_is_corrupt(place: Path, text: str) -> None:
    (place / "format.json").write_text(text)
    with pytest.raises(HoldError) as caught:
        Store(place)
    assert caught.value.kind is Kind.CORRUPT


def test_a_store_of_format_1_keeps_its_data(tmp_path: Path) -> None:
    shutil.unpack_archive(FIXTURES / "store-format-1.tar.gz", tmp_path)
    place = tmp_path / "format-1"
    rng = random.Random(1)
    blocks = [rng.randbytes(size) for size in (1, 40, 900, 5000, 40000)]
    with Store(place) as store:
        assert [(pin.name, pin.blocks) for pin in store.pins()] == [("first", 5), ("renamed", 3)]
        assert [store.get(key_of(data)) for data in blocks] == blocks
        assert store.get(key_of(b"kept by nobody")) == b"kept by nobody" and not store.has(key_of(b"deleted"))
        keep(store, "first", b"new")
        assert verify(store).damage == []
    assert json.loads((place / "format.json").read_text())["format"] == FORMAT
    with Store(place) as store:
        assert [pin.name for pin in store.pins()] == ["first", "renamed"] and verify(store).damage == []


@pytest.mark.parametrize("lost", [False, True])
def test_a_store_of_format_2_keeps_its_data_and_whose_it_is(tmp_path: Path, *, lost: bool) -> None:
    shutil.unpack_archive(FIXTURES / "store-format-2.tar.gz", tmp_path)
    place = tmp_path / "format-2"
    if lost:
        shutil.rmtree(place / "index")
    rng = random.Random(2)
    blocks = [rng.randbytes(size) for size in (1, 40, 900, 5000, 40000)]
    with Store(place) as store:
        alice, bob, carol = (OwnedStore(store, uid, None) for uid in (1001, 1002, 1003))
        assert [(pin.name, pin.blocks, pin.readers) for pin in alice.pins()] == [
            ("hers", 5, ()),
            ("open", 1, (PUBLIC,)),
        ]
        assert [(pin.name, pin.blocks) for pin in bob.pins()] == [("renamed", 3)]
        assert [alice.get(key_of(data)) for data in blocks] == blocks
        assert [bob.has(key_of(data)) for data in blocks] == [False, False, True, True, True]
        assert carol.get(key_of(b"for all")) == b"for all" and not any(carol.has(key_of(data)) for data in blocks)
        assert not store.has(key_of(b"let go of"))
        assert alice.usage().bytes == sum(map(len, blocks)) + len(b"for all")
        keep(bob, "new", b"new")
        assert verify(store).damage == []
    with Store(place) as store:
        assert [pin.name for pin in OwnedStore(store, 1002, None).pins()] == ["new", "renamed"]
