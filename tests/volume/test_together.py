"""Many threads at one volume, and limits of memory."""

import errno
import threading
import time
from collections.abc import Callable

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.volume import writing
from commonhold.volume.opened import Opened
from commonhold.volume.vault import Sealed
from commonhold.volume.volume import Volume
from tests.volume.volumes import Place, content, make, write
from tests.waiting import SECONDS

CHUNK = 1 << 20


def together(*calls: Callable[[], None]) -> None:
    """Run all at once; the first error is the test's."""
    errors: list[BaseException] = []

    def run(call: Callable[[], None]) -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 told to the test
            errors.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
        assert not thread.is_alive()
    if errors:
        raise errors[0]


def test_reads_see_whole_writes_while_commits_and_settling_move_them(place: Place, volume: Volume) -> None:
    files = [make(volume, b"%d" % n).number for n in range(3)]
    size = 3 * CHUNK // 2
    for file in files:
        write(volume, file, 0, bytes(size))
    volume._opened = Opened(place.vault.read, CHUNK)
    stop = threading.Event()

    def writer() -> None:
        try:
            for n in range(1, 60):
                for file in files:
                    write(volume, file, 0, bytes([n]) * size)
        finally:
            stop.set()

    def reader() -> None:
        last = [0] * len(files)
        while not stop.is_set():
            for at, file in enumerate(files):
                data = volume.read(file, CHUNK // 2, CHUNK)
                assert data[:1] * CHUNK == data and data[0] >= last[at]
                last[at] = data[0]

    def committer() -> None:
        while not stop.is_set():
            volume.sync(0)
            volume.settle()

    together(writer, reader, reader, committer)
    assert all(content(volume, file) == bytes([59]) * size for file in files)
    assert list(volume.verify()) == []


def test_several_syncs_at_once_all_mean_it(place: Place, volume: Volume) -> None:
    def work(n: int) -> Callable[[], None]:
        def call() -> None:
            file = make(volume, b"%d" % n).number
            for at in range(20):
                write(volume, file, at * 100, bytes([n]) * 100)
                volume.sync(file)

        return call

    together(*(work(n) for n in range(1, 7)))
    volume = place.crash(volume)
    for n in range(1, 7):
        assert content(volume, volume.lookup(1, b"%d" % n).number) == bytes([n]) * 2000


def test_writes_wait_while_too_much_is_unstored(place: Place, volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "MOST", 4 * CHUNK)
    going = threading.Event()

    def held_up(name: str) -> None:
        if name == "commit":
            assert going.wait(SECONDS)

    place.vault.step = held_up
    file = make(volume, b"f").number
    done: list[int] = []

    def writer() -> None:
        for n in range(100):
            write(volume, file, n * 333_333, bytes([n]) * 333_333)
            done.append(n)
            assert volume._unstored.total <= 4 * CHUNK

    thread = threading.Thread(target=writer)
    thread.start()
    thread.join(0.5)
    assert thread.is_alive() and 0 < len(done) < 20
    assert volume.lookup(1, b"f").size == len(done) * 333_333  # nothing else waits
    going.set()
    thread.join(SECONDS)
    assert not thread.is_alive()
    assert content(volume, file) == b"".join(bytes([n]) * 333_333 for n in range(100))


def test_a_full_vault_refuses_writes_and_what_was_synced_is_there(place: Place, volume: Volume) -> None:
    file = make(volume, b"f").number
    write(volume, file, 0, b"a" * CHUNK)
    volume.sync(0)

    def full(name: str) -> None:
        if name == "put":
            raise HoldError("put", Kind.QUOTA, "session", "quota full")

    place.vault.step = full
    write(volume, file, 0, b"b" * CHUNK)
    volume.sync(0)  # into the tables
    with pytest.raises(OSError) as caught:
        write(volume, file, 0, b"c")
    assert caught.value.errno == errno.EDQUOT
    assert content(place.crash(volume), file) == b"b" * CHUNK
    volume = place.opened[-1]
    volume.unlink(1, b"f")  # what makes room is not refused
    volume.forget([file])
    volume.sync(0)
    assert place.vault.kept_chapters == {}
    place.clock.now += 10 * 10**9
    file = make(volume, b"g").number
    place.vault.step = lambda name: None
    write(volume, file, 0, b"d" * CHUNK)
    volume.settle()
    assert content(place.crash(volume), file) == b"d" * CHUNK


def test_a_vault_that_is_away_makes_syncs_fail_only_when_much_is_unstored(
    place: Place, volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("commonhold.volume.committing.INLINE_MOST", 3 * CHUNK)

    def away(name: str) -> None:
        raise HoldError(name, Kind.UNREACHABLE, "node", "it is not there")

    place.vault.step = away
    file = make(volume, b"f").number
    write(volume, file, 0, b"a" * (2 * CHUNK))
    volume.sync(0)
    write(volume, file, 2 * CHUNK, b"b" * (2 * CHUNK))
    with pytest.raises(OSError) as caught:
        volume.sync(0)
    assert caught.value.errno == errno.EIO
    assert content(volume, file) == b"a" * (2 * CHUNK) + b"b" * (2 * CHUNK)
    place.vault.step = lambda name: None
    volume.sync(0)
    assert volume._extents.inline == 2 * CHUNK and len(place.vault.kept_chapters) == 1
    assert content(place.crash(volume), file) == b"a" * (2 * CHUNK) + b"b" * (2 * CHUNK)


def test_what_many_ask_for_is_fetched_once_and_little_is_remembered() -> None:
    begun, going = threading.Semaphore(0), threading.Event()
    fetched: list[bytes] = []

    def fetch(block: Sealed) -> bytes:
        fetched.append(block.digest)
        begun.release()
        assert going.wait(SECONDS)
        return block.digest * 100

    opened = Opened(fetch, 250)
    block = Sealed(b"a", b"", b"", 100)

    def ask() -> None:
        assert opened.get(block) == b"a" * 100

    def let_go() -> None:
        begun.acquire(timeout=SECONDS)
        going.set()

    together(let_go, *[ask] * 5)
    assert fetched == [b"a"]
    for name in (b"b", b"a", b"c"):
        opened.get(Sealed(name, b"", b"", 100))
    assert opened.peek(b"a") and opened.peek(b"c") and opened.peek(b"b") is None


def test_an_error_of_one_fetch_is_told_to_all_and_forgotten() -> None:
    answers: list[BaseException | bytes] = [HoldError("get", Kind.NOT_FOUND, "block", "gone"), b"there"]

    def fetch(block: Sealed) -> bytes:
        answer = answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    opened = Opened(fetch)
    block = Sealed(b"a", b"", b"", 5)
    with pytest.raises(HoldError):
        opened.get(block)
    assert opened.get(block) == b"there"


def test_a_block_that_is_gone_for_good_is_an_error_of_reading(place: Place, volume: Volume) -> None:
    file = make(volume, b"f").number
    write(volume, file, 0, bytes(CHUNK))
    volume.settle()
    volume._opened = Opened(place.vault.read)
    place.vault.kept_chapters.clear()
    with pytest.raises(OSError) as caught:
        volume.read(file, 0, 10)
    assert caught.value.errno == errno.EIO
    assert volume.attr(file).size == CHUNK


def test_a_file_read_in_order_is_fetched_ahead(place: Place, volume: Volume) -> None:
    file = make(volume, b"f").number
    write(volume, file, 0, b"".join(bytes([n]) * CHUNK for n in range(20)))
    volume.settle()
    volume._opened = Opened(place.vault.read)
    missed = 0
    for at in range(0, 20 * CHUNK, CHUNK // 4):
        data = volume.cached(file, at, CHUNK // 4)
        if data is None:
            missed += 1
            data = volume.read(file, at, CHUNK // 4)
        assert data == bytes([at // CHUNK]) * (CHUNK // 4)
        for _ in range(3):
            volume._pool.submit(lambda: None).result()
        time.sleep(0.002)
    assert missed < 6 and place.vault.reads == 20


def test_a_file_read_here_and_there_is_not(place: Place, volume: Volume) -> None:
    file = make(volume, b"f").number
    write(volume, file, 0, b"".join(bytes([n]) * CHUNK for n in range(20)))
    volume.settle()
    volume._opened = Opened(place.vault.read)
    for at in (7, 3, 12, 18, 1, 9):
        volume.read(file, at * CHUNK, 4096)
    volume._pool.shutdown()
    assert place.vault.reads == 6


def test_what_is_written_over_and_over_is_not_sent_each_time(place: Place, volume: Volume) -> None:
    file = make(volume, b"f").number
    done: list[str] = []
    place.vault.step = done.append
    write(volume, file, 0, bytes(CHUNK))
    for n in range(500):
        write(volume, file, n * 2000, b"x" * 1500)
    volume.sync(0)
    assert done.count("put") <= 3
    assert content(volume, file) == b"".join(b"x" * 1500 + bytes(500) for _ in range(500)) + bytes(CHUNK - 1_000_000)


def test_many_tiny_pieces_do_not_use_up_memory(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "MOST_PIECES", 100)
    file = make(volume, b"f").number
    for n in range(1000):
        write(volume, file, n * 10, b"x")
        assert volume._unstored.count <= 101
    assert volume.attr(file).size == 9991 and volume.attr(file).blocks == 2
    assert content(volume, file) == (b"x" + bytes(9)) * 999 + b"x"


def test_a_read_whose_block_has_gone_meanwhile_reads_what_is_there_now(place: Place, volume: Volume) -> None:
    file = make(volume, b"f").number
    write(volume, file, 0, b"a" * CHUNK)
    volume.settle()
    volume._opened = Opened(place.vault.read)

    def overwritten(name: str) -> None:
        place.vault.step = lambda name: None
        write(volume, file, 0, b"b" * CHUNK)
        volume.sync(0)

    place.vault.step = overwritten
    assert volume.read(file, 0, CHUNK) == b"b" * CHUNK


def test_a_commit_ends_while_others_write(place: Place, volume: Volume) -> None:
    files = [make(volume, b"%d" % n).number for n in range(3)]
    threads: list[threading.Thread] = []

    def others(name: str) -> None:
        if name == "commit" and len(threads) < 2:
            file = files[len(threads) + 1]
            threads.append(threading.Thread(target=lambda: write(volume, file, 5, bytes(CHUNK))))
            threads[-1].start()
            threads[-1].join(0.2)

    place.vault.step = others
    write(volume, files[0], 0, bytes(CHUNK))
    volume.sync(0)
    for thread in threads:
        thread.join(SECONDS)
        assert not thread.is_alive()
    assert len(threads) == 2 and volume._extents.inline == 0
    assert content(volume, files[2]) == bytes(CHUNK + 5)


def test_chapters_that_cannot_be_made_anew_do_not_cost_each_sync(
    place: Place, volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("commonhold.volume.settling.MOST_CHAPTERS", 2)
    monkeypatch.setattr("commonhold.volume.settling.MERGED", 2)
    done: list[str] = []

    def failing(name: str) -> None:
        done.append(name)
        if name == "keep":
            raise HoldError("keep", Kind.NOT_FOUND, "block", "gone")

    place.vault.step = failing
    for n in range(8):
        write(volume, make(volume, b"%d" % n).number, 0, bytes([n]) * 300_000)
        volume.sync(0)
    assert done.count("keep") == 1
    place.vault.step = lambda name: None
    volume.settle()
    assert len(place.vault.kept_chapters) <= 2
