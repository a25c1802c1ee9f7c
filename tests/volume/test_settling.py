"""Settling: what lies badly is stored anew, once, and what cannot be is left as it is."""

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.trees import ROOT
from commonhold.volume import committing, settling
from commonhold.volume.opened import Opened
from commonhold.volume.volume import Volume
from tests.volume.volumes import Place, content, make, write

CHUNK = 1 << 20


def extents(volume: Volume, number: int) -> int:
    return len(volume._extents.over(number, 0, 1 << 62))


def kept(place: Place) -> int:
    """Bytes that the vault keeps."""
    return sum(len(content) for blocks in place.vault.kept_chapters.values() for content in blocks.values())


def test_appends_that_were_synced_one_by_one_become_one_extent(
    place: Place, volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "INLINE", 0)  # each to the vault at once
    file = make(volume, b"log").number
    for n in range(100):
        write(volume, file, n * 1000, bytes([n]) * 1000)
        volume.sync(file)
    assert extents(volume, file) == 100 and len(place.vault.kept_chapters) <= settling.MOST_CHAPTERS + 1
    volume.settle()
    assert extents(volume, file) == 1 and kept(place) == 100_000
    assert content(place.crash(volume), file) == b"".join(bytes([n]) * 1000 for n in range(100))


def test_many_pieces_with_holes_between_them_are_left_as_they_are(place: Place, volume: Volume) -> None:
    file = make(volume, b"sparse").number
    for n in range(400):
        write(volume, file, n * 2000, b"x" * 1000)
    volume.settle()
    done: list[str] = []
    place.vault.step = done.append
    volume.settle()
    assert done == [] and extents(volume, file) == 400
    assert list(volume.verify()) == []


def test_a_block_of_which_most_is_gone_is_stored_anew(place: Place, volume: Volume) -> None:
    files = [make(volume, b"%d" % n).number for n in range(10)]
    for file in files:
        write(volume, file, 0, bytes([file % 256]) * 100_000)
    volume.settle()
    assert kept(place) == 1_000_000
    for n in range(4):
        volume.unlink(ROOT, b"%d" % n)
    volume.forget(files[:4])
    volume.settle()
    assert kept(place) == 1_000_000  # most is used
    for n in range(4, 7):
        volume.unlink(ROOT, b"%d" % n)
    volume.forget(files[4:7])
    volume.settle()
    assert kept(place) == 300_000
    for file in files[7:]:
        assert content(volume, file) == bytes([file % 256]) * 100_000


def test_chapters_stay_few_and_none_keeps_much_that_is_gone(place: Place, volume: Volume) -> None:
    for n in range(60):
        file = make(volume, b"%d" % n).number
        write(volume, file, 0, bytes([n]) * 300_000)
        volume.sync(0)
        assert len(place.vault.kept_chapters) <= settling.MOST_CHAPTERS + settling.MERGED
    for n in range(0, 60, 3):
        for gone in (n, n + 1):
            number = volume.lookup(ROOT, b"%d" % gone).number
            volume.unlink(ROOT, b"%d" % gone)
            volume.forget([number])
        volume.sync(0)
    volume.settle()
    assert kept(place) == 20 * 300_000
    assert {number for number, *_ in volume._extents.chapters()} == set(place.vault.kept_chapters)


def test_a_block_that_cannot_be_read_does_not_keep_others_from_being_settled(place: Place, volume: Volume) -> None:
    for name in (b"bad", b"bad too", b"good", b"good too"):
        write(volume, make(volume, name).number, 0, name * (75_000 if len(name) < 5 else 60_000))
        if name.endswith(b"too"):
            volume.settle()
    (bad, *_), volume._opened = place.vault.kept_chapters.values(), Opened(place.vault.read)
    bad.clear()
    for name in (b"bad too", b"good too"):
        number = volume.lookup(ROOT, name).number
        write(volume, number, 0, b"x")
        volume.allocate(number, 0, 600_000, 3)
    volume.settle()
    assert kept(place) == len(b"good" * 75_000)
    assert content(volume, volume.lookup(ROOT, b"good").number) == b"good" * 75_000
    with pytest.raises(OSError, match="not in this vault"):
        content(volume, volume.lookup(ROOT, b"bad").number)
    assert any("is not in the vault" in line for line in volume.verify())
    volume.close()


def test_what_a_full_vault_refused_is_moved_when_there_is_room(place: Place, volume: Volume) -> None:
    def full(name: str) -> None:
        raise HoldError(name, Kind.QUOTA, "session", "quota full")

    place.vault.step = full
    file = make(volume, b"f").number
    write(volume, file, 0, b"x" * (2 * CHUNK))
    volume.sync(0)
    volume.settle()
    assert volume._extents.inline == 2 * CHUNK and kept(place) == 0
    place.vault.step = lambda name: None
    volume.settle()
    assert volume._extents.inline == 0 and kept(place) == CHUNK  # the same twice
    write(volume, file, 0, b"y")


def test_a_sync_moves_what_lies_in_the_tables_when_it_is_much(
    place: Place, volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "INLINE_ALL", 100_000)
    file = make(volume, b"f").number
    for n in range(40):
        write(volume, file, n * 10_000, bytes([n]) * 10_000)
        volume.sync(0)
        assert volume._extents.inline <= 110_000
    assert kept(place) >= 300_000
    assert committing.INLINE_ALL == 4 << 20
