"""Descriptors over a socket: whatever comes is the caller's, or nobody's."""

import os
import socket
from collections.abc import Iterator

import pytest

from commonhold.ipc import descriptors


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    here, there = socket.socketpair()
    with here, there:
        yield here, there


def opened() -> int:
    return len(os.listdir("/proc/self/fd"))


Pair = tuple[socket.socket, socket.socket]


def test_what_is_sent_arrives_with_its_bytes_and_is_not_passed_on(pair: Pair) -> None:
    reading, writing = os.pipe()
    descriptors.send(pair[0], b"here", [writing])
    os.close(writing)
    data, fds = descriptors.receive(pair[1], 100, 1)
    assert data == b"here" and len(fds) == 1 and not os.get_inheritable(fds[0])
    os.write(fds[0], b"through")
    assert os.read(reading, 100) == b"through"
    descriptors.close([*fds, reading])


def test_bytes_alone_come_alone(pair: Pair) -> None:
    pair[0].send(b"x")
    assert descriptors.receive(pair[1], 100, 1) == (b"x", [])
    descriptors.send(pair[0], b"x", [])
    assert descriptors.receive(pair[1], 100, 1) == (b"x", [])
    pair[0].close()
    assert descriptors.receive(pair[1], 100, 1) == (b"", [])


@pytest.mark.parametrize(("sent", "most"), [(2, 1), (3, 1), (253, 1), (253, 252), (4, 3), (1, 0)])
def test_of_more_than_were_wanted_none_is_kept(pair: Pair, sent: int, most: int) -> None:
    before = opened()
    descriptors.send(pair[0], b"x", [0] * sent)
    assert descriptors.receive(pair[1], 1, most) == (b"x", [])
    assert opened() == before


def test_as_many_as_were_wanted_are_kept(pair: Pair) -> None:
    before = opened()
    descriptors.send(pair[0], b"x", [0] * 253)
    data, fds = descriptors.receive(pair[1], 1, 253)
    assert data == b"x" and len(set(fds)) == 253
    descriptors.close(fds)
    assert opened() == before


def test_of_two_sendings_one_is_received_at_a_time(pair: Pair) -> None:
    for _ in range(2):
        descriptors.send(pair[0], b"x", [0])
    for _ in range(2):
        data, fds = descriptors.receive(pair[1], 100, 1)
        assert data == b"x" and len(fds) == 1
        descriptors.close(fds)


def test_without_room_for_the_descriptors_nothing_waits(pair: Pair) -> None:
    pair[0].setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            descriptors.send(pair[0], b"x", [0])
