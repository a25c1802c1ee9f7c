"""A shelf emptied onto the others: what is there stays there for whoever reads, uploads or lets go meanwhile."""

import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.host import disk
from commonhold.storage.keeping import IDLE_SECONDS
from commonhold.storage.ledger import Gone, Row, Shelf
from commonhold.storage.moving import PATIENCE, PAUSE
from tests.storage.keeping import MOST, QUOTA, Place, bytes_of, hash_of, index_of, place

SIZE = 3_000_000  # of several pieces


def shelf_of(kept: Place, number: int) -> Shelf:
    (found,) = [one for one in kept.ledger.shelves() if one.path == kept.directory / f"shelf-{number}"]
    return found


def paths(kept: Place) -> list[str]:
    return [one.path.name for one in kept.ledger.shelves()]


def move(kept: Place, *, sound: bool = True) -> None:
    """Until nothing more can be done at once. The books are right at every step, where the files are."""
    while kept.keeper.mover.step():
        if sound:
            kept.check_books()


@pytest.fixture
def two(tmp_path: Path) -> Any:
    """A place of two shelves, with shares on the first alone."""
    with place(tmp_path, MOST) as kept:
        for name in range(5):
            kept.store(kept.account(name % 2), index_of(name), bytes_of(name, SIZE + name))
        kept.keeper.add_shelf(tmp_path / "shelf-1", MOST)
        yield kept


def refused(kind: Kind, *call: Any) -> str:
    with pytest.raises(HoldError) as caught:
        call[0](*call[1:])
    assert caught.value.kind is kind
    return str(caught.value)


def test_what_was_on_a_shelf_is_on_the_others_and_it_is_taken_off(two: Place) -> None:
    before = {number: two.used(number) for number in range(2)}
    two.keeper.empty_shelf(shelf_of(two, 0))
    move(two)
    assert paths(two) == ["shelf-1"] and not list((two.directory / "shelf-0").iterdir())
    assert two.files() == two.rows().keys() and all(two.rows().values()) and len(two.rows()) == 5
    for name in range(5):
        assert two.read(index_of(name)) == bytes_of(name, SIZE + name) and two.keeper.check(index_of(name))
    assert {number: two.used(number) for number in range(2)} == before


def test_nothing_new_goes_to_a_shelf_that_is_being_emptied(two: Place) -> None:
    two.keeper.empty_shelf(shelf_of(two, 1))
    two.keeper.keep_shelf(shelf_of(two, 1))
    two.keeper.empty_shelf(shelf_of(two, 0))
    used = shelf_of(two, 0).used
    two.store(two.account(), index_of("new"), b"x" * 1000)
    assert shelf_of(two, 0).used == used and shelf_of(two, 1).used == 1000
    row = Row(two.account(), index_of("by force"), shelf_of(two, 0).id, bytes(16), 10, None, 0)
    refused(Kind.DISK_FULL, two.ledger.promise, row, QUOTA)


def test_it_can_be_taken_back_at_any_time(two: Place) -> None:
    two.keeper.empty_shelf(shelf_of(two, 0))
    for _ in range(2):
        assert two.keeper.mover.step()
    again: list[Callable[[], object]] = [
        lambda: two.keeper.keep_shelf(shelf_of(two, 0)),
        lambda: two.keeper.add_shelf(two.directory / "shelf-0", 1 << 30),
    ]
    for back in again:
        back()
        assert shelf_of(two, 0).leaving is None and not two.keeper.mover.step()
        two.keeper.empty_shelf(shelf_of(two, 0))
    assert shelf_of(two, 0).most == 1 << 30
    move(two)
    assert paths(two) == ["shelf-1"]
    two.keeper.add_shelf(two.directory / "shelf-0", MOST)  # and comes back as a new one
    two.keeper.empty_shelf(shelf_of(two, 1))
    move(two)
    assert paths(two) == ["shelf-0"] and two.read(index_of(1)) == bytes_of(1, SIZE + 1)


def test_one_that_is_given_back_while_its_rooms_go_has_all_of_them(two: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    two.keeper.empty_shelf(shelf_of(two, 0))
    remove = Path.rmdir
    adding = threading.Thread(target=lambda: two.keeper.add_shelf(two.directory / "shelf-0", MOST))

    def while_it_is_added(room: Path) -> None:
        if room.name == "80":
            adding.start()
            adding.join(0.5)
        remove(room)

    monkeypatch.setattr(Path, "rmdir", while_it_is_added)
    move(two, sound=False)
    adding.join()
    assert paths(two) == ["shelf-1", "shelf-0"]
    assert len(list((two.directory / "shelf-0").iterdir())) == 256


def test_it_is_refused_with_the_numbers_where_the_others_have_no_room(two: Place) -> None:
    used = shelf_of(two, 0).used
    two.keeper.add_shelf(two.directory / "shelf-1", used - 1)
    said = refused(Kind.DISK_FULL, two.keeper.empty_shelf, shelf_of(two, 0))
    assert f"{used} bytes are to be moved, and the others have room for {used - 1}" in said
    two.keeper.add_shelf(two.directory / "shelf-2", 1)
    two.keeper.empty_shelf(shelf_of(two, 0))
    said = refused(Kind.DISK_FULL, two.keeper.empty_shelf, shelf_of(two, 2))
    assert f"{used} bytes are to be moved" in said
    two.keeper.add_shelf(two.directory / "shelf-1", used)
    two.keeper.empty_shelf(shelf_of(two, 2))
    assert "no other" in refused(Kind.DISK_FULL, two.keeper.empty_shelf, shelf_of(two, 1))


def test_disks_that_several_shelves_share_are_counted_once(two: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    two.keeper.add_shelf(two.directory / "shelf-2", MOST)
    shelves, used = two.ledger.shelves(), shelf_of(two, 0).used
    monkeypatch.setattr(two.shelves, "_free", lambda shelf: 1000)
    assert two.shelves.room_without(shelves[0], shelves, {}) == 1000 + used  # its own disk, too
    assert two.shelves.room_without(shelves[0], shelves, {shelves[1].id: 400}) == 600 + used
    monkeypatch.setattr(two.shelves, "_device", lambda shelf: min(shelf, 2))
    assert two.shelves.room_without(shelves[0], shelves, {}) == 1000
    monkeypatch.setattr(two.shelves, "_device", lambda shelf: shelf)
    assert two.shelves.room_without(shelves[0], shelves, {}) == 2000
    monkeypatch.setattr(two.shelves, "_device", lambda shelf: None)
    assert two.shelves.room_without(shelves[0], shelves, {}) == 0


def test_where_the_room_went_meanwhile_it_waits_and_says_why(two: Place) -> None:
    two.keeper.empty_shelf(shelf_of(two, 0))
    two.ledger.put_shelf(two.directory / "shelf-1", SIZE + 10)  # room for one of five
    move(two)
    waiting = two.keeper.mover.waiting(shelf_of(two, 0).id)
    assert waiting is not None and waiting.count == 4 and "room" in waiting.why
    assert not two.keeper.mover.step()  # no round without end
    two.sweep()
    assert two.files() == two.rows().keys()
    two.ledger.put_shelf(two.directory / "shelf-1", MOST)
    two.clock.now += PAUSE
    move(two)
    assert paths(two) == ["shelf-1"] and len(two.files()) == 5


# ── beside others ──


def in_the_middle(two: Place, monkeypatch: pytest.MonkeyPatch, work: Callable[[Row], None]) -> None:
    """Do something when a share was copied, and its row was not moved yet."""
    ledger, move_row = two.ledger, two.ledger.move

    def moved(row: Row, to: Gone) -> bool:
        monkeypatch.setattr(ledger, "move", move_row)
        work(row)
        return ledger.move(row, to)

    monkeypatch.setattr(ledger, "move", moved)


def test_a_share_that_is_let_go_while_it_is_copied_stays_gone(two: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    two.keeper.empty_shelf(shelf_of(two, 0))
    in_the_middle(two, monkeypatch, lambda row: two.keeper.drop(row.account, [row.index]))
    move(two)
    two.sweep()
    assert len(two.rows()) == 4 and two.files() == two.rows().keys() and paths(two) == ["shelf-1"]


def test_one_that_took_its_place_is_not_mixed_up_with_it(two: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    two.keeper.empty_shelf(shelf_of(two, 0))
    replaced: list[Row] = []

    def replace(row: Row) -> None:
        replaced.append(row)
        two.keeper.drop(row.account, [row.index])
        two.store(row.account, row.index, b"another")
        two.sweep()

    in_the_middle(two, monkeypatch, replace)
    move(two)
    two.sweep()
    (row,) = replaced
    assert two.read(row.index) == b"another" and two.keeper.check(row.index)
    assert two.files() == two.rows().keys()


def test_a_sweep_leaves_a_copy_alone_that_is_being_made(two: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    two.keeper.empty_shelf(shelf_of(two, 0))
    in_the_middle(two, monkeypatch, lambda row: two.sweep())
    move(two)
    assert two.read(index_of(0)) == bytes_of(0, SIZE) and len(two.files()) == 5


def test_a_reader_and_a_check_find_a_share_that_moves_away(two: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the row that they read and the file that they open it is moved."""
    file, _ = two.keeper.open(index_of(0))
    for look in (lambda: two.read(index_of(1)), lambda: two.keeper.check(index_of(2))):
        opened = two.shelves.open
        done: list[int] = []

        def late(shelf: int, name: bytes, opened: Any = opened, done: list[int] = done) -> int:
            if not done:
                done.append(1)
                monkeypatch.setattr(two.shelves, "open", opened)
                two.keeper.empty_shelf(two.ledger.shelves()[0])
                move(two)
            return int(opened(shelf, name))

        monkeypatch.setattr(two.shelves, "open", late)
        assert look() in (bytes_of(1, SIZE + 1), True) and done
        two.keeper.add_shelf(two.directory / "shelf-0", MOST)
        two.keeper.add_shelf(two.directory / "shelf-1", MOST)
    with file:
        assert file.read() == bytes_of(0, SIZE)  # who has it open reads on


def test_an_upload_goes_on_where_it_was_moved_to(two: Place) -> None:
    account, data = two.account(7), bytes_of("upload", 50_000)
    two.ledger.put_shelf(two.directory / "shelf-1", 0)
    at = two.keeper.begin(account, QUOTA, index_of("upload"), 50_000, two.clock.now + 9000)
    two.keeper.append(account, index_of("upload"), at, data[:20_000])
    two.ledger.put_shelf(two.directory / "shelf-1", MOST)
    two.keeper.empty_shelf(shelf_of(two, 0))
    move(two)
    assert paths(two) == ["shelf-0", "shelf-1"]  # its owner is at work on it
    waiting = two.keeper.mover.waiting(shelf_of(two, 0).id)
    assert waiting is not None and waiting.why == "uploads are under way"
    two.keeper.append(account, index_of("upload"), 20_000, data[20_000:30_000])
    two.clock.now += IDLE_SECONDS + 1
    two.sweep()
    move(two)
    assert paths(two) == ["shelf-1"]
    assert (
        two.keeper.begin(account, QUOTA, index_of("upload"), 50_000, two.clock.now + 9000)
        == 30_000 // disk.PAGE * disk.PAGE - disk.PAGE
    )
    two.store(account, index_of("upload"), data)
    assert two.read(index_of("upload")) == data


def test_an_upload_that_creeps_does_not_keep_a_shelf(two: Place) -> None:
    account = two.account(7)
    two.ledger.put_shelf(two.directory / "shelf-1", 0)
    at = two.keeper.begin(account, QUOTA, index_of("upload"), 50_000, two.clock.now + 90_000)
    two.ledger.put_shelf(two.directory / "shelf-1", MOST)
    two.keeper.empty_shelf(shelf_of(two, 0))
    for _ in range(PATIENCE // 50 + 1):
        two.clock.now += 50
        two.sweep()
        try:
            at = two.keeper.append(account, index_of("upload"), at, b"x")
        except HoldError as error:
            assert error.kind is Kind.NOT_FOUND
            break
        move(two)
    move(two)
    assert paths(two) == ["shelf-1"]
    assert two.keeper.begin(account, QUOTA, index_of("upload"), 50_000, two.clock.now) == 0  # less than a block


# ── disks that fail ──


def test_a_damaged_share_is_let_go_and_a_lost_one(two: Place) -> None:
    files = {path.stat().st_size: path for path in two.files()}
    files[SIZE].write_bytes(b"x" * SIZE)
    files[SIZE + 1].unlink()
    files[SIZE + 2].write_bytes(bytes_of(2, SIZE + 2)[:-1])
    two.keeper.empty_shelf(shelf_of(two, 0))
    move(two, sound=False)
    two.sweep()
    assert paths(two) == ["shelf-1"] and len(two.rows()) == 2 and two.files() == two.rows().keys()
    assert two.keeper.sizes([index_of(name) for name in range(5)]) == [0, 0, 0, SIZE + 3, SIZE + 4]


def test_a_share_that_its_disk_does_not_read_stays_where_it_is(two: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    read = disk.read_full
    bad = {path.stat().st_ino for path in two.files() if path.stat().st_size == SIZE + 3}

    def failing(fd: int, room: memoryview, at: int) -> Any:
        if os.fstat(fd).st_ino in bad and at:
            raise OSError(5, "Input/output error")
        return read(fd, room, at)

    monkeypatch.setattr(disk, "read_full", failing)
    two.keeper.empty_shelf(shelf_of(two, 0))
    move(two)
    waiting = two.keeper.mover.waiting(shelf_of(two, 0).id)
    assert waiting is not None and (waiting.count, waiting.why) == (1, "Input/output error")
    assert two.files() == two.rows().keys() and shelf_of(two, 0).used == SIZE + 3
    monkeypatch.undo()
    two.clock.now += PAUSE
    move(two)
    assert paths(two) == ["shelf-1"] and two.read(index_of(3)) == bytes_of(3, SIZE + 3)


def test_a_disk_that_gives_back_something_else_takes_nothing(two: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    settle = two.shelves.settle

    def settled(shelf: int, file: bytes, fd: int) -> None:
        settle(shelf, file, fd)
        os.pwrite(fd, b"\0\0\0\0", 100)

    monkeypatch.setattr(two.shelves, "settle", settled)
    two.keeper.empty_shelf(shelf_of(two, 0))
    move(two)
    waiting = two.keeper.mover.waiting(shelf_of(two, 0).id)
    assert waiting is not None and waiting.count == 5 and "does not give back" in waiting.why
    assert shelf_of(two, 1).used == 0 and two.files() == two.rows().keys()


def test_a_shelf_whose_disk_is_away_waits_for_it(two: Place) -> None:
    two.keeper.empty_shelf(shelf_of(two, 0))
    (two.directory / "shelf-0").rename(two.directory / "away")
    move(two, sound=False)
    waiting = two.keeper.mover.waiting(shelf_of(two, 0).id)
    assert waiting is not None and waiting.count == 5 and "not there" in waiting.why
    (two.directory / "away").rename(two.directory / "shelf-0")
    two.clock.now += PAUSE
    move(two)
    assert paths(two) == ["shelf-1"] and len(two.rows()) == 5


def test_a_shelf_with_a_file_that_cannot_be_removed_is_not_forgotten(
    two: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(two.shelves, "unlink", lambda gone: None)
        patched.setattr(two.shelves, "remove", lambda gone: [])
        two.keeper.empty_shelf(shelf_of(two, 0))
        move(two)
    assert paths(two) == ["shelf-0", "shelf-1"] and len(two.files()) == 10
    two.clock.now += PAUSE
    move(two)
    assert paths(two) == ["shelf-1"] and len(two.files()) == 5


# ── ends at any point ──

STEPS = ("expect", "write", "settle", "move", "unlink", "take_off", "forget", "removed")


@pytest.mark.parametrize("point", STEPS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_wherever_it_ends_nothing_is_lost_and_nothing_is_there_twice(
    two: Place, monkeypatch: pytest.MonkeyPatch, point: str, when: str
) -> None:
    class Ended(BaseException):
        """As kill -9, as far as one process can."""

    thing: Any = two.ledger if hasattr(two.ledger, point) else two.shelves
    work = getattr(thing, point)

    def ending(*given: Any) -> Any:
        if when == "after" and (fd := work(*given)) is not None and point == "write":
            os.close(fd)
        raise Ended

    two.keeper.empty_shelf(shelf_of(two, 0))
    monkeypatch.setattr(thing, point, ending)
    monkeypatch.setattr(two.shelves, "unlink", ending if point == "unlink" else lambda gone: None)  # it is dead
    with pytest.raises(Ended):
        move(two)
    monkeypatch.undo()
    again = two.crash()
    try:
        again.check_books()
        for name in range(5):
            assert again.read(index_of(name)) == bytes_of(name, SIZE + name)
        again.sweep()
        assert again.files() == again.rows().keys() and len(again.files()) == 5
        while again.keeper.mover.step():
            pass
        assert paths(again) == ["shelf-1"] and again.files() == again.rows().keys()
        for name in range(5):
            assert again.read(index_of(name)) == bytes_of(name, SIZE + name)
    finally:
        again.close()


def test_a_ledger_of_the_format_before_is_taken_along(tmp_path: Path) -> None:
    with place(tmp_path) as kept:
        kept.store(kept.account(), index_of(1), b"from before")
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as db:
        db.executescript(
            "drop index by_shelf; drop table leaving; alter table shelves drop column leaving; pragma user_version = 1;"
        )
    with closing(Place(tmp_path, kept.clock, ())) as again:
        assert again.read(index_of(1)) == b"from before" and again.ledger.leaving() is None
        again.keeper.add_shelf(tmp_path / "shelf-1", MOST)
        again.keeper.empty_shelf(shelf_of(again, 0))
        move(again)
        assert paths(again) == ["shelf-1"] and hash_of(again.read(index_of(1))) == hash_of(b"from before")
