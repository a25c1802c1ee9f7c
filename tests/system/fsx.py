"""One file beside a model of it: random writes, reads, truncations, maps, holes and copies, each of which must leave
the file as it leaves the model. After the tool of that name that every file system is tried with."""

import ctypes
import errno
import mmap
import os
import random
from collections.abc import Callable
from pathlib import Path

MOST = 3 << 20  # bytes of the file
_PIECE = 200_000
_KEEP_SIZE, _PUNCH, _COLLAPSE, _ZERO, _INSERT = 1, 2, 8, 16, 32
_PAGE = 4096
_libc = ctypes.CDLL(None, use_errno=True)


class Exercise:
    """A file, its model, and what was done to both."""

    def __init__(self, path: Path, seed: int) -> None:
        self._path = path
        self._rng = random.Random(seed)
        self._model = bytearray()
        self._done: list[str] = []
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        self._refused: set[str] = set()
        self._steps: dict[Callable[[], None], int] = {
            self._write: 20, self._append: 4, self._read: 14, self._mapped_write: 8, self._mapped_read: 8,
            self._truncate: 5, self._punch: 6, self._zero: 3, self._collapse: 1, self._insert: 1, self._copy: 3,
            self._sync: 2, self._evict: 2, self._reopen: 2, self._extents: 1,
        }  # fmt: skip

    def run(self, count: int) -> set[str]:
        """Do so many things; which of them the file system cannot do. AssertionError for the first that goes wrong."""
        steps = self._rng.choices(list(self._steps), list(self._steps.values()), k=count)
        try:
            for number, step in enumerate(steps):
                step()
                if number % 500 == 0:
                    self._compare()
            self._reopen()
            self._compare()
        except (AssertionError, OSError) as error:
            raise AssertionError(f"{error!r}, the last of {len(self._done)}: {'; '.join(self._done[-12:])}") from error
        finally:
            os.close(self._fd)
        return self._refused

    # ── what is done ──

    def _range(self, most: int = _PIECE) -> tuple[int, int]:
        """An offset, often where pages meet or at the end, and a length."""
        offset = self._rng.choice([self._rng.randrange(MOST), len(self._model), self._rng.randrange(MOST) & -_PAGE])
        offset = min(offset, MOST - 1)
        length = self._rng.choice([1, _PAGE, self._rng.randrange(1, 500), self._rng.randrange(1, most)])
        return offset, min(length, MOST - offset)

    def _note(self, text: str) -> None:
        self._done.append(text)
        del self._done[:-100]

    def _put(self, offset: int, data: bytes) -> None:
        self._model.extend(bytes(max(0, offset - len(self._model))))
        self._model[offset : offset + len(data)] = data

    def _write(self) -> None:
        offset, length = self._range()
        data = self._rng.randbytes(length)
        self._note(f"write {offset}+{length}")
        assert os.pwrite(self._fd, data, offset) == length
        self._put(offset, data)

    def _append(self) -> None:
        data = self._rng.randbytes(self._rng.randrange(1, 5000))
        if len(self._model) + len(data) > MOST:
            return
        self._note(f"append {len(data)} to {len(self._model)}")
        fd = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        try:
            assert os.write(fd, data) == len(data)
        finally:
            os.close(fd)
        self._put(len(self._model), data)

    def _read(self) -> None:
        offset, length = self._range()
        self._note(f"read {offset}+{length}")
        self._same(os.pread(self._fd, length, offset), offset, length)

    def _mapped_write(self) -> None:
        offset, length = self._range()
        length = min(length, len(self._model) - offset)
        if length <= 0:
            return
        self._note(f"map and write {offset}+{length}")
        data = self._rng.randbytes(length)
        with mmap.mmap(self._fd, len(self._model)) as shared:
            shared[offset : offset + length] = data
            if self._rng.random() < 0.3:
                shared.flush()
        self._put(offset, data)

    def _mapped_read(self) -> None:
        offset, length = self._range()
        if offset >= len(self._model):
            return
        self._note(f"map and read {offset}+{length}")
        kind = self._rng.choice([mmap.MAP_SHARED, mmap.MAP_PRIVATE])
        with mmap.mmap(self._fd, len(self._model), flags=kind, prot=mmap.PROT_READ) as seen:
            self._same(seen[offset : offset + length], offset, length)

    def _truncate(self) -> None:
        size = self._rng.choice([0, self._rng.randrange(MOST), self._rng.randrange(len(self._model) + 1)])
        self._note(f"truncate {len(self._model)} to {size}")
        os.ftruncate(self._fd, size)
        del self._model[size:]
        self._model.extend(bytes(size - len(self._model)))

    def _fallocate(self, what: str, mode: int, offset: int, length: int) -> bool:
        """Whether it was done."""
        self._note(f"{what} {offset}+{length} of {len(self._model)}")
        if _libc.fallocate64(self._fd, mode, ctypes.c_longlong(offset), ctypes.c_longlong(length)) == 0:
            return True
        assert ctypes.get_errno() == errno.EOPNOTSUPP, f"{what}: {os.strerror(ctypes.get_errno())}"
        self._refused.add(what)
        return False

    def _punch(self) -> None:
        offset, length = self._range()
        if self._fallocate("punch", _PUNCH | _KEEP_SIZE, offset, length):
            held = max(0, min(length, len(self._model) - offset))
            self._model[offset : offset + held] = bytes(held)

    def _zero(self) -> None:
        offset, length = self._range()
        if self._fallocate("zero", _ZERO, offset, length):
            self._put(offset, bytes(length))

    def _collapse(self) -> None:
        pages = len(self._model) // _PAGE
        if pages > 2:
            start = self._rng.randrange(pages - 1) * _PAGE
            if self._fallocate("collapse", _COLLAPSE, start, _PAGE):
                del self._model[start : start + _PAGE]

    def _insert(self) -> None:
        pages = len(self._model) // _PAGE
        if pages and len(self._model) + _PAGE <= MOST:
            start = self._rng.randrange(pages) * _PAGE
            if self._fallocate("insert", _INSERT, start, _PAGE):
                self._model[start:start] = bytes(_PAGE)

    def _copy(self) -> None:
        source, length = self._range()
        target, _ = self._range()
        length = min(length, len(self._model) - source, MOST - target, abs(source - target))
        if length <= 0:
            return
        self._note(f"copy {source}+{length} to {target}")
        done = os.copy_file_range(self._fd, self._fd, length, source, target)
        assert 0 < done <= length
        self._put(target, bytes(self._model[source : source + done]))

    # ── what makes no difference ──

    def _sync(self) -> None:
        self._note("sync")
        os.fsync(self._fd)

    def _evict(self) -> None:
        """Let the kernel forget what it has, so that it asks again."""
        self._note("evict")
        os.fsync(self._fd)
        os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def _reopen(self) -> None:
        self._note("reopen")
        os.close(self._fd)
        self._fd = os.open(self._path, os.O_RDWR)

    # ── what must be so ──

    def _extents(self) -> None:
        """Between two pieces of data there is nothing, if it can be said where they are; also while what was written is
        on its way only."""
        self._note("seek")
        try:
            self._seek()
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise

    def _seek(self) -> None:
        at = 0
        while at < len(self._model):
            try:
                data = os.lseek(self._fd, at, os.SEEK_DATA)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                data = len(self._model)
            assert not any(self._model[at:data]), f"data in a hole at {at}"
            if data >= len(self._model):
                return
            at = os.lseek(self._fd, data, os.SEEK_HOLE)
            assert data < at <= len(self._model), f"data from {data} to {at}"

    def _same(self, found: bytes, offset: int, length: int) -> None:
        wanted = self._model[offset : offset + length]
        if found != wanted:
            first = next((at for at, pair in enumerate(zip(found, wanted, strict=False)) if pair[0] != pair[1]), None)
            raise AssertionError(f"{len(found)} bytes for {len(wanted)}, at {offset}; the first other one: {first}")

    def _compare(self) -> None:
        size = os.fstat(self._fd).st_size
        assert size == len(self._model), f"size {size} for {len(self._model)}"
        self._same(os.pread(self._fd, MOST, 0), 0, MOST)


def exercise(path: Path, seed: int, count: int) -> set[str]:
    """See `Exercise.run`."""
    return Exercise(path, seed).run(count)
