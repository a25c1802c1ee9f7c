"""Notes for `--reuse`: they hold any state a file system shows, and no add fails for their sake."""

import os
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from commonhold.agent.reuse import Reuse, Seen, Signature
from commonhold.formats import cid as cids
from commonhold.unixfs.build import Built

BUILT = Built(cids.parse_text("bafkreifjjcie6lypi6ny7amxnfftagclbuxndqonfipmb64f2km2devei4"), 12, 12)
SETTLED = Seen(1, 2, 3, 4, 5)


def notes(path: Path, remarks: list[str]) -> Reuse:
    return Reuse(path / "reuse.sqlite", "label", lambda built: True, remarks.append, trust=True)


@pytest.mark.parametrize(
    "seen",
    [
        SETTLED,
        SETTLED._replace(inode=(1 << 64) - 1),
        SETTLED._replace(device=1 << 63),
        SETTLED._replace(mtime=-(10**20)),
    ],
)
def test_any_state_is_noted_and_told_from_others(tmp_path: Path, seen: Seen) -> None:
    signature = Signature()
    signature.take("a", seen)
    remarks: list[str] = []
    first = notes(tmp_path, remarks)
    first.note_file("a", seen, BUILT)
    first.note_tree("t", signature, BUILT)
    first.close()
    second = notes(tmp_path, remarks)
    assert second.file("a", seen) == BUILT == second.tree("t", signature)
    for other in (seen._replace(inode=7), seen._replace(device=7), seen._replace(mtime=7)):
        assert second.file("a", other) is None
    second.close()
    assert remarks == []


def test_a_time_after_2262_is_no_error() -> None:
    signature = Signature()
    signature.take("a", SETTLED._replace(mtime=2**34 * 10**9))
    assert not signature.settled(0)


def _directory(path: Path) -> None:
    path.mkdir()


def _rubbish(path: Path) -> None:
    path.write_bytes(b"rubbish" * 5000)


def _link(path: Path) -> None:
    path.symlink_to("nowhere/at/all")


def _other_layout(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.executescript("create table files (a int); create table trees (a int)")


@pytest.mark.parametrize("spoil", [_directory, _rubbish, _link, _other_layout, os.mkfifo])
def test_notes_that_cannot_be_used_are_done_without(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    path = tmp_path / "reuse.sqlite"
    spoil(path)
    remarks: list[str] = []
    reuse = notes(tmp_path, remarks)
    reuse.note_file("a", SETTLED, BUILT)
    assert reuse.file("a", SETTLED) is None
    reuse.close()
    assert len(remarks) == 1 and str(path) in remarks[0]
    if not path.is_dir():
        again = notes(tmp_path, remarks)
        again.note_file("a", SETTLED, BUILT)
        again.close()
        assert len(remarks) == 1 and stat.S_ISREG(path.lstat().st_mode)


def test_notes_that_break_while_they_are_used_are_done_without(tmp_path: Path) -> None:
    remarks: list[str] = []
    first = notes(tmp_path, remarks)
    for number in range(5000):
        first.note_file(f"file {number}", SETTLED, BUILT)
    first.close()
    path = tmp_path / "reuse.sqlite"
    pages = bytearray(path.read_bytes())
    pages[8192:] = b"\xff" * (len(pages) - 8192)
    path.write_bytes(pages)
    second = notes(tmp_path, remarks)
    assert [second.file(f"file {number}", SETTLED) for number in range(0, 5000, 50)].count(None) > 90
    second.note_file("one more", SETTLED, BUILT)
    second.close()
    assert len(remarks) == 1
