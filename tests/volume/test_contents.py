"""Contents: what is written is read, wherever it lies by then."""

import errno
import random

import pytest

from commonhold.trees import KEEP_SIZE, PUNCH_HOLE, SEEK_DATA, SEEK_HOLE, ZERO_RANGE, Change
from commonhold.volume.volume import Volume
from tests.volume.volumes import Place, content, make, write

CHUNK = 1 << 20


def test_small_and_large_files_come_back_after_a_crash(place: Place, volume: Volume) -> None:
    rng = random.Random(1)
    files = {b"%d" % n: rng.randbytes(size) for n, size in enumerate((0, 1, 1000, 300_000, CHUNK, 5 * CHUNK + 77))}
    for name, data in files.items():
        write(volume, make(volume, name).number, 0, data)
    for name, data in files.items():
        assert content(volume, volume.lookup(1, name).number) == data
    volume.sync(0)
    assert volume.dirty_since is None
    volume = place.crash(volume)
    for name, data in files.items():
        assert content(volume, volume.lookup(1, name).number) == data
    volume.settle()
    volume = place.crash(volume)
    for name, data in files.items():
        assert content(volume, volume.lookup(1, name).number) == data


def test_a_small_commit_asks_nothing_of_the_vault(place: Place, volume: Volume) -> None:
    file = make(volume, b"page")
    volume.sync(0)
    done: list[str] = []
    place.vault.step = done.append
    for n in range(20):
        write(volume, file.number, n * 4096, bytes([n]) * 4096)
        volume.sync(file.number)
    assert done == []
    volume = place.crash(volume)
    assert content(volume, file.number) == b"".join(bytes([n]) * 4096 for n in range(20))


def test_much_that_lies_in_the_tables_moves_to_the_vault(place: Place, volume: Volume) -> None:
    file = make(volume, b"log")
    for n in range(30):
        write(volume, file.number, n * 200_000, bytes([n]) * 200_000)
        volume.sync(file.number)
    assert volume._extents.inline < 5 << 20 and place.vault.kept_chapters
    volume.settle()
    assert volume._extents.inline == 0
    assert len(volume._extents.over(file.number, 0, 1 << 62)) <= 12
    assert content(place.crash(volume), file.number) == b"".join(bytes([n]) * 200_000 for n in range(30))


def test_holes_are_where_nothing_was_written(volume: Volume) -> None:
    file = make(volume, b"sparse").number
    write(volume, file, 3 * CHUNK, b"x" * 10)
    write(volume, file, 5 * CHUNK, b"y" * CHUNK)
    volume.change(file, Change(size=1 << 41))
    for stored in (False, True):
        if stored:
            volume.settle()
        attr = volume.attr(file)
        assert (attr.size, attr.blocks) == (1 << 41, (CHUNK + 10 + 511) // 512)
        assert volume.seek(file, 0, SEEK_DATA) == 3 * CHUNK and volume.seek(file, 0, SEEK_HOLE) == 0
        assert volume.seek(file, 3 * CHUNK + 1, SEEK_HOLE) == 3 * CHUNK + 10
        assert volume.seek(file, 4 * CHUNK, SEEK_DATA) == 5 * CHUNK
        assert volume.seek(file, 5 * CHUNK + 7, SEEK_HOLE) == 6 * CHUNK
        with pytest.raises(OSError) as caught:
            volume.seek(file, 6 * CHUNK, SEEK_DATA)
        assert caught.value.errno == errno.ENXIO
        assert volume.read(file, 3 * CHUNK - 2, 14) == b"\0\0" + b"x" * 10 + b"\0\0"
        assert volume.read(file, (1 << 41) - 3, 100) == bytes(3)


def test_what_was_cut_off_is_zero_when_the_file_grows_again(volume: Volume) -> None:
    file = make(volume, b"f").number
    write(volume, file, 0, b"abcdef")
    for stored in (False, True):
        if stored:
            volume.settle()
        volume.change(file, Change(size=3))
        volume.change(file, Change(size=6))
        assert content(volume, file) == b"abc\0\0\0"


def test_punched_and_zeroed_ranges_are_holes(volume: Volume) -> None:
    file = make(volume, b"f").number
    write(volume, file, 0, b"x" * 100)
    volume.settle()
    volume.allocate(file, 10, 20, PUNCH_HOLE | KEEP_SIZE)
    assert content(volume, file) == b"x" * 10 + bytes(20) + b"x" * 70
    volume.allocate(file, 90, 20, ZERO_RANGE | KEEP_SIZE)
    assert volume.attr(file).size == 100
    volume.allocate(file, 90, 20, ZERO_RANGE)
    assert content(volume, file) == b"x" * 10 + bytes(20) + b"x" * 60 + bytes(20)
    volume.allocate(file, 0, 200, 0)
    assert volume.attr(file).size == 200
    volume.allocate(file, 0, 300, KEEP_SIZE)
    assert volume.attr(file).size == 200


def test_a_copy_shares_what_is_stored_and_is_another_file(place: Place, volume: Volume) -> None:
    one, two = make(volume, b"1").number, make(volume, b"2").number
    data = random.Random(2).randbytes(3 * CHUNK + 5)
    write(volume, one, 0, data)
    volume.settle()
    write(volume, one, 10, b"unstored")
    data = data[:10] + b"unstored" + data[18:]
    place.vault.reads = 0
    volume._opened = type(volume._opened)(place.vault.read)
    assert volume.copy(one, 0, two, 7, 1 << 40) == len(data)
    assert place.vault.reads == 0
    write(volume, one, 0, b"changed")
    assert content(volume, two) == bytes(7) + data
    volume.sync(0)
    volume.unlink(1, b"1")
    volume.forget([one])
    volume.settle()
    assert content(place.crash(volume), two) == bytes(7) + data


def test_a_write_beyond_the_largest_size_is_refused(volume: Volume) -> None:
    file = make(volume, b"f").number
    write(volume, file, (1 << 63) - 2, b"x")
    assert volume.attr(file).size == (1 << 63) - 1
    for call in (
        lambda: write(volume, file, (1 << 63) - 1, b"x"),
        lambda: volume.change(file, Change(size=1 << 63)),
        lambda: volume.allocate(file, (1 << 63) - 1, 1, 0),
    ):
        with pytest.raises(OSError) as caught:
            call()
        assert caught.value.errno == errno.EFBIG
    volume.settle()
    assert volume.read(file, (1 << 63) - 3, 10) == b"\0x"
