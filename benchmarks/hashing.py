"""A yardstick: read a file and hash it with sha256, a MiB at a time, in one thread or several. Runs as a process.

Usage: python hashing.py FILE THREADS [direct]. One thread gives the file's sha256; several hash every MiB by itself.
`direct` reads past the page cache.
"""

import hashlib
import mmap
import os
import sys
import threading

_PIECE = 1 << 20


def hash_whole(fd: int) -> str:
    """Return the sha256 of a file, read through one reused, page-aligned buffer."""
    digest = hashlib.sha256()
    buffer = memoryview(mmap.mmap(-1, _PIECE))
    at = 0
    while got := os.preadv(fd, [buffer], at):
        digest.update(buffer[:got])
        at += got
    return digest.hexdigest()


def hash_pieces(fd: int, first: int, step: int) -> None:
    """Hash every step-th MiB of a file, each by itself, from the first-th on."""
    buffer = memoryview(mmap.mmap(-1, _PIECE))
    at = first * _PIECE
    while got := os.preadv(fd, [buffer], at):
        hashlib.sha256(buffer[:got]).digest()
        at += step * _PIECE


def main(path: str, threads: int, flags: int) -> None:
    """Hash it."""
    fd = os.open(path, os.O_RDONLY | flags)
    if threads == 1:
        print(hash_whole(fd))
        return
    pool = [threading.Thread(target=hash_pieces, args=(fd, number, threads)) for number in range(threads)]
    for thread in pool:
        thread.start()
    for thread in pool:
        thread.join()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), os.O_DIRECT if sys.argv[3:] == ["direct"] else 0)
