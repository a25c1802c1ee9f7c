"""Open files of somebody else's: read and written, not closed. Nobody waits for one whose owner has left."""

import contextlib
import fcntl
import io
import os
import select
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from commonhold.calls import Open
from commonhold.errors import from_os

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

_BUFFER = 1 << 20
_ALL = 1 << 30
_WRITE_EVENTS = select.POLLOUT | select.POLLERR | select.POLLHUP


class Gone(Exception):
    """Whoever asked for something has left. There is nobody to be told."""


def _wait(file: Open, events: int) -> None:
    """Return when a file can be read or written. Gone when its owner's connection ends before."""
    poll = select.poll()
    poll.register(file.fd, events)
    if file.caller is not None:
        poll.register(file.caller, select.POLLRDHUP)
    while True:
        ready = dict(poll.poll())
        if file.caller is not None and file.caller in ready:
            raise Gone
        if file.fd in ready:
            return


def write_all(file: Open, data: memoryview) -> None:
    """Write all of it. BrokenPipeError where nobody reads it; HoldError for what else the machine says."""
    with _unhindered(file) as (fd, most):
        while data:
            if file.caller is not None:
                _wait(file, _WRITE_EVENTS)
            try:
                data = data[os.write(fd, data[:most]) :]
            except BlockingIOError:
                _wait(file, _WRITE_EVENTS)
            except BrokenPipeError:
                raise
            except OSError as error:
                raise from_os("write", file.said, error) from error


@contextlib.contextmanager
def _unhindered(file: Open) -> Iterator[tuple[int, int]]:
    """A descriptor for a file that can be written without being held there, and how many bytes at once.

    A write to a pipe waits until all of it is read, whoever leaves meanwhile. That it does not is a flag of the open
    file, which is the owner's too: so the pipe is opened once more.
    """
    mode = os.fstat(file.fd).st_mode
    if file.caller is None or not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(file.fd)):
        yield file.fd, _ALL
        return
    flags = fcntl.fcntl(file.fd, fcntl.F_GETFL) & os.O_ACCMODE
    try:
        fd = os.open(f"/proc/self/fd/{file.fd}", flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:  # a socket, or somebody else made it: what poll lets us write at least does not wait
        yield file.fd, select.PIPE_BUF
        return
    try:
        yield fd, _ALL
    finally:
        os.close(fd)


class _Stream(io.RawIOBase):
    """One file as Python's streams have it; closing the stream leaves the file open."""

    def __init__(self, file: Open) -> None:
        self._file = file
        self._dropping = False

    def fileno(self) -> int:
        """Its descriptor."""
        return self._file.fd

    def readable(self) -> bool:
        """As far as it was opened for that."""
        return True

    def writable(self) -> bool:
        """As far as it was opened for that."""
        return True

    def drop(self) -> None:
        """Write nothing more."""
        self._dropping = True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Read what there is, once there is something."""
        while True:
            if self._file.caller is not None:
                _wait(self._file, select.POLLIN)
            try:
                return os.readv(self._file.fd, [buffer])
            except BlockingIOError:
                _wait(self._file, select.POLLIN)
            except OSError as error:
                raise from_os("read", self._file.said, error) from error

    def write(self, data: "ReadableBuffer") -> int:
        """Write all of it."""
        with memoryview(data).cast("B") as view:
            if not self._dropping:
                write_all(self._file, view)
            return len(view)


@contextlib.contextmanager
def reading(file: Open) -> Iterator[BinaryIO]:
    """The file as a stream of bytes, from where it stands."""
    with io.BufferedReader(_Stream(file), _BUFFER) as stream:
        yield stream


@contextlib.contextmanager
def writing(file: Open) -> Iterator[BinaryIO]:
    """The file as a stream of bytes, flushed when the block ends well."""
    raw = _Stream(file)
    stream = io.BufferedWriter(raw, _BUFFER)
    try:
        yield stream
        stream.flush()
    except BaseException:
        raw.drop()
        raise
    finally:
        stream.detach()  # which flushes
