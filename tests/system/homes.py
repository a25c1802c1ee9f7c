"""Users' homes on a machine with a node, and the commands they give there, each as a login would have it.

The interpreter may lie where only root has a way to it, as below /root. So commands run in a mount namespace in which
every user has one; agents run there, too, and see the same files as the commands.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.system.people import ROOT, Node, Person
from tests.waiting import SECONDS

_OPEN = """
cover=$1; shift
if [ -n "$cover" ]; then
  beside=$(mktemp -d)
  mount -t tmpfs -o mode=755 seen "$beside"
  for path in "$@"; do mkdir -p "$beside$path"; mount --bind "$path" "$beside$path"; done
  mount --rbind "$beside$cover" "$cover"
  umount -l "$beside"
  rmdir "$beside"
fi
echo ready
exec cat
"""


def _closed(path: Path) -> Path | None:
    """The first directory on the way to a path that not everybody may pass."""
    return next((one for one in [*reversed(path.parents), path] if not one.stat().st_mode & 1), None)


@contextlib.contextmanager
def view() -> Iterator[int]:
    """The process in whose mount namespace everybody can read this interpreter and this checkout."""
    needed = [path for path in (Path(sys.base_prefix), Path(sys.prefix), ROOT) if _closed(path)]
    covers = {_closed(path) for path in needed}
    assert len(covers) <= 1, covers
    cover = str(covers.pop()) if covers else ""
    holder = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "sh", "-euc", _OPEN, "sh", cover, *map(str, needed)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None and holder.stdout.readline() == b"ready\n"
        yield holder.pid
    finally:
        holder.communicate()


def entering(pid: int) -> list[str]:
    """The words before a command that have it run in the mount namespace of a process."""
    return ["nsenter", f"--mount=/proc/{pid}/ns/mnt", "--"]


@contextlib.contextmanager
def seen() -> Iterator[list[str]]:
    """The words before a command that have it run where everybody can read this interpreter and this checkout."""
    with view() as pid:
        yield entering(pid)


class Home:
    """A user's home directory, and the commands they give."""

    def __init__(self, person: Person, directory: Path, node: Node, seen: list[str]) -> None:
        self.person = person
        self.directory = directory
        self.node = node
        self.state = directory / ".hold"
        self.socket = self.state / "agent.sock"
        self._seen = seen

    def words(self, *words: str, cwd: Path | None = None) -> list[str]:
        """What runs a command as this user."""
        return self.program(sys.executable, "-m", "tests.cli.hold", *words, cwd=cwd)

    def program(self, *words: str, cwd: Path | None = None) -> list[str]:
        """What runs a program as this user."""
        standing = ["sh", "-c", 'cd "$0" && exec "$@"', str(cwd or self.directory)]
        become = ["setpriv", f"--reuid={self.person.name}", f"--regid={self.person.gid}", "--init-groups", "--"]
        return [*self._seen, *standing, *become, *words]

    @property
    def environment(self) -> dict[str, str]:
        """As after a login."""
        own = {"HOME": str(self.directory), "HOLD_REPO": str(self.node.socket), "PYTHONPATH": str(ROOT)}
        return own | {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}

    def hold(
        self, *words: str, code: int | None = 0, given: bytes = b"", cwd: Path | None = None
    ) -> "subprocess.CompletedProcess[bytes]":
        """Give a command as this user."""
        done = subprocess.run(
            self.words(*words, cwd=cwd),
            input=given,
            capture_output=True,
            check=False,
            env=self.environment,
            timeout=SECONDS,
        )
        assert code is None or done.returncode == code, (done.stdout, done.stderr)
        return done

    def processes(self) -> list[int]:
        """What is at work as this user."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdecimal() and entry.stat().st_uid == self.person.uid:
                    (entry / "exe").readlink()  # there is none of what has ended and nobody has asked after
                    found.append(int(entry.name))
        return found

    def end(self) -> None:
        """End all that; return when it has ended."""
        stop = time.monotonic() + SECONDS
        while found := self.processes():
            assert time.monotonic() < stop, found
            for pid in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
