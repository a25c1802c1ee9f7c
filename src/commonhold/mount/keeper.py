"""The mount's keeper: root, and therefore little. It mounts, holds what must outlive a worker, and starts others.

It reads nothing that the kernel asks and nothing that an agent says; of a worker it takes one letter and a uid. Source:
mount(2), fuse(4).
"""

import ctypes
import errno
import os
import secrets
import select
import signal
import socket
import stat
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from commonhold import __version__
from commonhold.errors import HoldError, Kind, from_os, os_errors
from commonhold.host import interruption
from commonhold.host.mounted import KIND, SOURCE
from commonhold.host.saying import say
from commonhold.ipc.endpoint import listen
from commonhold.trees import MAX_IO

_MS_NOSUID, _MS_NODEV, _MS_BIND = 2, 4, 4096
_MNT_DETACH = 2
_CLONE_NEWNET = 0x40000000
_PR_SET_NO_NEW_PRIVS, _PR_SET_PDEATHSIG, _PR_CAPBSET_DROP = 38, 1, 24
_LAST_CAP = 63
_AT_ONCE = 8  # agents that are brought
_PAUSES = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0)  # before a worker is replaced that did not live long
_LONG = 10.0
_STOP_SECONDS = 20.0
_BREATH = 0.01
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)
_LAST_FD = (1 << 31) - 1
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the one tree is mounted, and its directories that are shown elsewhere, too."""

    at: Path
    shown: tuple[tuple[str, Path], ...] = ()

    @property
    def all(self) -> list[Path]:
        """All of these, the tree itself first."""
        return [self.at, *(path for _, path in self.shown)]


@dataclass(frozen=True, slots=True)
class Parts:
    """What a keeper is told. `worker` is run in a process of its own, without privileges: it is given the descriptors
    of the device, of where agents come, of the keeper and of the memory, and the epoch. `bring` too: it brings a user's
    agent, or raises."""

    place: Place
    socket: Path
    uid: int
    gid: int
    memory: int
    worker: Callable[[int, int, int, int, bytes], None]
    bring: Callable[[int], object]
    ready: Callable[[], None]


class Keeper:
    """One mount, from beginning to end: `run`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._epoch = secrets.token_bytes(16)
        self._bringing: dict[int, int] = {}  # processes by uid
        self._worker: int | None = None
        self._line: socket.socket | None = None  # to the worker
        self._began = 0.0
        self._short = 0  # workers in a row that did not live long
        self._again: float | None = None  # when the next one comes
        self._helper: int | None = None  # who shows the directories, or unmounts
        self._until: float | None = None  # set once we are told to end
        self._to_come = {"worker", "directories"}  # until it is ready
        self._mounted = Mounted("", ())

    def run(self) -> None:
        """Mount, and serve until INT or TERM; unmounted on return."""
        place = self._parts.place
        with interruption.told(*_SIGNALS) as heard, listen(self._parts.socket, 0o666, 0o755) as agents:
            device = mount(place)
            self._mounted = mounts(place)
            read_ahead(self._mounted)
            try:
                self._replace(device, agents.fileno())
                self._helper = _fork(lambda: show(place))
                while not self._done():
                    self._wait(heard)
                    if self._again is not None and self._again <= time.monotonic():
                        self._replace(device, agents.fileno())
            finally:
                unmount(self._mounted, lazily=True)
                os.close(device)  # whoever still waits for an answer gets an error
                self._parts.socket.unlink(missing_ok=True)
                self._end_all()

    def _done(self) -> bool:
        return self._until is not None and (self._helper is None or self._until <= time.monotonic())

    def _wait(self, heard: int) -> None:
        """Do what comes next: a signal, or a word of the worker's."""
        untils = [until for until in (self._again, self._until) if until is not None]
        poll = select.poll()
        poll.register(heard, select.POLLIN)
        if self._line is not None:
            poll.register(self._line, select.POLLIN)
        ready = dict(poll.poll(max(0.0, min(untils) - time.monotonic()) * 1000 if untils else None))
        if heard in ready:
            signals = os.read(heard, 4096)
            if self._until is None and (signal.SIGINT in signals or signal.SIGTERM in signals):
                self._stop()
            self._reap()
        if self._line is not None and self._line.fileno() in ready:
            self._listen(self._line)

    def _stop(self) -> None:
        """Unmount while the worker still serves: what is not written yet is written now."""
        self._until = time.monotonic() + _STOP_SECONDS
        if self._helper is not None:
            os.kill(self._helper, signal.SIGKILL)  # nobody waits for it: it may be held by the mount
        self._helper = _fork(lambda: unmount(self._mounted))

    # ── the worker ──

    def _replace(self, device: int, agents: int) -> None:
        """Start a worker."""
        parts, self._again = self._parts, None
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        keeper = os.getpid()

        def work() -> None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the keeper says when
            drop(parts.uid, parts.gid)
            _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() == keeper:
                parts.worker(device, agents, theirs.fileno(), parts.memory, self._epoch)

        self._worker = _fork(work, device, agents, theirs.fileno(), parts.memory)
        self._line, self._began = ours, time.monotonic()
        theirs.close()

    def _listen(self, worker: socket.socket) -> None:
        try:
            said = worker.recv(64)
        except OSError:
            said = b""
        if not said:
            worker.close()
            self._line = None
        elif said[:1] == b"A" and len(said) == 5:
            self._bring(int.from_bytes(said[1:], "little"))
        elif said == b"R":
            self._come("worker")

    def _come(self, what: str) -> None:
        """One of the things is there without which it is not ready."""
        if what in self._to_come:
            self._to_come.remove(what)
            if not self._to_come:
                self._parts.ready()

    def _bring(self, uid: int) -> None:
        """Have a user's agent brought."""
        if uid in self._bringing:
            return
        if len(self._bringing) < _AT_ONCE:
            self._bringing[uid] = _fork(lambda: self._parts.bring(uid))
        else:
            self._tell(uid)

    def _tell(self, uid: int) -> None:
        """Tell the worker that an agent does not come."""
        if self._line is not None:
            with suppress(OSError):
                self._line.send(b"F" + uid.to_bytes(4, "little"))

    def _reap(self) -> None:
        """See who has ended."""
        for uid, process in list(self._bringing.items()):
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                del self._bringing[uid]
                if status != 0:
                    self._tell(uid)
        if self._helper is not None:
            ended, status = os.waitpid(self._helper, os.WNOHANG)
            if ended:
                self._helper = None
                if self._until is None:
                    self._shown(status)
        if self._worker is not None and os.waitpid(self._worker, os.WNOHANG)[0]:
            self._worker = None
            if self._line is not None:
                self._line.close()
                self._line = None
            lived = time.monotonic() - self._began
            self._short = 0 if lived > _LONG else min(self._short + 1, len(_PAUSES) - 1)
            if self._until is None:
                say("hold mount", "the worker has ended; another one comes")
            self._again = time.monotonic() + _PAUSES[self._short]

    def _shown(self, status: int) -> None:
        """Whoever shows the directories has ended."""
        if status != 0:
            where = ", ".join(str(path) for _, path in self._parts.place.shown)
            raise HoldError("mount", Kind.FAILED, where, "the directories cannot be shown there")
        self._come("directories")

    def _end_all(self) -> None:
        for process in self._bringing.values():
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
        if self._worker is not None:
            until = time.monotonic() + _STOP_SECONDS
            while os.waitpid(self._worker, os.WNOHANG)[0] == 0:
                if until <= time.monotonic():
                    os.kill(self._worker, signal.SIGKILL)
                    os.waitpid(self._worker, 0)
                    break
                time.sleep(_BREATH)


def _fork(work: Callable[[], object], *kept: int) -> int:
    """Do something in a process of its own, which returns nowhere; its number. Of our descriptors it has the standard
    ones and what it is to keep: a device that is open anywhere else lives on when its worker has died."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        after = 2
        for fd in (*sorted(kept), _LAST_FD):
            os.closerange(after + 1, fd)
            after = fd
        work()
        code = 0
    except BaseException as error:  # noqa: BLE001 nothing else of the parent's is to be run here
        import traceback

        traceback.print_exception(error)
    finally:
        sys.stderr.flush()
        os._exit(code)


# ── the system ──


def mount(place: Place) -> int:
    """Mount, in place of what a killed keeper left; the device."""
    with os_errors("mount", "/dev/fuse"):
        device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    for at in place.all:
        clear(at)
        with os_errors("mount", str(at)):
            at.mkdir(mode=0o755, parents=True, exist_ok=True)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions"
    source = f"{SOURCE}{__version__}".encode()
    _mount(source, place.at, KIND.encode(), _MS_NOSUID | _MS_NODEV, options)
    return device


def clear(at: Path) -> None:
    """Take away what killed keepers left at a place. EXISTS where anything else is mounted, NOT_A_DIRECTORY."""
    with os_errors("mount", str(at)):
        while _left(at):
            if _libc.umount2(os.fsencode(at), _MNT_DETACH) != 0:
                raise OSError(ctypes.get_errno(), "umount")
        try:
            status = at.stat()
        except FileNotFoundError:
            return
    if not stat.S_ISDIR(status.st_mode):
        raise HoldError("mount", Kind.NOT_A_DIRECTORY, str(at), "not a directory")
    if status.st_dev != at.parent.stat().st_dev:
        raise HoldError("mount", Kind.EXISTS, str(at), "something is mounted there", hint=f"umount {at}")


def _left(at: Path) -> bool:
    """Whether a mount is there that nobody serves any more. The kernel may still know its attributes: stat(2) does not
    tell."""
    try:
        os.statvfs(at)
    except OSError as error:
        return error.errno in (errno.ENOTCONN, errno.ECONNABORTED)
    return False


def show(place: Place) -> None:
    """Show directories of the mount elsewhere; somebody must serve it by now."""
    for name, path in place.shown:
        _mount(os.fsencode(place.at / name), path, None, _MS_BIND, None)


def _mount(source: bytes, at: Path, kind: bytes | None, flags: int, options: str | None) -> None:
    if _libc.mount(source, os.fsencode(at), kind, flags, options.encode() if options else None) != 0:
        error = ctypes.get_errno()
        raise from_os("mount", str(at), OSError(error, os.strerror(error)))


class Mounted(NamedTuple):
    """A mount, by the kernel's number for it, and all places where it may be."""

    device: str
    at: tuple[Path, ...]


def mounts(place: Place) -> Mounted:
    """What was mounted at a place just now."""
    return Mounted(_devices()[place.at][-1], tuple(place.all))


def _devices() -> dict[Path, list[str]]:
    """What is mounted where, the uppermost last. Source: proc(5), mountinfo."""
    found: dict[Path, list[str]] = {}
    with open("/proc/self/mountinfo", "rb") as lines:
        for line in lines:
            fields = line.split()
            path = Path(os.fsdecode(fields[4].decode("unicode_escape").encode("latin-1")))
            found.setdefault(path, []).append(fields[2].decode())
    return found


def read_ahead(mounted: Mounted) -> None:
    """Have the kernel read a whole block ahead where a file is read in order; without that it is 128 KiB. What forbids
    it makes reading slower, and nothing else. Source: sysfs-class-bdi."""
    with suppress(OSError):
        Path(f"/sys/class/bdi/{mounted.device}/read_ahead_kb").write_text(str(MAX_IO >> 10))


def unmount(mounted: Mounted, *, lazily: bool = False) -> None:
    """Take a mount away wherever it is, and nothing else that is there by now; what is in use only if `lazily`. What
    was written to it is on its way on return."""
    if not lazily:
        with suppress(OSError):
            root = os.open(mounted.at[0], os.O_RDONLY | os.O_DIRECTORY)
            _libc.syncfs(root)
            os.close(root)
    for path in reversed(mounted.at):
        if _devices().get(path, [""])[-1] == mounted.device:
            _libc.umount2(os.fsencode(path), _MNT_DETACH if lazily else 0)


def drop(uid: int, gid: int) -> None:
    """Become a user without privileges, without a way to any, and without a network."""
    if _libc.unshare(_CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    for capability in range(_LAST_CAP):
        if _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def _prctl(what: int, value: int) -> None:
    if _libc.prctl(what, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
