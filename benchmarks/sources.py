"""What is measured with: a file that cannot be compressed, a tree of small files, an archive of many small blocks.

Made in small buffers, so that the harness stays small: a child's peak memory is never below its parent's.
"""

import base64
import hashlib
import os
import threading
from pathlib import Path

_PIECE = 1 << 20
_FILES_PER_DIRECTORY = 1000
_BLOCK_SIZE = 40
_RAW_SHA2_256 = bytes((0x01, 0x55, 0x12, 0x20))  # CIDv1, raw, sha2-256 of 32 bytes


def make_file(path: Path, size: int) -> None:
    """Write size random bytes, a whole number of MiB."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    threads = min(4, len(os.sched_getaffinity(0)))

    def fill(first: int) -> None:
        for at in range(first * _PIECE, size, threads * _PIECE):
            os.pwrite(fd, os.urandom(_PIECE), at)

    try:
        pool = [threading.Thread(target=fill, args=(number,)) for number in range(threads)]
        for thread in pool:
            thread.start()
        for thread in pool:
            thread.join()
        os.fsync(fd)
        if os.fstat(fd).st_size != size:
            raise OSError(f"{path}: {os.fstat(fd).st_size} bytes instead of {size}")
    finally:
        os.close(fd)


def make_tree(path: Path, files: int, size: int) -> None:
    """Write a tree of so many files of size random bytes, a thousand to a directory."""
    for number in range(files):
        directory = path / f"part-{number // _FILES_PER_DIRECTORY:03}"
        if number % _FILES_PER_DIRECTORY == 0:
            directory.mkdir(parents=True)
        (directory / f"file-{number:06}.bin").write_bytes(os.urandom(size))
    os.sync()


def _block(number: int) -> bytes:
    return number.to_bytes(8, "big") * (_BLOCK_SIZE // 8)


def _cid(number: int) -> bytes:
    return _RAW_SHA2_256 + hashlib.sha256(_block(number)).digest()


def block_cid(number: int) -> str:
    """Return the CID, as text, of a block of the archive."""
    return "b" + base64.b32encode(_cid(number)).decode().lower().rstrip("=")


def make_archive(path: Path, blocks: int) -> None:
    """Write a CARv1 of so many raw blocks of 40 bytes; its root is the first of them, which refers to no other."""
    root = b"\xd8\x2a\x58\x25\x00" + _cid(0)  # tag 42, 37 bytes: the zero byte and a CID
    header = b"\xa2\x65roots\x81" + root + b"\x67version\x01"
    with path.open("wb") as out:
        out.write(bytes((len(header),)) + header)
        for number in range(blocks):
            section = _cid(number) + _block(number)
            out.write(bytes((len(section),)) + section)
