"""A small SQLite file: durable transactions, of which one thread is in at a time, and errors in our words."""

import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.host.sqlite import Database
from tests.opened import none_left

SCHEMA = "create table things (name text primary key, count integer not null);"


def opened(path: Path, version: int = 1) -> Database:
    return Database(path / "things.sqlite", SCHEMA, version, "things")


@pytest.fixture
def things(tmp_path: Path) -> Iterator[Database]:
    with closing(opened(tmp_path)) as made:
        yield made


def count(things: Database) -> int:
    with things.reading("count") as db:
        return int(db.execute("select count(*) from things").fetchone()[0])


def test_it_is_made_where_there_is_none_for_its_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with closing(opened(tmp_path)) as things, things.writing("put") as db:
            db.execute("insert into things values ('a', 1)")
            for path in tmp_path.iterdir():
                assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert db.execute("pragma journal_mode").fetchone() == ("wal",)
            assert db.execute("pragma synchronous").fetchone() == (2,)
    finally:
        os.umask(before)
    with closing(opened(tmp_path)) as things:
        assert count(things) == 1


def test_a_block_that_fails_changes_nothing(things: Database) -> None:
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), things.writing("put") as db:
            db.execute("insert into things values ('a', 1)")
            raise error
    assert count(things) == 0
    with things.writing("put") as db:
        db.execute("insert into things values ('a', 1)")
    with pytest.raises(HoldError) as caught, things.writing("put twice") as db:
        db.execute("insert into things values ('b', 1)")
        db.execute("insert into things values ('a', 1)")
    assert (caught.value.op, caught.value.kind) == ("put twice", Kind.FAILED)
    assert count(things) == 1


def test_changes_of_many_threads_come_one_after_another(things: Database) -> None:
    with things.writing("put") as db:
        db.execute("insert into things values ('a', 0)")
    together = threading.Barrier(8)

    def more() -> None:
        together.wait()
        for _ in range(25):
            with things.writing("count") as db:
                (found,) = db.execute("select count from things").fetchone()
                db.execute("update things set count = ?", (found + 1,))

    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(more) for _ in range(8)]:
            done.result()
    with things.reading("count") as db:
        assert db.execute("select count from things").fetchone() == (200,)


def test_another_version_is_left_alone(tmp_path: Path) -> None:
    opened(tmp_path, 2).close()
    with pytest.raises(HoldError) as caught:
        opened(tmp_path)
    assert caught.value.kind is Kind.VERSION and "format 2" in caught.value.why
    opened(tmp_path, 2).close()


def test_what_is_no_database_is_left_alone(tmp_path: Path) -> None:
    with none_left():
        (tmp_path / "things.sqlite").write_bytes(b"a letter to a friend" * 100)
        with pytest.raises(HoldError) as caught:
            opened(tmp_path)
        assert caught.value.kind is Kind.CORRUPT
        assert (tmp_path / "things.sqlite").read_bytes() == b"a letter to a friend" * 100
        (tmp_path / "things.sqlite").unlink()
        (tmp_path / "things.sqlite").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(HoldError):
            opened(tmp_path)
        assert not (tmp_path / "elsewhere").exists()
        with pytest.raises(HoldError) as caught:
            opened(tmp_path / "no" / "such")
        assert caught.value.kind is Kind.NOT_FOUND


def test_a_disk_that_is_full_is_said_and_nothing_is_half_done(things: Database) -> None:
    with things.reading("limit") as db:
        pages = db.execute("pragma page_count").fetchone()[0]
        db.execute(f"pragma max_page_count = {pages + 2}")
    with pytest.raises(HoldError) as caught, things.writing("put") as db:
        for number in range(10_000):
            db.execute("insert into things values (?, 1)", (f"name {number}",))
    assert caught.value.kind is Kind.DISK_FULL
    assert count(things) == 0
    with things.writing("put") as db:
        db.execute("insert into things values ('a', 1)")


def test_one_that_was_closed_or_is_taken_says_so(tmp_path: Path) -> None:
    things = opened(tmp_path)
    with things.reading("hurry") as db:
        db.execute("pragma busy_timeout = 0")
    with closing(sqlite3.connect(tmp_path / "things.sqlite", isolation_level=None)) as other:
        other.execute("begin immediate")
        with pytest.raises(HoldError) as caught, things.writing("put"):
            pass
        assert caught.value.kind is Kind.BUSY
    things.close()
    with pytest.raises(HoldError):
        count(things)


def test_several_who_open_a_file_of_an_older_version_at_once_all_find_the_new_one(tmp_path: Path) -> None:
    more = {1: "create table others (name text primary key);"}
    for number in range(20):
        path = tmp_path / str(number)
        path.mkdir()
        opened(path).close()
        together = threading.Barrier(4)

        def upgraded(path: Path = path, together: threading.Barrier = together) -> None:
            together.wait()
            Database(path / "things.sqlite", SCHEMA, 2, "things", more).close()

        with ThreadPoolExecutor(4) as threads:
            for one in [threads.submit(upgraded) for _ in range(4)]:
                one.result()
