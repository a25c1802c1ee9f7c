"""Real users of this machine, what they do in processes of their own, and a node for them. All of it goes again."""

import contextlib
import ctypes
import grp
import itertools
import os
import pickle
import pwd
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

from tests.node.wire import ask
from tests.waiting import SECONDS

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
_CLONE_NEWUSER = 0x10000000
_PR_SET_DUMPABLE = 4
_number = itertools.count()
_libc = ctypes.CDLL(None, use_errno=True)


class Doing(Generic[T]):
    """Something that somebody does, in a process of its own."""

    def __init__(self, become: Callable[[], None], work: Callable[[], T]) -> None:
        said, say = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(said)
            _speak(say, become, work)
        os.close(say)
        self._said = os.fdopen(said, "rb")

    def result(self, seconds: float | None = None) -> T:
        """What came of it: a value, or what was raised there. TimeoutError if it takes longer; it goes on."""
        if not select.select([self._said], [], [], seconds)[0]:
            raise TimeoutError(f"process {self.pid} is still at work")
        with self._said:
            raw = self._said.read()
        os.waitpid(self.pid, 0)
        assert raw, "it died"
        done, value = pickle.loads(raw)
        if not done:
            raise value
        return value  # type: ignore[no-any-return]

    def goes_on(self) -> bool:
        """Whether it has not ended."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def kill(self) -> None:
        """End it, whatever it does."""
        os.kill(self.pid, signal.SIGKILL)
        self._said.close()
        os.waitpid(self.pid, 0)


def _speak(say: int, become: Callable[[], None], work: Callable[[], Any]) -> None:
    try:
        become()
        try:
            said = pickle.dumps((True, work()))
        except BaseException as error:  # noqa: BLE001 it is raised again where it is asked for
            said = pickle.dumps((False, error))
        with os.fdopen(say, "wb") as out:
            out.write(said)
    finally:
        os._exit(0)


class Person:
    """A user of this machine."""

    def __init__(self, name: str, gid: int) -> None:
        self.name = name
        self.uid = pwd.getpwnam(name).pw_uid
        self.gid = gid

    def become(self) -> None:
        """Be them, for good, as a login would have it."""
        os.setgroups(os.getgrouplist(self.name, self.gid))
        os.setresgid(self.gid, self.gid, self.gid)
        os.setresuid(self.uid, self.uid, self.uid)
        _libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
        os.umask(0o022)
        os.chdir("/")

    def become_unshared(self) -> None:
        """What `unshare -U -r` does: root in a user namespace of their own."""
        self.become()
        if _libc.unshare(_CLONE_NEWUSER) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {self.uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {self.gid} 1")
        assert os.getuid() == 0

    def start(self, work: Callable[[], T]) -> Doing[T]:
        """Begin something."""
        return Doing(self.become, work)

    def do(self, work: Callable[[], T]) -> T:
        """Do something."""
        return self.start(work).result()


class People:
    """Users and groups that there were not before, and are not afterwards."""

    def __init__(self) -> None:
        self._mark = f"hold-t{os.getpid()}x{next(_number)}"
        self._users: list[str] = []
        self._groups: list[str] = []

    def group(self, name: str) -> str:
        """Make a group."""
        full = f"{self._mark}-{name}"
        subprocess.run(["groupadd", full], check=True)
        self._groups.append(full)
        return full

    def user(self, name: str, *groups: str) -> Person:
        """Make a user."""
        full = f"{self._mark}-{name}"
        more = ["-G", ",".join(groups)] if groups else []
        subprocess.run(["useradd", "-M", "-N", "-s", "/bin/sh", "-g", "nogroup", *more, full], check=True)
        self._users.append(full)
        return Person(full, grp.getgrnam("nogroup").gr_gid)

    def remove(self) -> None:
        """Remove them all."""
        for name in reversed(self._users):
            subprocess.run(["userdel", name], check=True, stderr=subprocess.DEVNULL)
        for name in reversed(self._groups):
            subprocess.run(["groupdel", name], check=True)


@contextlib.contextmanager
def people() -> Iterator[People]:
    """Make users; they are gone when the block is left."""
    made = People()
    try:
        yield made
    finally:
        made.remove()


@contextlib.contextmanager
def place(keeper: Person) -> Iterator[Path]:
    """A directory that everybody may enter and only one may change."""
    directory = Path(tempfile.mkdtemp(prefix="hold-"))
    try:
        os.chown(directory, keeper.uid, keeper.gid)
        directory.chmod(0o755)
        yield directory
    finally:
        shutil.rmtree(directory)


class Node:
    """`hold node --config FILE` as a user of its own."""

    def __init__(self, keeper: Person, directory: Path, settings: str, repository: Path | None = None) -> None:
        self.keeper = keeper
        self.socket = directory / "node.sock"
        self.config = directory / "node.toml"
        self.repository = repository or directory / "store"
        self.config.write_text(f'repository = "{self.repository}"\nsocket = "{self.socket}"\n{settings}')
        self.errors = directory / "errors"
        self.start()

    def start(self) -> None:
        """Start it, and return when it answers."""
        with open(self.errors, "ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.system.as_user", self.keeper.name, "node", "--config", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                cwd=ROOT,
            )
        stop = time.monotonic() + SECONDS
        while True:
            with contextlib.suppress(OSError, EOFError):
                ask(self.socket, "GET", "/v1/node")
                return
            assert self.process.poll() is None and time.monotonic() < stop, self.errors.read_text()
            time.sleep(0.02)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send it a signal, and return how it ended."""
        self.process.send_signal(number)
        return self.process.wait(60)

    def status(self, field: str) -> int:
        """A number of its /proc/PID/status, over all threads."""
        return sum(
            int(line.split()[1])
            for task in Path(f"/proc/{self.process.pid}/task").iterdir()
            for line in (task / "status").read_text().splitlines()
            if line.startswith(field + ":")
        )

    def memory(self) -> int:
        """Bytes of memory that are its own, and its part of what is shared."""
        rollup = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return next(int(line.split()[1]) << 10 for line in rollup.splitlines() if line.startswith("Pss:"))


@contextlib.contextmanager
def node(keeper: Person, directory: Path, settings: str = "", repository: Path | None = None) -> Iterator[Node]:
    """Run a node; it stops cleanly, and had nothing to say."""
    running = Node(keeper, directory, settings, repository)
    try:
        yield running
        assert running.stop() == 0
        assert running.errors.read_text() == ""
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait()


def at_once(*work: Callable[[], Any]) -> list[Any]:
    """Do several things at once, each in a thread; what came of them, or the first thing that went wrong."""
    results: list[Any] = [None] * len(work)
    failed: list[BaseException] = []

    def run(at: int) -> None:
        try:
            results[at] = work[at]()
        except BaseException as error:  # noqa: BLE001 it is raised again below
            failed.append(error)

    threads = [threading.Thread(target=run, args=(at,)) for at in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return results
