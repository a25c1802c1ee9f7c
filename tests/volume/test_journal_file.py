"""What else may be in a journal's file: it is not done, and nothing of it keeps a volume from being opened."""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from commonhold.errors import HoldError
from commonhold.formats import journal as records
from commonhold.trees import ROOT
from commonhold.volume.journal import Did
from commonhold.volume.tables import Tables
from commonhold.volume.volume import Volume
from tests.volume.volumes import ALICE, FILE, Place, everything, log, make, names, write


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


@pytest.fixture
def left(place: Place, volume: Volume) -> tuple[dict[int, tuple[Any, ...]], list[int]]:
    """A journal of a process that died: what the tree was like at its commit, and where each record ends."""
    make(volume, b"committed")
    volume.sync(0)
    ends = [volume._journal._at]
    for name in (b"1", b"2", b"3"):
        number = make(volume, name).number
        ends.append(volume._journal._at)
        write(volume, number, 0, name * 200)
        ends.append(volume._journal._at)
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


@pytest.mark.slow
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


@pytest.mark.slow
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
    "a number beyond all": (Did.WRITE, 1 << 30, encoded((1 << 64) - 1, 0, False, False), b"data"),
    "an offset beyond all": (Did.WRITE, 1 << 30, encoded(ROOT + 1, (1 << 64) - 1, False, False), b"data"),
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
