"""Uploads: promised first, resumed from anywhere, whole or not there at all."""

import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.host import disk
from commonhold.storage import underway
from commonhold.storage.keeping import IDLE_SECONDS, MAX_SHARE
from commonhold.storage.ledger import Row
from tests.opened import left_open, opened, opened_since
from tests.storage.keeping import QUOTA, Place, bytes_of, hash_of, index_of, place
from tests.waiting import SECONDS

INDEX = index_of("a share")
DATA = bytes_of("a share", 100_000)
LATER = 2_000_000_000


def refused(kind: Kind, *call: Any) -> HoldError:
    with pytest.raises(HoldError) as caught:
        call[0](*call[1:])
    assert caught.value.kind is kind, caught.value
    return caught.value


def begin(kept: Place, size: int = len(DATA), index: Any = INDEX, quota: int = QUOTA, number: int = 0) -> int:
    return kept.keeper.begin(kept.account(number), quota, index, size, LATER)


def test_a_share_is_there_when_it_is_finished_and_not_before(kept: Place) -> None:
    account = kept.account()
    assert begin(kept) == 0
    assert kept.keeper.append(account, INDEX, 0, DATA[:60_000]) == 60_000
    assert kept.keeper.append(account, INDEX, 60_000, DATA[60_000:]) == len(DATA)
    assert kept.keeper.sizes([INDEX]) == [0] and kept.ledger.listed(account, b"", 10) == []
    refused(Kind.NOT_FOUND, kept.keeper.open, INDEX)
    refused(Kind.NOT_FOUND, kept.keeper.check, INDEX)
    kept.keeper.finish(account, INDEX, hash_of(DATA))
    assert kept.keeper.sizes([index_of("none"), INDEX]) == [0, len(DATA)] and kept.read(INDEX) == DATA
    assert begin(kept) == len(DATA)


@pytest.mark.parametrize("size", [0, MAX_SHARE + 1, (1 << 63) - 1])
def test_a_size_that_no_share_has_is_refused(kept: Place, size: int) -> None:
    refused(Kind.TOO_LARGE, begin, kept, size)
    assert kept.used() == 0


def test_room_is_promised_when_an_upload_begins(kept: Place) -> None:
    begin(kept, 600, quota=1000)
    refused(Kind.QUOTA, begin, kept, 401, index_of("another"), 1000)
    begin(kept, 400, index_of("another"), quota=1000)
    begin(kept, 600, quota=1000)
    assert kept.used() == 1000
    begin(kept, 1000, quota=1000, number=1)


def test_an_account_that_has_too_many_shares_gets_no_more(kept: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("commonhold.storage.ledger.MAX_SHARES", 2)
    begin(kept, 1, index_of(1))
    begin(kept, 1, index_of(2))
    refused(Kind.QUOTA, begin, kept, 1, index_of(3))


def test_an_upload_goes_on_where_it_was_after_a_restart(kept: Place) -> None:
    account = kept.account()
    begin(kept)
    kept.keeper.append(account, INDEX, 0, DATA[:12_345])
    again = kept.crash()
    refused(Kind.NOT_FOUND, again.keeper.append, account, INDEX, 12_345, DATA[12_345:])
    assert begin(again) == 12_288  # of the last block nobody knows how much had come
    again.keeper.append(account, INDEX, 12_288, DATA[12_288:])
    third = again.crash()
    assert begin(third) == len(DATA) // disk.PAGE * disk.PAGE
    third.keeper.append(account, INDEX, len(DATA) // disk.PAGE * disk.PAGE, DATA[len(DATA) // disk.PAGE * disk.PAGE :])
    assert third.keeper.sizes([INDEX]) == [0]
    third.keeper.finish(account, INDEX, hash_of(DATA))
    assert third.read(INDEX) == DATA and third.used() == len(DATA)
    third.close()


def test_an_upload_whose_file_never_came_on_the_disk_begins_anew(kept: Place) -> None:
    """The row is written first; then the power goes."""
    row = Row(kept.account(), INDEX, 1, bytes(16), len(DATA), None, LATER)
    kept.ledger.promise(row, QUOTA)
    kept.store(kept.account(), INDEX, DATA)
    assert kept.read(INDEX) == DATA and kept.used() == len(DATA)


def test_an_upload_that_nobody_touches_is_closed_and_goes_on(kept: Place) -> None:
    account = kept.account()
    before = opened()
    begin(kept)
    kept.keeper.append(account, INDEX, 0, DATA[:5])
    kept.clock.now += IDLE_SECONDS
    kept.keeper.append(account, INDEX, 5, DATA[5:6])
    kept.clock.now += IDLE_SECONDS
    kept.sweep()
    assert len(opened_since(before)) == 1
    kept.clock.now += 1
    kept.sweep()
    assert left_open(before) == []
    refused(Kind.NOT_FOUND, kept.keeper.append, account, INDEX, 6, DATA[6:])
    kept.store(account, INDEX, DATA)


def test_bytes_go_on_where_they_ended_and_nowhere_else(kept: Place) -> None:
    account = kept.account()
    refused(Kind.NOT_FOUND, kept.keeper.append, account, INDEX, 0, DATA)
    begin(kept)
    kept.keeper.append(account, INDEX, 0, DATA[:10])
    for at in (0, 9, 11, 1 << 62):
        refused(Kind.CHANGED, kept.keeper.append, account, INDEX, at, DATA[at : at + 10])
    refused(Kind.CHANGED, kept.keeper.finish, account, INDEX, hash_of(DATA))
    refused(Kind.TOO_LARGE, kept.keeper.append, account, INDEX, 10, DATA[10:] + b"x")
    refused(Kind.NOT_FOUND, kept.keeper.append, kept.account(1), INDEX, 10, DATA[10:])
    assert begin(kept) == 10
    kept.store(account, INDEX, DATA)


def test_a_wrong_hash_leaves_nothing_and_gives_the_quota_back(kept: Place) -> None:
    account = kept.account()
    begin(kept)
    kept.keeper.append(account, INDEX, 0, DATA)
    refused(Kind.CORRUPT, kept.keeper.finish, account, INDEX, hash_of(b"something else"))
    assert kept.used() == 0 and not kept.files()
    refused(Kind.NOT_FOUND, kept.keeper.finish, account, INDEX, hash_of(DATA))
    kept.store(account, INDEX, DATA)


def test_a_finish_that_is_said_again_has_no_effect(kept: Place) -> None:
    kept.store(kept.account(), INDEX, DATA)
    kept.keeper.finish(kept.account(), INDEX, hash_of(DATA))
    refused(Kind.NOT_FOUND, kept.keeper.finish, kept.account(), INDEX, hash_of(b"another"))
    again = kept.crash()
    again.keeper.finish(again.account(), INDEX, hash_of(DATA))
    assert again.read(INDEX) == DATA
    again.close()


def test_another_size_under_the_same_index_is_refused(kept: Place) -> None:
    begin(kept)
    refused(Kind.EXISTS, begin, kept, len(DATA) + 1)
    kept.store(kept.account(), INDEX, DATA)
    refused(Kind.EXISTS, begin, kept, len(DATA) + 1)
    assert kept.used() == len(DATA)


def test_nobody_takes_over_anothers_upload(kept: Place) -> None:
    begin(kept)
    kept.keeper.append(kept.account(), INDEX, 0, DATA[:50])
    assert begin(kept, 10, number=1) == 0
    kept.keeper.append(kept.account(1), INDEX, 0, b"0123456789")
    kept.keeper.finish(kept.account(1), INDEX, hash_of(b"0123456789"))
    assert begin(kept) == 50
    kept.store(kept.account(), INDEX, DATA)
    assert kept.read(INDEX) == DATA and kept.read(INDEX, 1) == b"0123456789"


def test_so_many_uploads_are_open_of_one_account_and_of_all(kept: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.store(kept.account(), INDEX, DATA)
    for number in range(underway.MAX_UPLOADS):
        begin(kept, 1, index_of(number))
    used = kept.used()
    refused(Kind.BUSY, begin, kept, 1, index_of("one more"))
    assert begin(kept) == len(DATA)  # a share that is whole needs no place
    assert begin(kept, 1, index_of(5)) == 0 and kept.used() == used
    begin(kept, 1, INDEX, number=1)
    monkeypatch.setattr(underway, "MAX_ALL_UPLOADS", underway.MAX_UPLOADS + 1)
    refused(Kind.BUSY, begin, kept, 1, INDEX, QUOTA, 2)
    kept.keeper.drop(kept.account(), [index_of(5)])
    begin(kept, 1, INDEX, number=2)


def test_what_was_refused_takes_no_place_among_the_open_ones(kept: Place) -> None:
    for number in range(underway.MAX_UPLOADS + 1):
        refused(Kind.QUOTA, begin, kept, 1, index_of(number), 0)
    assert begin(kept) == 0


# ── what disks do ──


def test_what_no_shelf_has_room_for_is_refused(tmp_path: Path) -> None:
    with place(tmp_path, 1000, 3000) as kept:
        refused(Kind.DISK_FULL, begin, kept, 3001)
        begin(kept, 2500)
        begin(kept, 1000, index_of(1))
        refused(Kind.DISK_FULL, begin, kept, 501, index_of(2))
        begin(kept, 500, index_of(2))
        assert [shelf.used for shelf in kept.ledger.shelves()] == [1000, 3000]


def test_a_disk_that_is_full_when_an_upload_begins_costs_no_quota(kept: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(disk, "reserve", full)
        refused(Kind.DISK_FULL, begin, kept)
    assert kept.used() == 0 and not kept.files()
    kept.store(kept.account(), INDEX, DATA)


def test_a_write_that_fails_half_way_is_written_again(kept: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def torn(fd: int, parts: Any, at: int) -> int:
        os.pwrite(fd, parts[0][:100], at)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    begin(kept)
    with monkeypatch.context() as patched:
        patched.setattr(disk, "write_all", torn)
        refused(Kind.FAILED, kept.keeper.append, kept.account(), INDEX, 0, DATA)
    assert begin(kept) == 0
    kept.store(kept.account(), INDEX, DATA)
    assert kept.read(INDEX) == DATA


def test_what_a_disk_did_not_take_is_not_said_to_be_there_by_a_second_finish(
    kept: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed sync throws away what was to be written, and the next one of that file says that all is well."""
    sync = os.fsync

    def failing(fd: int) -> None:
        if "shelf-" in os.readlink(f"/proc/self/fd/{fd}"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(fd)

    begin(kept)
    kept.keeper.append(kept.account(), INDEX, 0, DATA)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", failing)
        refused(Kind.FAILED, kept.keeper.finish, kept.account(), INDEX, hash_of(DATA))
    refused(Kind.NOT_FOUND, kept.keeper.finish, kept.account(), INDEX, hash_of(DATA))
    assert kept.used() == 0 and begin(kept) == 0


def test_the_file_and_its_name_are_on_the_disk_before_its_row(kept: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[Path, bool]] = []
    sync = os.fsync

    def noting(fd: int) -> None:
        synced.append((Path(os.readlink(f"/proc/self/fd/{fd}")), any(kept.rows().values())))
        sync(fd)

    begin(kept)
    kept.keeper.append(kept.account(), INDEX, 0, DATA)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", noting)
        kept.keeper.finish(kept.account(), INDEX, hash_of(DATA))
    (file,) = kept.files()
    assert synced == [(file, False), (file.parent, False)]


def test_an_upload_that_cannot_be_read_again_leaves_no_descriptor(kept: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(kept)
    kept.keeper.append(kept.account(), INDEX, 0, DATA)
    again = kept.crash()
    before = opened()

    def failing(*_: Any) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(disk, "read_full", failing)
        refused(Kind.FAILED, begin, again)
    assert left_open(before) == []
    assert begin(again) == len(DATA) // disk.PAGE * disk.PAGE
    again.close()


# ── at once ──


def test_while_one_is_at_work_on_a_share_another_is_told_so(kept: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    writing, go_on = threading.Event(), threading.Event()
    write = disk.write_all

    def slow(fd: int, parts: Any, at: int) -> int:
        writing.set()
        assert go_on.wait(SECONDS)
        return write(fd, parts, at)

    account = kept.account()
    begin(kept)
    begin(kept, 4, index_of("another"))
    monkeypatch.setattr(disk, "write_all", slow)
    with ThreadPoolExecutor(1) as threads:
        done = threads.submit(kept.keeper.append, account, INDEX, 0, DATA)
        assert writing.wait(SECONDS)
        for call in (kept.keeper.append, kept.keeper.finish):
            refused(Kind.BUSY, call, account, INDEX, *((0, DATA) if call == kept.keeper.append else (hash_of(DATA),)))
        refused(Kind.BUSY, begin, kept)
        refused(Kind.BUSY, kept.keeper.drop, account, [index_of("another"), INDEX])
        kept.clock.now += 500 * 86_400  # both have ended; one is in use
        kept.sweep()
        assert len(kept.rows()) == 1
        go_on.set()
        assert done.result() == len(DATA)
    kept.keeper.finish(account, INDEX, hash_of(DATA))
    assert kept.read(INDEX) == DATA


def test_a_share_that_is_begun_by_many_at_once_is_one_upload(kept: Place) -> None:
    account = kept.account()
    for number in range(30):
        index = index_of(number)
        together = threading.Barrier(8)

        def one(index: Any = index, together: threading.Barrier = together) -> int | None:
            together.wait()
            try:
                return kept.keeper.begin(account, QUOTA, index, 10, LATER)
            except HoldError as error:
                assert error.kind is Kind.BUSY
                return None

        with ThreadPoolExecutor(8) as threads:
            answers = [done.result() for done in [threads.submit(one) for _ in range(8)]]
        assert 0 in answers and set(answers) <= {0, None}
        kept.keeper.append(account, index, 0, b"0123456789")
        kept.keeper.finish(account, index, hash_of(b"0123456789"))
    assert kept.used() == 300 and len(kept.files()) == 30


@pytest.mark.parametrize("seed", range(12))
def test_the_quota_is_exact_however_many_begin_at_once(kept: Place, seed: int) -> None:
    import random

    rng = random.Random(seed)
    sizes = [rng.randint(1, 1000) for _ in range(60)]
    quota = sum(sizes) // 2
    together = threading.Barrier(16)

    def some(thread: int) -> list[int]:
        together.wait()
        got = []
        for number in range(thread, len(sizes), 16):
            try:
                begin(kept, sizes[number], index_of(number), quota)
                got.append(sizes[number])
            except HoldError as error:
                assert error.kind is Kind.QUOTA
        return got

    with ThreadPoolExecutor(16) as threads:
        got = [size for done in threads.map(some, range(16)) for size in done]
    left = quota - kept.used()
    assert sum(got) == kept.used() <= quota and left < max(sizes)
    refused(Kind.QUOTA, begin, kept, left + 1, index_of("more"), quota)
    if left:
        begin(kept, left, index_of("the rest"), quota)
        assert kept.used() == quota


def test_shelves_are_filled_to_the_last_byte_however_many_begin_at_once(tmp_path: Path) -> None:
    """Each goes where there is room, also if there was another shelf with as much a moment ago."""
    with place(tmp_path, *[500] * 8) as kept, ThreadPoolExecutor(16) as threads:
        done = [threads.submit(begin, kept, 100, index_of(number)) for number in range(40)]
        assert [one.result() for one in done] == [0] * 40
        assert {shelf.used for shelf in kept.ledger.shelves()} == {500}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_whatever_many_do_with_a_few_shares_at_once_the_books_are_right(kept: Place, seed: int) -> None:
    import random

    contents = {index_of(name): bytes_of(name, 2000) for name in range(3)}

    def churn(thread: int) -> None:
        rng = random.Random(f"{seed}-{thread}")
        keeper, account = kept.keeper, kept.account(rng.randrange(2))
        for _ in range(120):
            index = rng.choice(list(contents))
            data = contents[index]
            try:
                match rng.randrange(8):
                    case 0:
                        keeper.drop(account, [index])
                    case 1:
                        keeper.finish(account, index, hash_of(data if rng.random() < 0.8 else b""))
                    case 2:
                        kept.clock.now += rng.choice([0, 30, 400_000])
                        keeper.sweep()
                    case 3:
                        assert keeper.check(index)
                    case 4:
                        assert kept.read(index) == data
                    case _:
                        at = keeper.begin(account, QUOTA, index, len(data), kept.clock.now)
                        keeper.append(account, index, at, data[at : at + rng.randint(1, 1500)])
            except HoldError as error:
                assert error.kind in (Kind.BUSY, Kind.NOT_FOUND, Kind.CHANGED, Kind.CORRUPT, Kind.TOO_LARGE), error

    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(churn, thread) for thread in range(8)]:
            done.result()
    kept.check_books()
    kept.clock.now += 500 * 86_400
    kept.sweep()
    assert kept.used(0) == kept.used(1) == 0 and not kept.files()
