"""The keeper between its worker and those who bring agents: one letter and a uid, and nothing else is heeded."""

import os
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from commonhold.mount import keeper
from commonhold.mount.keeper import Keeper, Parts, Place

NOBODY = -1


class Kept:
    """A keeper that has mounted nothing, and a worker's end of its line."""

    def __init__(self, bring: Callable[[int], object]) -> None:
        self.ready = 0
        place = Place(Path("/nowhere"))
        self.keeper = Keeper(Parts(place, Path("/nowhere"), 0, 0, NOBODY, self._work, bring, self._say_ready))
        line, self.worker = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.keeper._line = line
        self.worker.setblocking(False)

    def _work(self, *_: object) -> None:
        raise AssertionError("no worker is started here")

    def _say_ready(self) -> None:
        self.ready += 1

    def hear(self, *said: bytes) -> None:
        """Have the keeper heed so many words of the worker's."""
        for word in said:
            self.worker.send(word)
            assert self.keeper._line is not None
            self.keeper._listen(self.keeper._line)

    def told(self) -> list[bytes]:
        """What the worker was told since."""
        found = []
        with suppress(BlockingIOError):
            while True:
                found.append(self.worker.recv(64))
        return found

    def settle(self) -> None:
        """Wait until everybody who was to bring an agent has ended, and have the keeper see it."""
        for process in self.keeper._bringing.values():
            os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
        self.keeper._reap()


def begin(bring: Callable[[int], object]) -> Iterator[Kept]:
    kept = Kept(bring)
    yield kept
    kept.keeper._end_all()
    kept.worker.close()
    if kept.keeper._line is not None:
        kept.keeper._line.close()


@pytest.fixture
def willing() -> Iterator[Kept]:
    yield from begin(lambda _: None)


@pytest.fixture
def failing() -> Iterator[Kept]:
    yield from begin(lambda _: os._exit(1))


@pytest.fixture
def lasting() -> Iterator[Kept]:
    yield from begin(lambda _: signal.pause())


def bring(uid: int) -> bytes:
    return b"A" + struct.pack("<I", uid)


def failed(uid: int) -> bytes:
    return b"F" + struct.pack("<I", uid)


def test_of_an_agent_that_was_brought_nothing_is_said_and_it_can_be_brought_again(willing: Kept) -> None:
    for _ in range(2):
        willing.hear(bring(1000))
        assert set(willing.keeper._bringing) == {1000}
        willing.settle()
        assert not willing.keeper._bringing and willing.told() == []


def test_the_worker_is_told_of_an_agent_that_could_not_be_brought(failing: Kept) -> None:
    failing.hear(bring(1000), bring((1 << 32) - 1))
    failing.settle()
    assert sorted(failing.told()) == sorted([failed(1000), failed((1 << 32) - 1)])


def test_an_agent_is_brought_once_at_a_time_and_so_many_at_once(lasting: Kept) -> None:
    lasting.hear(*[bring(uid) for uid in range(1000, 1008)] * 2)
    assert len(lasting.keeper._bringing) == 8 and lasting.told() == []
    lasting.hear(bring(2000))
    assert lasting.told() == [failed(2000)] and len(lasting.keeper._bringing) == 8


def test_it_is_ready_when_the_worker_serves_and_the_directories_are_shown(willing: Kept) -> None:
    willing.hear(b"R")
    assert willing.ready == 0
    willing.keeper._come("directories")
    assert willing.ready == 1
    willing.hear(b"R")  # another worker
    assert willing.ready == 1


@pytest.mark.parametrize("said", [b"A", b"A123", b"A12345", b"RR", b"F1234", b"X1234", b"\0", b"a1234", b"A" * 64])
def test_anything_else_is_not_heeded(lasting: Kept, said: bytes) -> None:
    lasting.hear(said)
    assert not lasting.keeper._bringing and not lasting.ready and lasting.told() == []


def test_a_worker_that_hangs_up_is_not_listened_to(willing: Kept) -> None:
    willing.worker.close()
    assert willing.keeper._line is not None
    willing.keeper._listen(willing.keeper._line)
    assert willing.keeper._line is None
    willing.keeper._tell(1000)  # nobody is there


def test_a_worker_that_has_ended_is_replaced_and_later_if_it_did_not_live_long(willing: Kept) -> None:
    pauses: list[float] = []
    for _ in range(8):
        willing.keeper._worker = keeper._fork(lambda: None)
        willing.keeper._began = time.monotonic()
        os.waitid(os.P_PID, willing.keeper._worker, os.WEXITED | os.WNOWAIT)
        before = time.monotonic()
        willing.keeper._reap()
        assert willing.keeper._worker is None and willing.keeper._again is not None
        pauses.append(round(willing.keeper._again - before, 1))
    assert pauses == [0.1, 0.5, 1.0, 2.0, 5.0, 5.0, 5.0, 5.0]
    willing.keeper._worker = keeper._fork(lambda: None)
    willing.keeper._began = time.monotonic() - 60
    os.waitid(os.P_PID, willing.keeper._worker, os.WEXITED | os.WNOWAIT)
    willing.keeper._reap()
    assert willing.keeper._again is not None and willing.keeper._again <= time.monotonic()


def test_a_worker_that_has_ended_is_not_killed_and_one_that_has_not_is(
    willing: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number may be another process's by then."""
    monkeypatch.setattr(keeper, "_STOP_SECONDS", 0.0)
    killed: list[int] = []
    kill = os.kill

    def note(process: int, number: int) -> None:
        killed.append(process)
        kill(process, number)

    monkeypatch.setattr(os, "kill", note)
    willing.keeper._worker = keeper._fork(lambda: None)
    os.waitid(os.P_PID, willing.keeper._worker, os.WEXITED | os.WNOWAIT)
    willing.keeper._end_all()
    assert killed == []
    willing.keeper._worker = keeper._fork(lambda: signal.pause())
    willing.keeper._end_all()
    assert killed == [willing.keeper._worker]
    willing.keeper._worker = None
