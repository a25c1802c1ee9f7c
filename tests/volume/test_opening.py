"""Opening a volume: what is refused, and what is put in order."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.volume.volume import Volume, create
from tests.volume.volumes import DIRECTORY, Place, content, make, write


def refused(kind: Kind, call: Callable[[], object]) -> HoldError:
    with pytest.raises(HoldError) as caught:
        call()
    assert caught.value.kind is kind
    return caught.value


def tampered(place: Place, *statements: str) -> None:
    """Change the tables of a volume that nobody has open."""
    with sqlite3.connect(place.directory / "volume.sqlite") as db:
        for statement in statements:
            db.execute(statement)
    db.close()


def test_a_volume_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    create(tmp_path, "alice@family", "node")
    assert (tmp_path / "volume.sqlite").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["volume.sqlite"]
    refused(Kind.EXISTS, lambda: create(tmp_path, "alice@family", "node"))
    refused(Kind.NOT_FOUND, lambda: create(tmp_path / "nowhere", "alice@family", "node"))


def test_what_an_earlier_try_left_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "volume.sqlite.new").write_bytes(b"half")
    create(tmp_path, "alice@family", "node")
    assert [path.name for path in tmp_path.iterdir()] == ["volume.sqlite"]


@pytest.mark.parametrize("version", [0, 2, 1000])
def test_a_volume_of_another_format_is_refused_and_left_alone(place: Place, version: int) -> None:
    tampered(place, f"pragma user_version = {version}")
    before = (place.directory / "volume.sqlite").read_bytes()
    error = refused(Kind.VERSION, place.open)
    assert str(version) in str(error)
    assert (place.directory / "volume.sqlite").read_bytes() == before


def test_what_is_no_volume_is_refused(place: Place) -> None:
    (place.directory / "volume.sqlite").write_bytes(b"no database" * 1000)
    refused(Kind.CORRUPT, place.open)
    (place.directory / "volume.sqlite").unlink()
    refused(Kind.DENIED, place.open)
    assert not (place.directory / "volume.sqlite").exists()


def test_a_volume_has_one_writer(place: Place, volume: Volume) -> None:
    refused(Kind.BUSY, place.open)
    volume.close()
    place.open()


def test_a_volume_of_another_node_is_refused(place: Place) -> None:
    error = refused(Kind.DENIED, lambda: Volume(place.directory, "another", lambda _: place.vault))
    assert "node" in str(error)
    place.open()


def test_a_chapter_that_the_node_lacks_is_named(place: Place, volume: Volume) -> None:
    write(volume, make(volume, b"f").number, 0, bytes(1 << 20))
    volume.close()
    (number,) = place.vault.kept_chapters
    kept = place.vault.kept_chapters.pop(number)
    error = refused(Kind.CORRUPT, place.open)
    assert f"chapters {number}:" in str(error)
    place.vault.kept_chapters[number] = kept
    place.open()


def test_a_chapter_of_a_commit_that_never_was_is_dropped(place: Place, volume: Volume) -> None:
    volume.close()
    chapter = place.vault.begin(77)
    chapter.put(b"left by a crash")
    chapter.commit()
    volume = place.open()
    assert place.vault.kept_chapters == {}
    write(volume, make(volume, b"f").number, 0, bytes(1 << 20))
    volume.sync(0)
    assert min(place.vault.kept_chapters) > 77


def test_closing_moves_all_contents_to_the_vault(place: Place, volume: Volume) -> None:
    file = make(volume, b"f").number
    write(volume, file, 0, b"small")
    volume.close()
    assert sum(map(len, place.vault.kept_chapters.values())) == 1
    with pytest.raises(OSError, match="Input/output"):
        volume.attr(file)
    assert content(place.open(), file) == b"small"


# ── verifying ──


def test_what_does_not_fit_together_is_found(place: Place, volume: Volume) -> None:
    one, two = make(volume, b"1", DIRECTORY).number, make(volume, b"2", DIRECTORY).number
    file = make(volume, b"file", parent=one).number
    write(volume, file, 0, bytes([1]) * (2 << 20))
    volume.set_xattr(file, b"user.x", b"", 0)
    volume.close()
    first = f"(select min(rowid) from block) + 0 * {file}"
    cases = {
        "links, and": [f"update object set links = 2 where number = {file}"],
        "directories, and": [f"update object set links = 3 where number = {one}"],
        "names": [f"insert into entry values (1, x'77', {two}, 1)"],
        "entries, and": [f"update object set size = 5 where number = {one}"],
        "leads to nothing": ["insert into entry values (1, x'77', 12345, 1)"],
        "which is no directory": [f"insert into entry values ({file}, x'77', {file}, 1)"],
        "and says": [f"update object set parent = {two} where number = {one}"],
        "not below the root": [f"update entry set parent = {two} where number = {two}"],
        "is of no object": ["insert into xattr values (12345, x'77', x'')"],
        "is of no file": [f"insert into extent select {one}, 0, 1, number, 0 from block limit 1"],
        "ends after the file": [f"update object set size = 3 where number = {file}"],
        "lies in no block": [f"update extent set block = 12345 where object = {file} and start = 0"],
        "overlap at": [f"update extent set length = length + 1 where object = {file} and start = 0"],
        "and its extents": [f"update object set held = 1 where number = {file}"],
        "bytes in use, and its extents": [f"update block set live = 1 where number = {first}"],
        "is in no chapter": [f"update block set chapter = 12345 where number = {first}"],
        "is not here": [f"update block set chapter = 0 where number = {first}"],
        "bytes in use, and its blocks": ["update chapter set live = 1"],
        "is not in the vault": [f"update block set digest = zeroblob(32) where number = {first}"],
    }
    original = (place.directory / "volume.sqlite").read_bytes()
    for said, statements in cases.items():
        (place.directory / "volume.sqlite").write_bytes(original)
        tampered(place, *statements)
        volume = place.open(keep_orphans=True)
        found = list(volume.verify())
        volume.abandon()
        assert any(said in line for line in found), (said, found)
        for path in place.directory.glob("*-wal"):
            path.unlink()
    (place.directory / "volume.sqlite").write_bytes(original)
    assert list(place.open().verify()) == []


def test_a_chapter_lost_meanwhile_is_found(place: Place, volume: Volume) -> None:
    write(volume, make(volume, b"f").number, 0, bytes(1 << 20))
    volume.sync(0)
    place.vault.kept_chapters.clear()
    assert any("is not in the vault" in line for line in volume.verify())
