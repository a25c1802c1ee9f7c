"""What fails half-way, and what comes at the same time: nothing acknowledged is lost, nothing half done stays."""

import contextlib
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from commonhold.blockstore import reclaim
from commonhold.blockstore.session import StoreSession
from commonhold.blockstore.store import Store, create
from commonhold.blockstore.verify import verify
from commonhold.errors import HoldError, Kind
from commonhold.formats import cid as cids
from commonhold.formats.cid import Cid
from commonhold.host import disk
from tests.suites.blockstore import keep, key_of
from tests.waiting import SECONDS

X, Y = b"x" * 50_000, b"y" * 50_000
INDEX_FULL = HoldError("index", Kind.DISK_FULL, "", "No space left on device")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    create(tmp_path / "store")
    return tmp_path / "store"


def root_of(data: bytes) -> Cid:
    return cids.make_v1(cids.RAW, key_of(data))


def instead(owner: object, name: str, step: Callable[[], None]) -> None:
    """Have a method do something else before its own work, once; an exception is instead of it."""
    real = getattr(owner, name)

    def once(*args: object, **options: object) -> object:
        setattr(owner, name, real)
        step()
        return real(*args, **options)

    setattr(owner, name, once)


def failing(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def roots(store: Store) -> dict[str, Cid]:
    return {pin.name: pin.root for pin in store.pins()}


@contextlib.contextmanager
def reopened(place: Path) -> Iterator[Store]:
    """The store as it is opened next, then as it is made anew from its files; sound both times."""
    for lost in (False, True):
        if lost:
            shutil.rmtree(place / "index")
        with Store(place) as store:
            assert verify(store).damage == [] and store.index.audit() == []
    with Store(place) as store:
        yield store


# ── a change that fails half-way ──


def test_a_commit_whose_index_transaction_fails_leaves_the_name_as_it_was(place: Path) -> None:
    with Store(place) as store:
        keep(store, "documents", X)
        instead(store.index.sets, "complete", failing(INDEX_FULL))
        with pytest.raises(HoldError):
            keep(store, "documents", Y)
        assert roots(store) == {"documents": root_of(X)}
        keep(store, "and", b"on we go")
        reclaim.collect(store)
        assert store.has(key_of(X)) and not store.has(key_of(Y))
    with reopened(place) as store:
        assert roots(store) == {"documents": root_of(X), "and": root_of(b"on we go")}
        assert store.get(key_of(X)) == X


def test_after_a_failed_sync_nothing_is_written_until_the_store_is_opened_anew(place: Path) -> None:
    with Store(place) as store:
        keep(store, "documents", X)
        instead(os, "fdatasync", failing(OSError(5, "Input/output error")))
        with pytest.raises(HoldError):
            store.unpin("documents")
        changes: list[Callable[[], None]] = [lambda: keep(store, "more", Y), lambda: store.rename_pin("documents", "d")]
        for change in changes:
            with pytest.raises(HoldError, match="not certain"):
                change()
        assert store.get(key_of(X)) == X
    with reopened(place) as store:
        assert roots(store) == {"documents": root_of(X)}
        keep(store, "more", Y)


@pytest.mark.parametrize("where", ["append", "sync"])
def test_a_signal_during_a_commit_waits_until_it_is_done(place: Path, where: str) -> None:
    with Store(place) as store:
        keep(store, "documents", X)
        with contextlib.closing(store.session()) as session:
            session.put(key_of(Y), Y)
            session.flush()
            instead(store.catalog, where, lambda: signal.raise_signal(signal.SIGINT))
            with pytest.raises(KeyboardInterrupt):
                session.commit("documents", root_of(Y))
    with reopened(place) as store:
        assert roots(store) == {"documents": root_of(Y)} and store.get(key_of(Y)) == Y


def test_a_deletion_that_failed_is_not_held_against_a_block_put_again(place: Path) -> None:
    with Store(place) as store:
        keep(store, "p", X)
        store.unpin("p")
        instead(store.index, "remove", failing(INDEX_FULL))
        with pytest.raises(HoldError):
            reclaim.collect(store)
        keep(store, "again", X)
    with reopened(place) as store:
        assert store.get(key_of(X)) == X


# ── a write that fails ──


def test_a_full_disk_ends_the_sessions_under_way_and_not_those_that_come(place: Path) -> None:
    with Store(place) as store:
        keep(store, "before", X)
        end = store.segments.tail
        instead(store.index, "update_mark", failing(INDEX_FULL))
        with contextlib.closing(store.session()) as other, contextlib.closing(store.session()) as session:
            assert other.put(key_of(b"other"), b"other") and session.put(key_of(Y), Y)
            with pytest.raises(HoldError, match="No space"):
                session.commit("lost", root_of(Y))
            with pytest.raises(HoldError, match="No space"):
                other.commit("lost too", root_of(b"other"))
        assert store.segments.tail == end and not store.has(key_of(Y))
        keep(store, "after", Y)
    with reopened(place) as store:
        assert roots(store) == {"before": root_of(X), "after": root_of(Y)}


def test_a_segment_begun_in_vain_is_taken_back(place: Path) -> None:
    with Store(place) as store:
        instead(store.index, "update_mark", failing(INDEX_FULL))
        with pytest.raises(HoldError):
            keep(store, "lost", X)
        assert store.segments.numbers() == []
        keep(store, "kept", Y)
        assert store.segments.numbers() == [1]
    with reopened(place) as store:
        assert store.get(key_of(Y)) == Y and not store.has(key_of(X))


def test_whatever_a_write_fails_of_whoever_waits_is_told(place: Path) -> None:
    with Store(place) as store:
        instead(store.segments, "append", failing(MemoryError("no memory")))
        told: list[str] = []

        def add() -> None:
            try:
                keep(store, "p", X)
            except HoldError as error:
                told.append(str(error))

        thread = threading.Thread(target=add, daemon=True)
        thread.start()
        thread.join(SECONDS)
        assert told and "MemoryError" in told[0]


def test_a_session_whose_last_blocks_cannot_be_written_says_so_when_it_is_closed(place: Path) -> None:
    with Store(place) as store:
        session = store.session()
        session.put(key_of(X), X)
        instead(store.segments, "append", failing(OSError(5, "Input/output error")))
        with pytest.raises(HoldError, match="Input/output"):
            session.close()
        assert not store.sessions
        later = store.session()
        later.close()


# ── sessions at the same time ──


def test_a_block_in_anothers_unwritten_frame_is_not_taken_for_stored(place: Path) -> None:
    with Store(place) as store:
        with contextlib.closing(store.session()) as first, contextlib.closing(store.session()) as second:
            first.put(key_of(X), X)
            second.put(key_of(X), X)
            second.commit("mine", root_of(X))
            assert store.get(key_of(X)) == X
        reclaim.collect(store)
    with reopened(place) as store:
        assert store.get(key_of(X)) == X


def test_a_block_that_two_write_at_once_is_there_once_and_kept_twice(place: Path) -> None:
    with Store(place) as store:
        with contextlib.closing(store.session()) as first, contextlib.closing(store.session()) as second:
            for session in (first, second):
                session.put(key_of(X), X)
                session.put(key_of(b"%d" % id(session)), b"%d" % id(session))
            first.commit("one", root_of(X))
            second.commit("two", root_of(X))
        row = store.index.row(key_of(X))
        assert row is not None and row.refs == 2 and store.index.audit() == []
        assert store.usage().bytes == sum(row.length for _, row in store.index.rows())
        store.unpin("one")
        reclaim.collect(store)
        assert store.get(key_of(X)) == X
    with reopened(place) as store:
        assert store.get(key_of(X)) == X
        store.unpin("two")
        reclaim.collect(store)
        assert not store.has(key_of(X))
    with reopened(place) as store:
        assert not store.has(key_of(X))


def test_a_pin_renamed_while_its_name_is_taken_keeps_its_blocks(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store(place) as store:
        keep(store, "name", X)
        real = StoreSession._count_kept

        def count_kept(session: StoreSession) -> None:
            monkeypatch.undo()
            renaming = threading.Thread(target=lambda: store.rename_pin("name", "precious"))
            renaming.start()
            renaming.join()
            real(session)

        monkeypatch.setattr(StoreSession, "_count_kept", count_kept)
        keep(store, "name", Y)
        assert roots(store) == {"name": root_of(Y), "precious": root_of(X)}
    with reopened(place) as store:
        assert roots(store) == {"name": root_of(Y), "precious": root_of(X)}


def test_a_segment_retired_during_a_read_is_read_to_the_end(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = os.urandom(5000)
    with Store(place) as store:
        keep(store, "goes", data, *(os.urandom(1 << 20) for _ in range(20)))
        keep(store, "stays", data)
        store.segments._end = (512 << 20) - 4096  # so that the next frame begins a segment
        keep(store, "next", b"next")
        store.unpin("goes")
        store.get(key_of(data))
        real = disk.read_at

        def read_at(fd: int, size: int, at: int) -> bytes:
            monkeypatch.undo()
            collecting = threading.Thread(target=lambda: reclaim.collect(store))
            collecting.start()
            collecting.join()
            return real(fd, size, at)

        monkeypatch.setattr(disk, "read_at", read_at)
        assert store.get(key_of(data)) == data
        assert len(store.segments.numbers()) == 1


def test_a_block_deleted_while_it_is_moved_stays_deleted(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = os.urandom(5000)
    with Store(place) as store:
        keep(store, "goes", *(os.urandom(1 << 20) for _ in range(8)))
        with contextlib.closing(store.session()) as session:
            session.put(key_of(data), data)
        store.segments._end = (512 << 20) - 4096  # so that the next frame begins a segment
        keep(store, "next", b"next")
        store.unpin("goes")
        deleting = threading.Thread(target=lambda: store.delete(key_of(data)))
        seen: list[bool] = []

        def begin() -> None:
            deleting.start()
            deleting.join(0.3)
            seen.append(deleting.is_alive() and store.has(key_of(data)))

        monkeypatch.setattr(reclaim, "_bury", lambda store, keys: [])  # so that what is dead is moved, too
        instead(store.writer, "submit", begin)
        reclaim.collect(store)
        deleting.join(SECONDS)
        assert seen == [True] and not deleting.is_alive() and not store.has(key_of(data))
        assert store.moving == set()
    with reopened(place) as store:
        assert not store.has(key_of(data))


# ── a damaged catalogue ──


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


@pytest.fixture
def three(place: Path) -> tuple[Path, list[int]]:
    """A store with pins a, b and c, and where the catalogue ended after each."""
    ends = []
    with Store(place) as store:
        for name in ("a", "b", "c"):
            keep(store, name, name.encode() * 5000)
            ends.append(store.catalog.end)
    return place, ends


@pytest.mark.parametrize("which", [1, 2])
def test_a_damaged_catalogue_beside_a_sound_index_is_written_anew_by_gc(
    three: tuple[Path, list[int]], which: int
) -> None:
    place, ends = three
    flip(place / "catalog.log", ends[which] - 20)
    with Store(place) as store:
        assert any("catalogue" in damage.what for damage in verify(store).damage)
        reclaim.collect(store)
        assert verify(store).damage == []
    with reopened(place) as store:
        assert list(roots(store)) == ["a", "b", "c"]


@pytest.mark.parametrize("which", [1, 2])
def test_gc_deletes_nothing_on_the_word_of_a_damaged_catalogue(three: tuple[Path, list[int]], which: int) -> None:
    place, ends = three
    flip(place / "catalog.log", ends[which] - 20)
    size = (place / "catalog.log").stat().st_size
    shutil.rmtree(place / "index")
    with Store(place) as store:
        assert len(roots(store)) == 2 and any("pins may be missing" in note for note in store.notes)
        assert (place / "catalog.log").stat().st_size == size
        assert any("pins may be missing" in damage.what for damage in verify(store).damage)
        with pytest.raises(HoldError, match="pins may be missing") as caught:
            reclaim.collect(store)
        assert caught.value.kind is Kind.CORRUPT
        keep(store, "abc"[which], b"abc"[which : which + 1] * 5000)
        reclaim.collect(store, despite_doubt=True)
        assert verify(store).damage == []
    with reopened(place) as store:
        assert list(roots(store)) == ["a", "b", "c"] and store.usage().blocks == 3


def test_a_catalogue_that_is_gone_is_written_anew_from_the_index(three: tuple[Path, list[int]]) -> None:
    place, _ = three
    (place / "catalog.log").unlink()
    with Store(place) as store:
        assert verify(store).damage and list(roots(store)) == ["a", "b", "c"]
        keep(store, "d", b"d")
        reclaim.collect(store)
    with reopened(place) as store:
        assert list(roots(store)) == ["a", "b", "c", "d"]


def test_gc_deletes_nothing_when_catalogue_and_index_are_both_gone(three: tuple[Path, list[int]]) -> None:
    place, _ = three
    (place / "catalog.log").unlink()
    shutil.rmtree(place / "index")
    with Store(place) as store:
        with pytest.raises(HoldError, match="the catalogue was gone"):
            reclaim.collect(store)
        assert store.usage().blocks == 3


def test_a_last_record_of_which_a_part_was_written_is_no_damage(three: tuple[Path, list[int]]) -> None:
    place, ends = three
    with open(place / "catalog.log", "r+b") as file:
        file.truncate(ends[2] - 20)
    shutil.rmtree(place / "index")
    with reopened(place) as store:
        assert list(roots(store)) == ["a", "b"]
        reclaim.collect(store)


@pytest.mark.parametrize("blank", ["all", "first", "last"])
def test_a_last_record_of_which_a_page_never_reached_the_disk_is_no_damage(place: Path, blank: str) -> None:
    with Store(place) as store:
        keep(store, "a", X)
        size = store.catalog.end
        keep(store, "b", *(b"%d" % n for n in range(400)))
        end = store.catalog.end
    with open(place / "catalog.log", "r+b") as file:
        boundary = (size // 4096 + 1) * 4096
        assert size + 64 < boundary < boundary + 4096 < end
        # The record's tail is taken away with its commit, so that what is left of it is all that was written.
        file.truncate(boundary + 4096)
        start, stop = {"all": (size, boundary + 4096), "first": (size, boundary), "last": (boundary, boundary + 4096)}[
            blank
        ]
        file.seek(start)
        file.write(bytes(stop - start))
    shutil.rmtree(place / "index")
    with reopened(place) as store:
        assert list(roots(store)) == ["a"]
        reclaim.collect(store)


def test_verify_finds_a_pin_that_does_not_list_what_it_kept(place: Path) -> None:
    with Store(place) as store:
        keep(store, "p", X, Y)
        ((set_id, _, _),) = store.index.sets.all()
        ((row, _),) = store.index.sets.members(set_id)
        with store.index.write() as txn:
            store.index.sets.remove_members(txn, row)
        found = [damage for damage in verify(store).damage if damage.pins == ("p",)]
        assert found and "2 blocks were kept, 0 are listed" in found[0].what
