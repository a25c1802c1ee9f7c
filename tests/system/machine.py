"""A fresh Debian of the test's own: made by debootstrap, booted by systemd-nspawn, gone when its test is gone.

It is in memory, in namespaces of its own, and tied to the process that started it: when that is killed, the kernel
takes away processes, mounts and files at once. Only empty control groups stay then.
"""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.waiting import SECONDS

_RELEASE = "bookworm"  # what the package is for
_INCLUDE = "python3,systemd,systemd-sysv,dbus,libpam-systemd,sudo,tor"
_TIED = ["setpriv", "--pdeathsig=KILL", "unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
# The second tmpfs is for what systemd-nspawn keeps about machines that run.
_MAKE_AND_BOOT = """
mount -t tmpfs -o mode=755,size=1g machine /mnt
debootstrap --variant=minbase --include="$1" "$2" /mnt "$3"
mount -t tmpfs -o mode=755 machine /run
exec systemd-nspawn --quiet --boot --private-network --register=no --keep-unit --link-journal=no --console=pipe \
  --machine=hold-test --bind=/dev/fuse --directory=/mnt
"""

Done = subprocess.CompletedProcess[str]


class Machine:
    """A Debian that is being made, boots and runs."""

    def __init__(self, log: IO[str]) -> None:
        self._log = log
        words = [*_TIED, "sh", "-euc", _MAKE_AND_BOOT, "sh", _INCLUDE, _RELEASE, _mirror()]
        self._outside = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def wait(self) -> None:
        """Until its systemd has started all."""
        stop = time.monotonic() + SECONDS
        while time.monotonic() < stop and self._outside.poll() is None:
            if self._leader() and self.run("systemctl is-system-running", code=None).stdout == "running\n":
                return
            time.sleep(0.2)
        self._log.seek(0)
        raise AssertionError(self._log.read()[-2000:])

    @property
    def root(self) -> Path:
        """Its files, as seen from here."""
        return Path(f"/proc/{self._leader()}/root")

    def run(self, script: str, *, user: str = "root", code: int | None = 0) -> Done:
        """Run a shell script inside, as a user of the machine."""
        spaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd"]
        inside = ["nsenter", f"--target={self._leader()}", *spaces, "runuser", "-u", user, "--"]
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "DEBIAN_FRONTEND": "noninteractive",
            "HOME": "/root" if user == "root" else f"/home/{user}",
        }
        done = subprocess.run(
            [*inside, "sh", "-c", f"cd; {script}"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        assert code is None or done.returncode == code, (script, done.stdout, done.stderr)
        return done

    def said(self, script: str, *, user: str = "root") -> str:
        """What a script that succeeds prints."""
        return self.run(script, user=user).stdout.strip()

    def _leader(self) -> str:
        """Its process 1, as seen from here; nothing until it is there."""
        pid = self._outside.pid
        try:
            while children := _children(pid):
                pid = int(children[0])
                if Path(f"/proc/{pid}/comm").read_text() == "systemd\n":
                    return str(pid)
        except (FileNotFoundError, ProcessLookupError):
            pass  # it was something short-lived that debootstrap had started
        return ""

    def end(self) -> None:
        """Take it away as it runs; wait until all of it is gone."""
        first = _children(self._outside.pid)
        os.kill(int(first[0]) if first else self._outside.pid, signal.SIGKILL)
        self._outside.wait()
        _remove_groups()


@contextmanager
def machine() -> Iterator[Machine]:
    """A machine that is being made."""
    with tempfile.TemporaryFile("w+") as log:
        made = Machine(log)
        try:
            yield made
        finally:
            made.end()


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def _remove_groups() -> None:
    """The control groups that systemd-nspawn makes in ours and leaves there."""
    places = {"name=systemd": ["systemd"], "": [".", "unified"]}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, hierarchy, own = line.split(":", 2)
        for place in places.get(hierarchy, []):
            for made in ("payload", "supervisor"):
                groups = Path("/sys/fs/cgroup", place, own[1:], made).glob("**/")
                for group in sorted(groups, reverse=True):
                    group.rmdir()


def _mirror() -> str:
    """Where apt gets this release from on this machine."""
    form = "$(SITE) $(CODENAME) $(COMPONENT) $(ORIGIN)"
    rows = subprocess.run(
        ["apt-get", "indextargets", "--format", form, "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    found = [row.split()[0] for row in rows if row.split()[1:] == [_RELEASE, "main", "Debian"]]
    assert found, f"apt has no {_RELEASE} here"
    return found[0]
