"""Who runs a test, and where: an ordinary user even where root does, a directory by its descriptor."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NOBODY = 65534


@contextmanager
def plain_user() -> Iterator[Path]:
    """Run a block without root's rights over modes; a directory of that user's own."""
    home = Path(tempfile.mkdtemp(prefix="hold-test-"))
    was_root = os.geteuid() == 0
    if was_root:
        os.chown(home, _NOBODY, _NOBODY)
        os.seteuid(_NOBODY)
    try:
        yield home
    finally:
        if was_root:
            os.seteuid(0)
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def descriptor(directory: Path) -> Iterator[int]:
    """An open directory."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)
