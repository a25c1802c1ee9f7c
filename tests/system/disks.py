"""File systems of a test's own, in files."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def ext4(directory: Path, mebibytes: int, making: str = "", mounting: str = "loop") -> Iterator[Path]:
    """An empty ext4, mounted below a directory, made and mounted with these options."""
    image, mounted = directory / "image", directory / "mounted"
    mounted.mkdir()
    with open(image, "wb") as file:
        file.truncate(mebibytes << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", *making.split(), str(image)], check=True)
    subprocess.run(["mount", "-o", mounting, str(image), str(mounted)], check=True)
    try:
        yield mounted
    finally:
        subprocess.run(["umount", str(mounted)], check=True)


@contextmanager
def small_ext4(directory: Path) -> Iterator[Path]:
    """An empty ext4 of 96 MiB, mounted below a directory."""
    with ext4(directory, 96) as mounted:
        yield mounted
