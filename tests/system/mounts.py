"""A mount for real users: keeper, worker, agents and a node, as a system has them; all of it goes again.

It is mounted in a mount namespace of its own, where its users work, too. The tests' own process is never there and
touches nothing that is mounted: what hangs there is cut off by whoever waits for it.
"""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from tests.system.homes import Home, entering, view
from tests.system.people import ROOT, Doing, Node, People, Person, node, people, place
from tests.waiting import SECONDS

T = TypeVar("T")
_KIND = "fuse.commonhold"
_CLONE_NEWNS = 0x00020000
_libc = ctypes.CDLL(None, use_errno=True)
_ABORT = """
mountpoint -q /sys/fs/fuse/connections || mount -t fusectl fusectl /sys/fs/fuse/connections
for number; do echo 1 >"/sys/fs/fuse/connections/$number/abort" || true; done
"""


class Dweller(Home):
    """A user with a home, who works where the mount is."""

    host: "Host"

    def become(self) -> None:
        """Be them, there."""
        self.host.enter()
        self.person.become()

    def become_unshared(self) -> None:
        """Be them, there, as root of a user namespace of their own."""
        self.host.enter()
        self.person.become_unshared()

    def start(self, work: Callable[[], T]) -> Doing[T]:
        """Begin something."""
        return Doing(self.become, work)

    def do(self, work: Callable[[], T], seconds: float = SECONDS) -> T:
        """Do something."""
        return self.host.result(self.start(work), seconds)

    def run(self, *words: str, cwd: Path | None = None, code: int | None = 0, seconds: float = SECONDS) -> bytes:
        """Run a program; what it wrote, of either kind."""
        return self.host.finish(self.program(*words, cwd=cwd), self.environment, code, seconds)

    @property
    def agent(self) -> int:
        """The process that is their agent."""
        found = [
            pid for pid in self.processes() if b"\0agent\0" in words_of(pid) and b"\0--attend\0" not in words_of(pid)
        ]
        assert len(found) == 1, found
        return found[0]


class Host:
    """A machine with a node and users who have homes, in a mount namespace that ends with it."""

    def __init__(self, made: People, group: str, running: Node, pid: int, homes: contextlib.ExitStack) -> None:
        self.node = running
        self._made = made
        self._group = group
        self._pid = pid
        self._homes = homes
        self._others: set[int] = set()
        self._dwellers: list[Dweller] = []
        self._others = set(self.mounts().values())  # they were there before us
        self.worker = made.user("mount")
        self.public = self.dweller("public")
        self.alice = self.dweller("alice")
        self.bob = self.dweller("bob")

    def dweller(self, name: str) -> Dweller:
        """Make a user who may use the node, and a home."""
        person = self._made.user(name, self._group)
        home = self._homes.enter_context(place(person))
        subprocess.run(["usermod", "-d", str(home), person.name], check=True)
        made = Dweller(person, home, self.node, entering(self._pid))
        made.host = self
        self._dwellers.append(made)
        return made

    def enter(self) -> None:
        """Have this process, which has no other threads, be where the mounts are."""
        fd = os.open(f"/proc/{self._pid}/ns/mnt", os.O_RDONLY)
        if _libc.setns(fd, _CLONE_NEWNS) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        os.close(fd)
        os.chdir("/")

    def do(self, work: Callable[[], T], seconds: float = SECONDS) -> T:
        """Do something as root."""
        return self.result(Doing(self.enter, work), seconds)

    def do_as(self, person: Person, work: Callable[[], T], seconds: float = SECONDS) -> T:
        """Do something as a user who has no home."""

        def become() -> None:
            self.enter()
            person.become()

        return self.result(Doing(become, work), seconds)

    def result(self, doing: Doing[T], seconds: float = SECONDS) -> T:
        """What came of something; whoever takes longer is ended, and all mounts with it."""
        try:
            return doing.result(seconds)
        except TimeoutError:
            self.abort()
            doing.kill()
            raise

    def mounts(self) -> dict[Path, int]:
        """Where mounts of ours are, and the number of each one's connection."""
        rows = [line.split() for line in Path(f"/proc/{self._pid}/mountinfo").read_text().splitlines()]
        found = {Path(row[4]): int(row[2].split(":")[1]) for row in rows if row[row.index("-") + 1] == _KIND}
        return {path: number for path, number in found.items() if number not in self._others}

    def run(self, *words: str, code: int | None = 0, seconds: float = SECONDS) -> bytes:
        """Run a program as root; what it wrote, of either kind."""
        return self.finish([*self.before, *words], self.environment, code, seconds)

    def finish(self, words: list[str], environment: dict[str, str], code: int | None, seconds: float) -> bytes:
        """Run a program to its end, as `result` does."""
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
        )
        try:
            said, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.abort()
            process.kill()
            process.communicate()
            raise
        assert code is None or process.returncode == code, (words, process.returncode, said[-4000:].decode())
        return said

    @contextlib.contextmanager
    def watched(self, seconds: float = 3 * SECONDS) -> Iterator[None]:
        """Run a block; if it takes longer, whoever waits for a mount is cut off, so that it ends."""
        timer = threading.Timer(seconds, self.abort)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def abort(self) -> None:
        """Cut off whoever waits for a mount, whatever its processes do."""
        numbers = [str(number) for number in self.mounts().values()]
        subprocess.run([*entering(self._pid), "sh", "-euc", _ABORT, "sh", *numbers], check=True, timeout=SECONDS)

    def end(self) -> None:
        """End all that users still do."""
        self.abort()
        for dweller in self._dwellers:
            dweller.end()

    @property
    def before(self) -> list[str]:
        """The words before a command of root's."""
        return entering(self._pid)

    @property
    def environment(self) -> dict[str, str]:
        """What a command of root's is started with."""
        return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}


@contextlib.contextmanager
def host() -> Iterator[Host]:
    """Make a machine with users."""
    with people() as made, view() as pid, contextlib.ExitStack() as homes:
        group, keeper = made.group("users"), made.user("node")
        directory = homes.enter_context(place(keeper))
        running = homes.enter_context(node(keeper, directory, f'group = "{group}"\n'))
        one = Host(made, group, running, pid, homes)
        try:
            yield one
        finally:
            one.end()


class Mount:
    """`hold mount --config FILE`, as root."""

    def __init__(self, host: Host, directory: Path, settings: str = "") -> None:
        self.host = host
        self.at = directory / "tree"
        self.socket = directory / "run" / "agents.sock"
        self.config = directory / "mount.toml"
        self.errors = directory / "errors"
        self._told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._told.bind(str(directory / "told"))
        self._told.settimeout(SECONDS / 2)
        self.config.write_text(
            f'at = "{self.at}"\nsocket = "{self.socket}"\nnode = "{host.node.socket}"\n'
            f'user = "{host.worker.name}"\npublic = "{host.public.person.name}"\n{settings}'
        )
        self.start()

    def start(self) -> None:
        """Start it, and return when it serves."""
        with open(self.errors, "ab") as errors:
            self.process = subprocess.Popen(
                [*self.host.before, sys.executable, "-m", "tests.cli.hold", "mount", "--config", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                env=self.host.environment | {"NOTIFY_SOCKET": self._told.getsockname()},
            )
        try:
            while self._told.recv(100) != b"READY=1":
                pass
        except TimeoutError:
            self.kill()
            raise AssertionError(self.errors.read_text()) from None

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send it a signal, and return how it ended."""
        self.process.send_signal(number)
        try:
            return self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        """End it as nobody should."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """It is not started again."""
        self._told.close()

    def worker(self) -> int:
        """The process that serves the kernel now."""
        stop = time.monotonic() + SECONDS
        while not (found := [pid for pid in children(self.process.pid) if uid_of(pid) == self.host.worker.uid]):
            assert time.monotonic() < stop, self.errors.read_text()
            time.sleep(0.005)
        return found[0]

    def of(self, whose: Dweller) -> Path:
        """A user's tree."""
        return self.at / "hold" / whose.person.name

    def spot(self, whose: Dweller, name: str, mode: int = 0o755) -> Path:
        """A new directory in a user's tree, to which everybody has a way."""
        tree = self.of(whose)

        def make() -> Path:
            tree.chmod(0o711)
            (tree / name).mkdir()
            (tree / name).chmod(mode)
            return tree / name

        return whose.do(make)


@contextlib.contextmanager
def mount(host: Host, settings: str = "") -> Iterator[Mount]:
    """Mount; it is unmounted again, cleanly."""
    with tempfile.TemporaryDirectory(prefix="hold-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        one = Mount(host, directory, settings)
        try:
            yield one
            if one.process.poll() is None:
                assert one.stop() == 0, one.errors.read_text()
        finally:
            if one.process.poll() is None:
                host.abort()
                one.kill()
            one.close()


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def uid_of(pid: int) -> int | None:
    """Whose a process is, all of it; None if it is not there, or has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    rows = dict(line.split(":", 1) for line in status.splitlines())
    uids = set(rows["Uid"].split())
    return int(uids.pop()) if len(uids) == 1 and not rows["State"].strip().startswith("Z") else None


def words_of(pid: int) -> bytes:
    """The words that a process was started with."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
