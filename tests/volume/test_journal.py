"""The journal of a volume: a process that dies loses nothing of what it answered."""

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterator

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.formats import journal as records
from commonhold.host import disk
from commonhold.trees import NO_REPLACE, ROOT, Change
from commonhold.volume import journal, writing
from commonhold.volume.extents import Adoption
from commonhold.volume.journal import Journal
from commonhold.volume.volume import Volume
from tests.volume.volumes import DIRECTORY, Place, content, everything, log, make, names, write
from tests.waiting import SECONDS

CHUNK = 1 << 20


def end(volume: Volume) -> int:
    """Where the journal ends."""
    return volume._journal._at


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


def test_what_many_did_at_once_beside_commits_is_done_again_in_its_order(place: Place, volume: Volume) -> None:
    file = make(volume, b"file").number
    stop = threading.Event()

    def work(one: int) -> None:
        for n in range(150):
            with contextlib.suppress(FileNotFoundError, FileExistsError):
                volume.rename(ROOT, b"%d" % ((n + one) % 5), ROOT, b"%d" % ((n * one) % 5), 0)
            with contextlib.suppress(FileExistsError):
                make(volume, b"%d" % (n % 5))
            write(volume, file, (n * 70_001 * one) % (2 * CHUNK), bytes([n]) * (1 << (n % 18)))
            volume.copy(file, 0, file, 4 * CHUNK, n * 1000)

    def tend() -> None:
        while not stop.is_set():
            volume.sync(0)
            volume.settle()

    workers = [threading.Thread(target=work, args=(one,)) for one in (1, 2, 3)]
    tending = threading.Thread(target=tend)
    for thread in (tending, *workers):
        thread.start()
    for worker in workers:
        worker.join(SECONDS)
        assert not worker.is_alive()
    stop.set()
    tending.join(SECONDS)
    work(4)
    seen = everything(volume, volume.orphans())
    volume = place.crash(volume, keep_orphans=True)
    assert everything(volume, volume.orphans()) == seen and list(volume.verify()) == []


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
    other.join(SECONDS)
    assert names(volume) == [b"1", b"other"]


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
        lambda: volume.write(file, 3, memoryview(b"after"), True, False),
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


def test_a_disk_with_little_room_costs_commits_and_leaves_them_room(
    place: Place, volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal must not take the room that the commit needs which would end it."""
    free = 36 << 20

    def fstatvfs(fd: int) -> os.statvfs_result:
        left = max(0, free - log(place).stat().st_size)
        return os.statvfs_result((1, 1, left, left, left, 1, 1, 1, 0, 255))

    monkeypatch.setattr(os, "fstatvfs", fstatvfs)
    file = make(volume, b"f").number
    for n in range(20):
        write(volume, file, n * CHUNK, bytes([n]) * CHUNK)
        assert end(volume) < 5 * CHUNK
    free = 0
    volume.sync(0)
    with pytest.raises(OSError, match="No space"):
        for n in range(100):
            volume.set_xattr(file, b"user.x", bytes([n]) * 65_000, 0)
    free = 64 << 20
    volume = place.crash(volume)
    assert content(volume, file) == b"".join(bytes([n]) * CHUNK for n in range(20))


def test_a_journal_that_no_commit_ends_is_full_at_last(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "MOST", CHUNK)
    file = make(volume, b"f").number
    with pytest.raises(OSError, match="No space"):
        for _ in range(100):
            volume.set_xattr(file, b"user.x", bytes(60_000), 0)
    volume.sync(0)
    volume.set_xattr(file, b"user.x", bytes(60_000), 0)


def test_the_file_is_no_longer_than_need_be(place: Place, volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "LONG", 4 * CHUNK)
    file = make(volume, b"f").number
    for at in range(0, 7 * CHUNK, CHUNK):
        write(volume, file, at, bytes([1]) * CHUNK)
    assert log(place).stat().st_size > 7 * CHUNK
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
