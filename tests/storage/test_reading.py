"""Reading: whoever's share it is, by its index; and what becomes of one that is damaged."""

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.host import disk
from tests.storage.keeping import QUOTA, Place, bytes_of, index_of, place

INDEX = index_of("a share")
DATA = bytes_of("a share", 3 << 20)


def kind_of(*call: Any) -> Kind:
    with pytest.raises(HoldError) as caught:
        call[0](*call[1:])
    return caught.value.kind


def test_copies_come_in_the_order_of_their_accounts_and_each_is_charged(kept: Place) -> None:
    accounts = [kept.account(number) for number in range(3)]
    for number in (2, 0, 1):
        kept.store(accounts[number], INDEX, b"copy %d" % number + b"x" * number)
    assert [kept.read(INDEX, copy) for copy in range(3)] == [b"copy 0", b"copy 1x", b"copy 2xx"]
    assert kept.keeper.sizes([INDEX]) == [6]
    assert kind_of(kept.keeper.open, INDEX, 3) is kind_of(kept.keeper.check, INDEX, 10**18 - 1) is Kind.NOT_FOUND
    assert [kept.used(number) for number in range(3)] == [6, 7, 8]
    kept.keeper.drop(accounts[0], [INDEX])
    assert kept.read(INDEX) == b"copy 1x" and kept.keeper.sizes([INDEX]) == [7]


def test_an_upload_is_nobodys_copy(kept: Place) -> None:
    kept.account()
    kept.keeper.begin(kept.account(), QUOTA, INDEX, 10, kept.clock.now)
    kept.store(kept.account(1), INDEX, b"whole")
    assert kept.read(INDEX) == b"whole" and kept.keeper.sizes([INDEX]) == [5]
    assert kind_of(kept.keeper.open, INDEX, 1) is Kind.NOT_FOUND


def test_shares_are_listed_in_order_of_their_index(kept: Place) -> None:
    indexes = sorted(index_of(number) for number in range(7))
    for index in indexes:
        kept.store(kept.account(), index, b"x")
    kept.keeper.begin(kept.account(), QUOTA, index_of("upload"), 10, kept.clock.now)
    kept.store(kept.account(1), index_of("another's"), b"x")
    first = kept.ledger.listed(kept.account(), b"", 4)
    rest = kept.ledger.listed(kept.account(), first[-1].index, 4)
    assert [row.index for row in first + rest] == indexes
    assert kept.ledger.listed(kept.account(), b"", 0) == []


@pytest.mark.parametrize("damage", ["flipped", "cut", "longer", "missing"])
def test_a_damaged_share_is_found_and_let_go_and_another_copy_is_not(kept: Place, damage: str) -> None:
    kept.store(kept.account(), INDEX, DATA)
    (file,) = kept.files()
    kept.store(kept.account(1), INDEX, DATA)
    assert kept.keeper.check(INDEX)
    match damage:
        case "flipped":
            with open(file, "r+b") as opened:
                opened.seek(2 << 20)
                opened.write(bytes([DATA[2 << 20] ^ 1]))
        case "cut":
            os.truncate(file, len(DATA) - 1)
        case "longer":
            os.truncate(file, len(DATA) + 1)
        case _:
            file.unlink()
            assert kind_of(kept.keeper.open, INDEX) is Kind.NOT_FOUND
    assert kept.keeper.check(INDEX, 1)
    assert not kept.keeper.check(INDEX)
    assert kept.used() == 0 and kept.used(1) == len(DATA)
    assert kept.read(INDEX) == DATA and kept.keeper.check(INDEX)
    kept.sweep()
    assert len(kept.files()) == 1


def test_a_disk_that_does_not_give_a_share_says_nothing_of_its_bytes(
    kept: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: Any) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    kept.store(kept.account(), INDEX, DATA)
    with monkeypatch.context() as patched:
        patched.setattr(disk, "read_full", failing)
        assert kind_of(kept.keeper.check, INDEX) is Kind.FAILED
    assert kept.read(INDEX) == DATA


@pytest.mark.parametrize("anew", [DATA, b"another"])
def test_a_share_that_was_put_anew_during_a_check_stays(
    kept: Place, monkeypatch: pytest.MonkeyPatch, anew: bytes
) -> None:
    kept.store(kept.account(), INDEX, DATA)
    (file,) = kept.files()
    os.truncate(file, 5)
    look = os.fstat

    def meanwhile(fd: int) -> os.stat_result:
        patched.undo()
        kept.keeper.drop(kept.account(), [INDEX])
        kept.store(kept.account(), INDEX, anew)
        return look(fd)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fstat", meanwhile)
        if anew == DATA:
            assert kept.keeper.check(INDEX)
        else:
            assert kind_of(kept.keeper.check, INDEX) is Kind.NOT_FOUND
    assert kept.read(INDEX) == anew


def test_a_link_in_a_shares_place_is_not_followed(kept: Place, tmp_path: Path) -> None:
    kept.store(kept.account(), INDEX, DATA)
    (file,) = kept.files()
    file.unlink()
    (tmp_path / "secret").write_bytes(DATA)
    file.symlink_to(tmp_path / "secret")
    with pytest.raises(HoldError):
        kept.keeper.open(INDEX)
    file.unlink()
    file.write_bytes(DATA)


# ── a disk that is not there ──


def test_a_disk_that_is_gone_takes_nothing_and_loses_nothing(tmp_path: Path) -> None:
    with place(tmp_path, 1 << 30, 1 << 20) as kept:
        kept.store(kept.account(), INDEX, DATA)
        kept.store(kept.account(), index_of("to go"), DATA)
        kept.keeper.begin(kept.account(), QUOTA, index_of("upload"), 4 << 20, kept.clock.now)
        kept.keeper.append(kept.account(), index_of("upload"), 0, DATA)
        shelf, away = tmp_path / "shelf-0", tmp_path / "away"
        shelf.rename(away)
        for unmounted in (False, True):
            if unmounted:
                shelf.mkdir()
            kept = kept.crash()
            for call in (kept.keeper.open, kept.keeper.check):
                assert kind_of(call, INDEX) is Kind.FAILED
            kept.store(kept.account(), index_of(unmounted), b"on the other disk")
            kind = kind_of(kept.keeper.begin, kept.account(), QUOTA, index_of("large"), 2 << 20, 0)
            assert kind is Kind.DISK_FULL
            kind_of(kept.keeper.begin, kept.account(), QUOTA, index_of("upload"), 4 << 20, 0)
            assert kept.used() == 2 * len(DATA) + (4 << 20) + 17 * (1 + unmounted)
        kept.keeper.drop(kept.account(), [index_of("to go")])
        kept.sweep()
        assert len(kept.ledger.gone(1, 10)) == 1
        assert not list(shelf.iterdir())
        shelf.rmdir()
        away.rename(shelf)
        kept.sweep()
        assert not kept.ledger.gone(1, 10) and len(kept.files()) == 4
        assert kept.read(INDEX) == DATA and kept.keeper.check(INDEX)
        assert kept.keeper.begin(kept.account(), QUOTA, index_of("upload"), 4 << 20, 0) == len(DATA) - disk.PAGE
        kept.check_books()
        kept.close()


def test_a_file_that_cannot_be_removed_on_one_disk_keeps_no_other_disk_from_it(tmp_path: Path) -> None:
    with place(tmp_path, 1 << 30, 1 << 29) as kept:
        for number in range(300):
            kept.ledger._db._db.execute("insert into gone values (1, ?)", (bytes_of(number, 16),))
        shutil.rmtree(tmp_path / "shelf-0")
        kept.store(kept.account(), INDEX, DATA)
        kept.keeper.drop(kept.account(), [INDEX])
        kept.sweep()
        assert not kept.ledger.gone(2, 10) and len(kept.ledger.gone(1, 1000)) == 300


def test_a_removal_that_is_not_on_the_disk_is_noted_still(kept: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.store(kept.account(), INDEX, DATA)
    kept.keeper.drop(kept.account(), [INDEX])
    assert not kept.files() and len(kept.ledger.gone(1, 10)) == 1

    def failing(path: str) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(disk, "sync_directory", failing)
        kept.sweep()
    assert len(kept.ledger.gone(1, 10)) == 1
    kept.sweep()
    assert not kept.ledger.gone(1, 10)


def test_a_shelf_keeps_its_reserve_free(tmp_path: Path) -> None:
    from commonhold.storage.shelving import Shelves

    with place(tmp_path) as kept:
        found = os.statvfs(tmp_path)
        shelves = Shelves(kept.ledger.shelves(), found.f_blocks * found.f_frsize)
        assert kind_of(shelves.choose, kept.ledger.shelves(), 1, {}) is Kind.DISK_FULL
        room = found.f_blocks * found.f_frsize  # more than is free, whatever others write meanwhile
        assert kind_of(kept.shelves.choose, kept.ledger.shelves(), 1 << 20, {1: room}) is Kind.DISK_FULL


def test_a_shelf_may_have_less_than_it_has_and_takes_nothing_then(kept: Place) -> None:
    kept.store(kept.account(), INDEX, DATA)
    shelf = kept.ledger.put_shelf(tmp := kept.directory / "shelf-0", 10)
    assert (shelf.id, shelf.path, shelf.most, shelf.used) == (1, tmp, 10, len(DATA))
    assert kind_of(kept.keeper.begin, kept.account(), QUOTA, index_of(1), 1, 0) is Kind.DISK_FULL
    assert kept.read(INDEX) == DATA
