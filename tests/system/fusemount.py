"""A mount of a tree in memory, served by a thread of this process: gone with the block that uses it, whatever happened.

What the kernel wrote is kept, each request as it came and as it was parsed.
"""

import ctypes
import os
import select
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from commonhold.formats import fuse, fusereplies
from commonhold.formats.fuse import NO_REPLY, BadRequest, Request
from tests.system.fusetree import Tree

_BUFFER = (1 << 20) + 8192
_MNT_DETACH = 2
_MS_NOSUID_NODEV = 6
_libc = ctypes.CDLL(None, use_errno=True)


class Served:
    """What came in, in order: the bytes, and what they were parsed to (None: refused)."""

    def __init__(self, device: int, tree: Tree) -> None:
        self.seen: list[tuple[bytes, Request | None]] = []
        self.refused: list[BadRequest] = []
        self.trouble: list[str] = []
        self.tree = tree
        self._device = device
        self._stop, self._wake = os.pipe()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        buffer = bytearray(_BUFFER)
        waiting = select.poll()
        waiting.register(self._device, select.POLLIN)
        waiting.register(self._stop, select.POLLIN)
        try:
            while not any(fd == self._stop for fd, _ in waiting.poll()):
                with suppress(InterruptedError, BlockingIOError):
                    size = os.readv(self._device, [buffer])
                    self._take(memoryview(buffer)[:size])
        except OSError as error:
            if error.errno != 19:  # ENODEV: it was unmounted
                self.trouble.append(traceback.format_exc())
        except Exception:  # noqa: BLE001 - shown by the test, whose thread this is not
            self.trouble.append(traceback.format_exc())
        finally:
            os.close(self._device)  # what waits for an answer gets an error now

    def _take(self, data: memoryview) -> None:
        raw = bytes(data)
        try:
            request = fuse.parse(data)
        except BadRequest as bad:
            self.refused.append(bad)
            self.seen.append((raw, None))
            assert bad.opcode not in NO_REPLY
            self._send([fusereplies.error(bad.unique, bad.errno)])
            return
        self.seen.append((raw, fuse.parse(raw)))
        self._send(self.tree.answer(request))

    def _send(self, replies: list[fusereplies.Reply]) -> None:
        for head, payload in replies:
            assert os.writev(self._device, [head, payload]) == len(head) + len(payload)

    def end(self) -> None:
        """Stop serving."""
        os.write(self._wake, b"x")
        self._thread.join(10)
        os.close(self._wake)
        os.close(self._stop)


@contextmanager
def mounted(where: Path, flags: int, unknown: frozenset[int] = frozenset()) -> Iterator[Served]:
    """A tree that is mounted at a directory, for everybody."""
    where.mkdir()
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other"
    place = os.fsencode(where)
    if _libc.mount(b"hold-test", place, b"fuse.hold-test", _MS_NOSUID_NODEV, options.encode()) != 0:
        os.close(device)
        raise OSError(ctypes.get_errno(), "mount")
    served = Served(device, Tree(flags, unknown))
    try:
        yield served
    finally:
        _libc.umount2(place, _MNT_DETACH)
        served.end()
        where.rmdir()
