"""One file's bytes into blocks: read straight into the memory that goes to disk, hashed there, in order.

Large files are read and hashed by a few threads at once, in pieces of a chunk; small ones in the caller's thread.
"""

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO

from commonhold.api import Block, Session, Slot
from commonhold.errors import HoldError, Kind
from commonhold.formats.multihash import from_sha2_256_digest
from commonhold.formats.unixfs import Mtime
from commonhold.unixfs.build import Built, FileBuilder, leaf_wrapping
from commonhold.unixfs.chunk import CdcChunker, FixedChunker
from commonhold.unixfs.profile import Profile

_PARALLEL_FROM = 2 << 20  # smaller files are not worth a thread's hand-over
_READ = 8 << 20
_AHEAD = 16  # pieces under way

Tell = Callable[[int], None]


class Content:
    """Turns files into blocks of one session. Close it to end its threads."""

    def __init__(self, session: Session, profile: Profile, chunker: FixedChunker | CdcChunker, tell: Tell) -> None:
        self._session = session
        self._profile = profile
        self._chunker = chunker
        self._tell = tell
        self._threads = min(session.fillers, len(os.sched_getaffinity(0)))
        self._pool: ThreadPoolExecutor | None = None

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def add_file(self, fd: int, size: int, name: str, mode: int | None, mtime: Mtime | None) -> Built:
        """Add an open file of a known size. CHANGED if it gives fewer bytes.

        A size of 0 is not believed: the kernel's own files, as in /proc, have it whatever is in them.
        """
        builder = FileBuilder(self._profile, mode=mode, mtime=mtime)
        chunker = self._chunker
        more = size == 0 and _has_bytes(fd)
        os.set_blocking(fd, True)
        if more or not isinstance(chunker, FixedChunker):
            with os.fdopen(os.dup(fd), "rb", buffering=0) as source:
                return self._finish_stream(source, builder)
        if size >= _PARALLEL_FROM and chunker.size >= 256 << 10:
            self._add_parallel(fd, size, name, builder, chunker.size)
        else:
            self._add_serial(fd, size, name, builder, chunker.size)
        return self._finish(builder)

    def add_stream(self, source: BinaryIO) -> Built:
        """Add what a stream gives, to its end."""
        return self._finish_stream(source, FileBuilder(self._profile))

    # ── a chunk at a time ──

    def _add_serial(self, fd: int, size: int, name: str, builder: FileBuilder, chunk: int) -> None:
        at = 0
        only = builder.attributes if size <= chunk else (None, None)
        while True:
            length = min(chunk, size - at)
            prefix, suffix = leaf_wrapping(self._profile, length, *only)
            slot = self._session.reserve(len(prefix) + length + len(suffix), wait=True)
            assert slot is not None
            try:
                _fill(fd, at, length, slot, prefix, suffix, name)
                digest = self._session.digest(slot)
            except BaseException:
                self._session.abandon(slot)
                raise
            self._settle(builder, slot, digest, length)
            at += length
            if at >= size:
                return

    def _add_parallel(self, fd: int, size: int, name: str, builder: FileBuilder, chunk: int) -> None:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="hold-hash")
        under_way: deque[tuple[Future[bytes], Slot, int]] = deque()
        at = 0
        try:
            while at < size or under_way:
                while at < size and len(under_way) < _AHEAD:
                    length = min(chunk, size - at)
                    prefix, suffix = leaf_wrapping(self._profile, length)
                    slot = self._session.reserve(len(prefix) + length + len(suffix), wait=not under_way)
                    if slot is None:
                        break
                    task = self._pool.submit(self._fill_and_hash, fd, at, length, slot, prefix, suffix, name)
                    under_way.append((task, slot, length))
                    at += length
                task, slot, length = under_way[0]
                digest = task.result()
                under_way.popleft()
                self._settle(builder, slot, digest, length)
        except BaseException:
            for task, slot, _ in under_way:  # a thread may still be writing into its slot
                if not task.cancel():
                    task.exception()
                self._session.abandon(slot)
            raise

    def _fill_and_hash(
        self, fd: int, at: int, length: int, slot: Slot, prefix: bytes, suffix: bytes, name: str
    ) -> bytes:
        _fill(fd, at, length, slot, prefix, suffix, name)
        return self._session.digest(slot)

    def _settle(self, builder: FileBuilder, slot: Slot, digest: bytes, length: int) -> None:
        block_size = len(slot.into)
        self._session.settle(slot, from_sha2_256_digest(digest))
        self._interior(builder.leaf(digest, length, block_size))
        self._tell(length)

    def _interior(self, blocks: list[Block]) -> None:
        for block in blocks:
            self._session.put(block.cid.multihash, block.data)

    def _finish(self, builder: FileBuilder) -> Built:
        built, blocks = builder.finish()
        self._interior(blocks)
        return built

    # ── a stream ──

    def _finish_stream(self, source: BinaryIO, builder: FileBuilder) -> Built:
        held = bytearray()
        at_end = False
        total = 0
        while not at_end:
            data = source.read(_READ)
            at_end = not data
            held += data
            used = 0
            with memoryview(held) as view:
                for length in self._chunker.cut(view, at_end):
                    only = at_end and not total and length == len(held)
                    self._put_leaf(builder, view[used : used + length], only=only)
                    used += length
                    total += length
            del held[:used]
        if not total:
            self._put_leaf(builder, memoryview(b""), only=True)
        return self._finish(builder)

    def _put_leaf(self, builder: FileBuilder, payload: memoryview, *, only: bool) -> None:
        attributes = builder.attributes if only else (None, None)
        prefix, suffix = leaf_wrapping(self._profile, len(payload), *attributes)
        with payload:
            length = len(payload)
            slot = self._session.reserve(len(prefix) + length + len(suffix), wait=True)
            assert slot is not None
            start = len(prefix)
            slot.into[:start] = prefix
            slot.into[start : start + length] = payload
            slot.into[start + length :] = suffix
        self._settle(builder, slot, self._session.digest(slot), length)


def _has_bytes(fd: int) -> bool:
    """Whether an open file that does not wait has something to read at its start, now."""
    try:
        return bool(os.pread(fd, 1, 0))
    except BlockingIOError:
        return False


def _fill(fd: int, at: int, length: int, slot: Slot, prefix: bytes, suffix: bytes, name: str) -> None:
    """Read a chunk into its place, and what goes around it."""
    into = slot.into
    start = len(prefix)
    if start:
        into[:start] = prefix
    payload = into[start : start + length] if start or suffix else into
    done = 0
    while done < length:
        got = os.preadv(fd, [payload[done:] if done else payload], at + done)
        if not got:
            raise HoldError("add", Kind.CHANGED, name, "the file became shorter while it was read")
        done += got
    if suffix:
        into[start + length :] = suffix
