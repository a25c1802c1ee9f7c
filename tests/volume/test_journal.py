"""The journal of a volume: a process that dies loses nothing of what it answered, whatever else the file has in it."""

import errno
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from commonhold.errors import HoldError, Kind
from commonhold.formats import journal as records
from commonhold.host import disk
from commonhold.trees import NO_REPLACE, ROOT, Change
from commonhold.volume import journal, writing
from commonhold.volume.extents import Adoption
from commonhold.volume.journal import Did, Journal
from commonhold.volume.tables import Tables
from commonhold.volume.volume import Volume
from tests.volume.volumes import ALICE, DIRECTORY, FILE, Place, content, everything, make, names, write

CHUNK = 1 << 20
PATIENCE = 30


def log(place: Place) -> Path:
    return place.directory / "volume.log"


def end(volume: Volume) -> int:
    """Where the journal ends."""
    return volume._journal._at


def add(place: Place, *added: tuple[int, int, bytes, bytes]) -> None:
    """Put records with right sums behind what a dead process left: call, next number, body, payload."""
    with open(log(place), "rb+") as file:
        header = file.read(records.HEADER_SIZE)
        groups = list(records.groups(header, file.read))
        at, chain = (groups[-1].stop, groups[-1].chain) if groups else (len(header), header[:8])
        file.seek(at)
        for call, next_, body, payload in added:
            said = records.pack(chain, call, 5, next_, body, payload)
            file.write(said + payload)
            chain = said[:8]


def encoded(*given: Any) -> bytes:
    return msgspec.msgpack.encode(given)


# ── what is there after a death ──


def test_all_that_was_answered_is_there_after_a_death_with_numbers_and_times(place: Place, volume: Volume) -> None:
    file, above = make(volume, b"kept").number, make(volume, b"d", DIRECTORY).number
    volume.sync(0)
    write(volume, file, 10, b"x" * 300_000)
    volume.set_xattr(file, b"user.x", b"y", 0)
    volume.rename(ROOT, b"kept", above, b"moved", NO_REPLACE)
    volume.change(file, Change(mode=0o600, owner="bob@family", modified=17))
    late = make(volume, b"late", parent=above).number
    write(volume, late, 0, bytes([1]) * (3 * CHUNK))
    volume.unlink(above, b"moved")
    volume.link(late, ROOT, b"again")
    make(volume, b"link", 0o120777, target=b"to")
    volume.forget([file])
    seen = everything(volume, [])
    for _ in range(3):
        volume = place.crash(volume)
        assert everything(volume, []) == seen
        assert volume.dirty_since is not None
    assert list(volume.verify()) == []
    assert everything(place.power_cut(volume), []) == seen


def test_a_power_cut_leaves_the_last_commit(place: Place, volume: Volume) -> None:
    file = make(volume, b"f").number
    write(volume, file, 0, b"committed")
    volume.sync(0)
    write(volume, file, 0, b"journalled only")
    volume = place.power_cut(volume)
    assert volume.dirty_since is None and content(volume, file) == b"committed"


def test_what_is_done_after_a_death_follows_what_was_done_before_it(place: Place, volume: Volume) -> None:
    numbers = []
    for n in range(5):
        numbers.append(make(volume, b"%d" % n).number)
        write(volume, numbers[-1], 0, b"%d" % n * 1000)
        volume = place.crash(volume)
    assert len(set(numbers)) == 5
    assert [content(volume, number) for number in numbers] == [b"%d" % n * 1000 for n in range(5)]


def test_more_than_memory_may_hold_is_done_again_by_way_of_the_vault(
    place: Place, volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "MOST", 2 * CHUNK)
    file = make(volume, b"f").number
    for n in range(40):
        write(volume, file, n * 333_333, bytes([n]) * 333_333)
        make(volume, b"%d" % n)
    seen = everything(volume, [])
    most = 0

    def watch(name: str) -> None:
        nonlocal most
        most = max(most, place.opened[-1]._unstored.total)

    place.vault.step = watch
    volume = place.crash(volume)
    assert most <= 2 * CHUNK
    assert everything(volume, []) == seen and list(volume.verify()) == []


@pytest.mark.parametrize("kind", [Kind.QUOTA, Kind.UNREACHABLE])
def test_a_vault_that_takes_nothing_keeps_nothing_from_being_done_again(
    place: Place, volume: Volume, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    monkeypatch.setattr(writing, "MOST", 2 * CHUNK)
    file = make(volume, b"f").number
    for n in range(6):
        write(volume, file, n * CHUNK, bytes([n]) * CHUNK)

    def refuses(name: str) -> None:
        if name == "put":
            raise HoldError(name, kind, "session", "not now")

    place.vault.step = refuses
    volume = place.crash(volume)
    place.vault.step = lambda name: None
    assert content(volume, file) == b"".join(bytes([n]) * CHUNK for n in range(6))


def test_what_was_taken_in_is_there_after_a_death(place: Place, volume: Volume) -> None:
    chapter = place.vault.begin(1000)
    sealed = chapter.put(b"stored" * 1000)
    chapter.commit()
    file = make(volume, b"f").number
    volume.adopt([Adoption(file, 100, sealed)])
    place.vault.drop(1000)
    write(volume, file, 0, b"first")
    volume = place.crash(volume)
    assert content(volume, file) == b"first" + bytes(95) + b"stored" * 1000
    volume = place.crash(volume)
    assert list(volume.verify()) == [] and len(place.vault.kept_chapters) == 1


def test_a_file_that_only_a_mount_knows_is_there_for_it_after_a_death(place: Place, volume: Volume) -> None:
    synced, file, forgotten = (make(volume, b"").number for _ in range(3))
    volume.sync(0)
    write(volume, file, 0, b"still open")
    volume.forget([forgotten])
    volume = place.crash(volume, keep_orphans=True)
    assert sorted(volume.orphans()) == [synced, file] and content(volume, file) == b"still open"
    volume.link(file, ROOT, b"named")
    volume = place.crash(volume, keep_orphans=True)
    assert volume.lookup(ROOT, b"named").number == file and volume.orphans() == [synced]
    volume.close()
    assert place.open(keep_orphans=True).orphans() == []


def test_what_is_done_together_is_there_as_a_whole_or_not_at_all(place: Place, volume: Volume) -> None:
    make(volume, b"1")
    with volume.together():
        volume.rename(ROOT, b"1", ROOT, b"2", 0)
        dead = log(place).read_bytes()
        volume.rename(ROOT, b"2", ROOT, b"3", 0)
    make(volume, b"4")
    assert names(place.crash(volume)) == [b"3", b"4"]
    place.opened[-1].abandon()
    log(place).write_bytes(dead)
    volume = place.open()
    assert names(volume) == [b"1"]
    make(volume, b"5")
    assert names(place.crash(volume)) == [b"1", b"5"]


def test_others_wait_for_what_is_done_together(volume: Volume) -> None:
    other = threading.Thread(target=lambda: make(volume, b"other"))
    with volume.together():
        make(volume, b"1")
        other.start()
        other.join(0.1)
        assert names(volume) == [b"1"]
    other.join(PATIENCE)
    assert names(volume) == [b"1", b"other"]


# ── what else may be in the file ──


@pytest.fixture
def left(place: Place, volume: Volume) -> tuple[dict[int, tuple[Any, ...]], list[int]]:
    """A journal of a process that died: what the tree was like at its commit, and where each record ends."""
    make(volume, b"committed")
    volume.sync(0)
    ends = [end(volume)]
    for name in (b"1", b"2", b"3"):
        number = make(volume, name).number
        ends.append(end(volume))
        write(volume, number, 0, name * 200)
        ends.append(end(volume))
    seen = everything(volume, [])
    volume.abandon()
    return seen, ends


def reopened(place: Place) -> list[bytes]:
    """The names in a volume, which is whole."""
    volume = place.open()
    try:
        assert list(volume.verify()) == []
        return names(volume)
    finally:
        volume.abandon()


def test_a_torn_end_costs_no_more_than_what_it_was_of(place: Place, left: tuple[Any, list[int]]) -> None:
    whole, ends = log(place).read_bytes(), left[1]
    tables = {path.name: path.read_bytes() for path in place.directory.glob("*.sqlite*")}
    for at in [*range(ends[0], ends[1] + 3), *range(ends[-1] - 300, ends[-1] + 1, 7), ends[-1]]:
        for rest in (b"", bytes(5000), b"\xff" * 5000):
            for name, data in tables.items():
                (place.directory / name).write_bytes(data)
            log(place).write_bytes(whole[:at] + rest)
            volume = place.open()
            done = sum(at >= stop for stop in ends[1:])
            assert names(volume) == [b"committed", b"1", b"2", b"3"][: 1 + (done + 1) // 2], at
            assert [volume.lookup(ROOT, name).size for name in names(volume)[1:]] == [200] * (done // 2) + [0] * (
                done % 2
            )
            volume.abandon()


def test_a_byte_that_changed_ends_the_journal_there(place: Place, left: tuple[Any, list[int]]) -> None:
    whole, ends = log(place).read_bytes(), left[1]
    tables = {path.name: path.read_bytes() for path in place.directory.glob("*.sqlite*")}
    for at in range(0, ends[-1], 3):
        for name, data in tables.items():
            (place.directory / name).write_bytes(data)
        log(place).write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        done = sum(at >= stop for stop in ends[1:])
        volume = place.open()
        assert names(volume) == [b"committed", b"1", b"2", b"3"][: 1 + (done + 1) // 2], at
        volume.abandon()


def test_a_journal_is_not_of_another_commit_or_volume(
    place: Place, volume: Volume, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(volume, b"1")
    old = log(place).read_bytes()
    volume.sync(0)
    make(volume, b"2")
    volume.sync(0)
    volume.abandon()
    log(place).write_bytes(old)
    assert reopened(place) == [b"1", b"2"]
    (tmp_path / "other").mkdir()
    other = Place(tmp_path / "other")
    log(other).write_bytes(old)
    assert reopened(other) == []
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("what", [b"", b"garbage", b"\0" * 100_000, os.urandom(100_000), b"holdlog1" * 1000])
def test_garbage_is_no_journal(place: Place, left: tuple[Any, list[int]], what: bytes) -> None:
    log(place).write_bytes(what)
    assert reopened(place) == [b"committed"]
    log(place).unlink()
    assert reopened(place) == [b"committed"]


def test_old_records_behind_a_new_header_are_none(place: Place, volume: Volume) -> None:
    """The file is not cut at each commit: what is behind its end is of before."""
    for n in range(50):
        make(volume, b"%d" % n)
    volume.sync(0)
    for n in range(20):
        volume.unlink(ROOT, b"%d" % n)
    assert names(place.crash(volume)) == [b"%d" % n for n in range(20, 50)]


NONSENSE: dict[str, tuple[int, int, bytes, bytes]] = {
    "an unknown call": (99, 1 << 30, b"\x90", b""),
    "no msgpack": (Did.UNLINK, 1 << 30, b"\xc1", b""),
    "arguments of another call": (Did.UNLINK, 1 << 30, encoded("text"), b""),
    "a name that is not there": (Did.UNLINK, 1 << 30, encoded(ROOT, b"nothing"), b""),
    "what no name can be": (Did.MAKE, 1 << 30, encoded(ROOT, b"/", FILE, 0, b"", ALICE, True), b""),
    "a number given out before": (Did.MAKE, 1, encoded(ROOT, b"x", FILE, 0, b"", ALICE, True), b""),
    "a number that is none": (Did.MAKE, (1 << 64) - 1, encoded(ROOT, b"x", FILE, 0, b"", ALICE, True), b""),
    "a number beyond all": (Did.WRITE, 1 << 30, encoded((1 << 64) - 1, 0, False), b"data"),
    "an offset beyond all": (Did.WRITE, 1 << 30, encoded(ROOT + 1, (1 << 64) - 1, False), b"data"),
    "a chapter that is not there": (Did.TAKE_IN, 1 << 30, encoded(77, []), b""),
}


@pytest.mark.parametrize("what", NONSENSE)
def test_a_record_of_what_cannot_have_been_done_is_the_end(
    place: Place, left: tuple[Any, list[int]], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    add(place, NONSENSE[what], (Did.MAKE, 1 << 31, encoded(ROOT, b"after", FILE, 0, b"", ALICE, True), b""))
    volume = place.open()
    assert everything(volume, []) == left[0]
    assert "its journal ends before what cannot have been done" in capsys.readouterr().err
    make(volume, b"new")
    volume = place.crash(volume)
    assert names(volume) == [b"committed", b"1", b"2", b"3", b"new"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("error", [ZeroDivisionError(), sqlite3.IntegrityError("taken"), OverflowError()])
def test_a_record_that_ends_half_way_is_not_done_at_all(
    place: Place, left: tuple[Any, list[int]], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    original = Tables.enter

    def fails(tables: Tables, parent: int, name: bytes, number: int) -> None:
        if name == b"2":
            raise error
        original(tables, parent, name, number)

    monkeypatch.setattr(Tables, "enter", fails)
    volume = place.open()
    assert names(volume) == [b"committed", b"1"] and list(volume.verify()) == []
    monkeypatch.undo()
    make(volume, b"2")
    assert names(place.crash(volume)) == [b"committed", b"1", b"2"]


def test_tables_that_cannot_be_written_cost_nothing_of_the_journal(
    place: Place, left: tuple[Any, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(tables: Tables, parent: int, name: bytes, number: int) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(Tables, "enter", fails)
    with pytest.raises(HoldError):
        place.open()
    monkeypatch.undo()
    assert everything(place.open(), []) == left[0]


def test_what_is_no_file_is_not_opened(place: Place, tmp_path: Path) -> None:
    plants: list[Callable[[], None]] = [
        lambda: log(place).symlink_to(tmp_path / "elsewhere"),
        lambda: os.mkfifo(log(place)),
        lambda: log(place).mkdir(),
    ]
    for plant in plants:
        plant()
        with pytest.raises(HoldError):
            place.open()
        log(place).rmdir() if log(place).is_dir() else log(place).unlink()
    assert not (tmp_path / "elsewhere").exists()
    place.open()
    assert log(place).stat().st_mode & 0o777 == 0o600


# ── a full disk, and a long journal ──


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """What makes the disk full; every other write gets as far as half of what it has."""
    turns = iter(range(1 << 30))
    pwrite, write_all = os.pwrite, disk.write_all

    def half(fd: int, data: bytes, at: int) -> int:
        if next(turns) % 2:
            return pwrite(fd, data[: len(data) // 2], at)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def none(fd: int, parts: list[memoryview], at: int) -> int:
        write_all(fd, parts[:1], at)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fill() -> None:
        monkeypatch.setattr(os, "pwrite", half)
        monkeypatch.setattr(disk, "write_all", none)

    yield fill
    monkeypatch.undo()


def test_a_full_disk_refuses_a_call_before_it_changes_anything(
    place: Place, volume: Volume, full: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = make(volume, b"f").number
    write(volume, file, 0, b"before")
    volume.read(file, 0, 1)
    volume.link(file, ROOT, b"g")
    orphan = make(volume, b"").number
    seen = everything(volume, [])
    full()
    calls: list[Callable[[], object]] = [
        lambda: make(volume, b"new"),
        lambda: volume.unlink(ROOT, b"f"),
        lambda: volume.rename(ROOT, b"f", ROOT, b"h", 0),
        lambda: volume.write(file, 3, memoryview(b"after"), True),
        lambda: volume.change(file, Change(size=0)),
        lambda: volume.open(file, True, False),
        lambda: volume.copy(file, 0, file, 100, 3),
        lambda: volume.allocate(file, 0, 100, 0),
        lambda: volume.set_xattr(file, b"user.x", b"", 0),
    ]
    for call in calls * 2:
        with pytest.raises(OSError, match="No space"):
            call()
        assert everything(volume, []) == seen
    volume.forget([orphan])  # what makes room is not refused
    assert volume.orphans() == []
    monkeypatch.undo()
    assert everything(volume, []) == seen
    make(volume, b"goes on")
    seen = everything(volume, [])
    volume = place.crash(volume)
    assert everything(volume, []) == seen and list(volume.verify()) == []


def test_a_commit_on_a_full_disk_is_one_and_what_follows_is_told(
    place: Place, volume: Volume, full: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    make(volume, b"1")
    full()
    volume.sync(0)
    with pytest.raises(OSError, match="No space"):
        make(volume, b"2")
    assert names(place.crash(volume)) == [b"1"]
    monkeypatch.undo()
    make(place.opened[-1], b"3")
    assert names(place.crash(place.opened[-1])) == [b"1", b"3"]


def test_a_long_journal_presses_and_who_writes_ends_it(
    place: Place, volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "LONG", CHUNK)
    file = make(volume, b"f").number
    assert not volume.pressing
    longest = 0
    for n in range(20):
        write(volume, file, 0, bytes([n]) * (CHUNK // 2))
        longest = max(longest, end(volume))
        assert volume.pressing == (end(volume) > CHUNK)
    assert 2 * CHUNK < longest < 3 * CHUNK
    volume.sync(0)
    assert not volume.pressing and end(volume) == records.HEADER_SIZE
    assert content(place.crash(volume), file) == bytes([19]) * (CHUNK // 2)


def test_a_journal_that_no_commit_ends_is_full_at_last(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "MOST", CHUNK)
    file = make(volume, b"f").number
    with pytest.raises(OSError, match="No space"):
        for _ in range(100):
            volume.set_xattr(file, b"user.x", bytes(60_000), 0)
    volume.sync(0)
    volume.set_xattr(file, b"user.x", bytes(60_000), 0)


def test_the_file_is_no_longer_than_need_be(place: Place, volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "_KEPT", 4 * CHUNK)
    file = make(volume, b"f").number
    for at in range(0, 10 * CHUNK, CHUNK):
        write(volume, file, at, bytes([1]) * CHUNK)
    assert log(place).stat().st_size > 10 * CHUNK
    volume.sync(0)
    assert log(place).stat().st_size == 4 * CHUNK
    volume.settle()
    assert log(place).stat().st_size == CHUNK


def test_the_journal_of_what_was_closed_is_none(place: Place, volume: Volume) -> None:
    make(volume, b"f")
    volume.close()
    after = place.open()
    assert not after._journal.left_open and names(after) == [b"f"]
    after.abandon()
    assert Journal(log(place), bytes.fromhex(after.id), place.boot, after._tables.committed).left_open


def test_reading_is_noted_as_any_change_is(place: Place, volume: Volume) -> None:
    file = make(volume, b"f").number
    write(volume, file, 0, b"data")
    volume.sync(0)
    volume.read(file, 0, 4)
    attr = volume.attr(file)
    assert attr.accessed > attr.modified
    assert place.crash(volume).attr(file) == attr
