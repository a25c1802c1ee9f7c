"""The node's records pass the suite, and outlive their process."""

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.node.records import RecordStore
from tests.suites.records import *  # noqa: F403


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records.sqlite"


@pytest.fixture
def records(path: Path) -> Iterator[RecordStore]:
    store = RecordStore(path)
    yield store
    store.close()


def test_records_are_there_after_a_kill(path: Path) -> None:
    script = """
import os, sys
from pathlib import Path
from commonhold.node.records import RecordStore
store = RecordStore(Path(sys.argv[1]))
for number in range(20):
    store.put(7, "ipns", b"%d" % number, b"kept")
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert done.returncode == -9
    store = RecordStore(path)
    assert len(store.keys(7, "ipns")) == 20 and store.get(7, "ipns", b"19") == [b"kept"]
    store.close()


def test_every_write_is_synced(path: Path, records: RecordStore) -> None:
    with records._db.reading("look") as db:
        assert db.execute("pragma synchronous").fetchone() == (2,)
        assert db.execute("pragma journal_mode").fetchone() == ("wal",)


def test_the_file_is_its_owners_alone(path: Path) -> None:
    before = os.umask(0)
    try:
        store = RecordStore(path)
        store.put(7, "ipns", b"name", b"record")
        modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
        store.close()
    finally:
        os.umask(before)
    assert set(modes.values()) == {0o600} and "records.sqlite" in modes


def test_threads_may_write_at_once(records: RecordStore) -> None:
    def write(owner: int) -> None:
        for number in range(20):
            records.put(owner, "ipns", b"%d" % number, b"")

    threads = [threading.Thread(target=write, args=(owner,)) for owner in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(records.keys(owner, "ipns")) for owner in range(8)] == [20] * 8


def test_a_file_of_a_later_format_is_refused(path: Path) -> None:
    RecordStore(path).close()
    with sqlite3.connect(path) as db:
        db.execute("pragma user_version = 2")
    db.close()
    with pytest.raises(HoldError) as caught:
        RecordStore(path)
    assert caught.value.kind is Kind.VERSION


def test_a_file_that_is_none_is_named_corrupt(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(HoldError) as caught:
        RecordStore(path)
    assert caught.value.kind is Kind.CORRUPT and str(path) in str(caught.value)
