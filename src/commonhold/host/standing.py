"""Where a thread stands: a working directory and a umask that are its own and of the threads that it starts; and which
files a process sees at all.

Source: unshare(2), CLONE_FS.
"""

import ctypes
import os

_CLONE_FS = 0x00000200
_libc = ctypes.CDLL(None, use_errno=True)


def stand_apart() -> None:
    """From now on this thread's working directory and umask are its own."""
    if _libc.unshare(_CLONE_FS) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), "unshare")


def stand(cwd: int, umask: int) -> None:
    """Take a working directory, an open one, and a umask."""
    os.fchdir(cwd)
    os.umask(umask)


def view() -> str:
    """What decides where a path leads this process, and what it may do there: the same text, the same files."""
    root = os.stat("/")
    groups = sorted({os.getegid(), *os.getgroups()})
    return f"{os.readlink('/proc/self/ns/mnt')} {root.st_dev}:{root.st_ino} {groups} {_capabilities()}"


def _capabilities() -> str:
    """What this process may do that its user may not, in hexadecimal digits. Source: proc(5), CapEff."""
    with open("/proc/self/status") as status:
        return next((line.split()[1] for line in status if line.startswith("CapEff:")), "")
