"""Open files over a socket: they arrive with their bytes, no more than are wanted, and none stays open by mistake."""

import array
import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator

import pytest

from commonhold.ipc import descriptors
from commonhold.ipc.descriptors import TooMany
from tests.opened import none_left


@contextlib.contextmanager
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected sockets; no file is open afterwards that was not before."""
    with none_left():
        one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with one, other:
            other.settimeout(20)
            yield one, other


@contextlib.contextmanager
def files(count: int) -> Iterator[list[int]]:
    """Some open files, each with its number in it."""
    made = [os.memfd_create(f"file {number}") for number in range(count)]
    try:
        for number, fd in enumerate(made):
            os.write(fd, b"%d" % number)
        yield made
    finally:
        descriptors.close_all(made)


@pytest.mark.parametrize("count", range(5))
def test_files_arrive_in_their_order_beside_the_bytes(count: int) -> None:
    with pair() as (one, other), files(count) as sent:
        descriptors.send(one, b"bytes", sent)
        data, received = descriptors.receive(other, 100, 4)
        assert data == b"bytes"
        assert [os.pread(fd, 10, 0) for fd in received] == [b"%d" % number for number in range(count)]
        assert not set(received) & set(sent)
        descriptors.close_all(received)


def test_what_arrives_is_not_passed_on_to_programs_that_are_started() -> None:
    with pair() as (one, other), files(1) as sent:
        descriptors.send(one, b"x", sent)
        _, received = descriptors.receive(other, 1, 1)
        assert fcntl.fcntl(received[0], fcntl.F_GETFD) & fcntl.FD_CLOEXEC
        descriptors.close_all(received)


def test_all_of_many_bytes_are_sent_and_the_files_come_with_the_first() -> None:
    data = os.urandom(3 << 20)
    with pair() as (one, other), files(2) as sent:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        child = os.fork()
        if child == 0:
            try:
                descriptors.send(one, data, sent)
            finally:
                os._exit(0)
        one.close()
        first, received = descriptors.receive(other, 1000, 4)
        assert len(received) == 2 and 0 < len(first) <= 1000
        descriptors.close_all(received)
        rest = bytearray(first)
        while True:
            more, none = descriptors.receive(other, 1 << 16, 4)
            assert none == []
            if not more:
                break
            rest += more
        os.waitpid(child, 0)
        assert rest == data


def test_no_bytes_come_once_the_other_end_has_hung_up() -> None:
    with pair() as (one, other):
        one.close()
        assert descriptors.receive(other, 10, 4) == (b"", [])


@pytest.mark.parametrize(("sent", "most"), [(1, 0), (2, 1), (3, 2), (4, 3), (5, 4), (253, 4), (253, 0)])
def test_more_files_than_are_wanted_are_refused_and_closed(sent: int, most: int) -> None:
    with pair() as (one, other), files(1) as (fd,):
        descriptors.send(one, b"x", [fd] * sent)
        with pytest.raises(TooMany):
            descriptors.receive(other, 10, most)


def test_files_that_were_never_received_are_closed_with_the_socket() -> None:
    with pair() as (one, other):
        reading, writing = os.pipe()
        descriptors.send(one, b"x", [writing])
        os.close(writing)
        other.close()
        assert os.read(reading, 1) == b""  # nobody has the other end any more
        os.close(reading)


def test_other_words_beside_the_bytes_are_no_files() -> None:
    with pair() as (one, other):
        other.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        one.sendall(b"x")
        assert descriptors.receive(other, 10, 4) == (b"x", [])


def test_credentials_and_files_together_do_not_keep_files_open() -> None:
    with pair() as (one, other), files(1) as (fd,):
        other.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        one.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd] * 4))])
        with contextlib.suppress(TooMany):
            descriptors.close_all(descriptors.receive(other, 10, 4)[1])
