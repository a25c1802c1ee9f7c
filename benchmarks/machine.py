"""The machine: what it is (never what it is called), its caches, its disk space, its processors."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from measuring import Failed

_DROP = Path("/proc/sys/vm/drop_caches")
_GIB = 1 << 30


def describe(directory: Path) -> str:
    """Return one line: processors, memory, file system, kernel, Python; and how busy it is."""
    model = _field("/proc/cpuinfo", "model name") or os.uname().machine
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    cores = len(os.sched_getaffinity(0))
    return (
        f"{cores} of {os.cpu_count()} cores ({model}), {memory / _GIB:.0f} GiB of memory, {_file_system(directory)}, "
        f"Linux {os.uname().release}, Python {sys.version.split()[0]}, load {os.getloadavg()[0]:.1f}"
    )


def _field(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def _file_system(directory: Path) -> str:
    """The type and options of the mount that holds a directory. proc(5), mountinfo.

    An ext4 without a journal is named: syncing costs it less.
    """
    device = directory.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        if left.split()[2] == wanted:
            kind = right.split()[0]
            name = Path(f"/sys/dev/block/{wanted}").resolve().name
            bare = kind == "ext4" and not list(Path("/proc/fs/jbd2").glob(f"{name}-*"))
            return f"{kind} ({left.split()[5]}{', no journal' if bare else ''})"
    return "an unknown file system"


def use_cores(count: int) -> None:
    """Pin this process, and all that it starts, to so many processors, as taskset does."""
    allowed = sorted(os.sched_getaffinity(0))
    if not 0 < count <= len(allowed):
        raise Failed(f"--cores {count}: this machine has {len(allowed)}")
    os.sched_setaffinity(0, allowed[:count])


def require_space(directory: Path, size: int) -> str:
    """Return a remark about the space; Failed if there is less than size bytes."""
    free = shutil.disk_usage(directory).free
    words = f"needs {size / _GIB:.0f} GiB below {directory}, {free / _GIB:.0f} GiB are free"
    if free < size:
        raise Failed(f"{words}; choose another place with --dir, or --scale small")
    return words


def can_drop() -> bool:
    """Whether the page cache can be emptied; else only the files named are asked out of it."""
    return os.access(_DROP, os.W_OK)


def chill(paths: list[Path]) -> None:
    """Empty the page cache; without the right to, only of the files and trees named."""
    os.sync()
    if can_drop():
        _DROP.write_text("3")
        return
    for path in _files(paths):
        fd = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(fd)


def forget_names() -> None:
    """Empty the caches of names and attributes, and not the page cache. Root's."""
    os.sync()
    _DROP.write_text("2")


def warm(path: Path) -> None:
    """Read a file or tree into the page cache."""
    buffer = memoryview(bytearray(1 << 20))
    for file in _files([path]):
        fd = os.open(file, os.O_RDONLY)
        try:
            while os.readv(fd, [buffer]):
                pass
        finally:
            os.close(fd)


def _files(paths: list[Path]) -> list[str]:
    found: list[str] = []
    for path in paths:
        if path.is_file():
            found.append(str(path))
        for folder, _, names in os.walk(path):
            found += [f"{folder}/{name}" for name in names]
    return found


def ensure_tools(packages: dict[str, str]) -> set[str]:
    """Return which of the commands (command → Debian package) are here, after root has installed the missing ones."""
    missing = [package for command, package in packages.items() if not shutil.which(command)]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"installing {' '.join(missing)}", file=sys.stderr)
        install = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
        subprocess.run(install, stdout=sys.stderr, check=False)
    return {command for command in packages if shutil.which(command)}
