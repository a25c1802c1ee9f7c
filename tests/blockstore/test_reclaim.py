"""Collecting, compacting, verifying, mending."""

import os
from pathlib import Path

import pytest

from commonhold.blockstore import reclaim, segments
from commonhold.blockstore.holders import NOBODYS
from commonhold.blockstore.store import Store, create, discard_index
from commonhold.blockstore.verify import verify
from commonhold.errors import HoldError, Kind
from tests.suites.blockstore import keep, key_of


@pytest.fixture
def place(tmp_path: Path) -> Path:
    create(tmp_path / "store")
    return tmp_path / "store"


def test_gc_deletes_what_no_pin_keeps_and_nothing_else(place: Path) -> None:
    with Store(place) as store:
        keep(store, "a", b"1" * 5000, b"2")
        keep(store, "b", b"2", b"3")
        store.unpin("a")
        done = reclaim.collect(store)
        assert (done.blocks, done.bytes) == (1, 5000)
        assert not store.has(key_of(b"1" * 5000)) and store.get(key_of(b"2")) == b"2"


def test_large_dead_blocks_give_their_disk_space_back_at_once(place: Path) -> None:
    with Store(place) as store:
        keep(store, "a", *[os.urandom(1 << 20) for _ in range(8)])
        store.unpin("a")
        assert reclaim.collect(store).disk > (8 << 20) - (64 << 10)  # the holes cost the file system a few pages


def test_compaction_moves_what_lives_and_readers_go_on(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SEGMENT_SIZE", 2 << 20)
    small = [bytes([n]) * 3000 for n in range(200)]
    with Store(place) as store:
        for n, data in enumerate(small):
            keep(store, f"pin{n}", data)
        before = len(store.segments.numbers())
        for n in range(200):
            if n % 10:
                store.unpin(f"pin{n}")
        done = reclaim.collect(store)
        assert done.moved and done.segments and len(store.segments.numbers()) < before
        for n, data in enumerate(small):
            assert store.has(key_of(data)) == (n % 10 == 0)
        assert verify(store).damage == []
    with Store(place) as store:
        assert store.get(key_of(small[10])) == small[10]


def flip(place: Path, at: int) -> None:
    path = sorted((place / "segments").glob("*.seg"))[0]
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0x10]))


def test_verify_finds_every_flipped_bit_of_a_block_and_names_its_pins(place: Path) -> None:
    data = os.urandom(300)
    with Store(place) as store:
        keep(store, "mine", data)
        keep(store, "other", b"else")
        row = store.index.row(key_of(data))
        assert row is not None
    for at in range(0, 300, 7):
        flip(place, row.place.offset + at)
        with Store(place) as store:
            (damage,) = verify(store).damage
            assert damage.pins == ("mine",) and damage.key == key_of(data)
            with pytest.raises(HoldError) as caught:
                store.get(key_of(data))
            assert caught.value.kind is Kind.CORRUPT
        flip(place, row.place.offset + at)


def test_verify_finds_a_damaged_table_and_the_blocks_stay_readable(place: Path) -> None:
    with Store(place) as store:
        keep(store, "a", b"content")
    flip(place, 4096 + 70)
    with Store(place) as store:
        assert any("table" in damage.what for damage in verify(store).damage)
        assert store.get(key_of(b"content")) == b"content"


def test_verify_finds_a_damaged_catalogue(place: Path) -> None:
    with Store(place) as store:
        keep(store, "a", b"content")
        with open(place / "catalog.log", "r+b") as file:
            file.seek(100)
            file.write(b"\xff")
        assert any("catalogue" in damage.what for damage in verify(store).damage)


def test_putting_a_damaged_block_again_mends_it(place: Path) -> None:
    data = os.urandom(9000)
    with Store(place) as store:
        keep(store, "a", data)
        row = store.index.row(key_of(data))
        assert row is not None
    flip(place, row.place.offset + 5)
    with Store(place) as store:
        assert verify(store).damage
    with Store(place) as store:
        keep(store, "b", data)
        assert store.get(key_of(data)) == data and verify(store).damage == []
        store.unpin("a")
        reclaim.collect(store)
        assert store.get(key_of(data)) == data


def test_the_catalogue_is_checkpointed_and_says_the_same(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reclaim, "_CHECKPOINT_FROM", 4096)
    with Store(place) as store:
        for n in range(100):
            keep(store, "again", b"%d" % n)
        keep(store, "stays", b"stays")
        size = store.catalog.end
        reclaim.collect(store)
        assert store.catalog.end < size
    import shutil

    shutil.rmtree(place / "index")
    with Store(place) as store:
        assert [pin.name for pin in store.pins()] == ["again", "stays"]
        assert store.get(key_of(b"99")) == b"99" and not store.has(key_of(b"5"))


def test_verify_finds_a_wrong_count_and_a_rebuilt_index_has_it_right(place: Path) -> None:
    with Store(place) as store:
        keep(store, "one", b"a" * 100, b"b" * 100)
        keep(store, "two", b"b" * 100)
        with store.index.write() as txn:
            store.index.add_refs(txn, [key_of(b"a" * 100)], 1, NOBODYS)
        assert [damage.what for damage in verify(store).damage] == [
            "counts of references in the index do not agree with the pins"
        ]
    discard_index(place)
    with Store(place) as store:
        assert verify(store).damage == []
        assert sorted(row.refs for _, row in store.index.rows()) == [1, 2]


def test_the_last_segment_stays_so_that_its_number_never_comes_again(place: Path) -> None:
    with Store(place) as store:
        keep(store, "gone", b"a" * 100_000)
        store.unpin("gone")
    discard_index(place)
    with Store(place) as store:
        before = store.segments.numbers()
        reclaim.collect(store)
        assert store.usage().blocks == 0 and store.segments.numbers() == before
        keep(store, "new", b"b")
        assert store.segments.numbers()[-1] > before[-1]
        reclaim.collect(store)
        assert store.get(key_of(b"b")) == b"b" and before[-1] not in store.segments.numbers()
