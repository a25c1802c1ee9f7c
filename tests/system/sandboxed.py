"""Run in a service's sandbox: what a node's store needs has to work, and what a taken-over node would like must not.

With the word `mount`: what a taken-over keeper would like. With `grid` and a directory: the daemon of a grid that has
it, as the instance `probe`.
"""

import ctypes
import grp
import mmap
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

STATE = Path(sys.argv[2]) if sys.argv[1:2] == ["grid"] else Path("/var/lib/commonhold")
OTHERS = tuple(f"commonhold{one}" for one in ("", "-server", "-introducer", "-blesser", "-relay", "-public"))


def refused(what: str, attempt: Callable[[], object]) -> None:
    """It must not work."""
    try:
        attempt()
    except OSError:
        return
    sys.exit(f"this was possible: {what}")


def a_store_works() -> None:
    """A callback through ctypes, and a whole repository: direct I/O, LMDB, SQLite, threads, hashes."""
    assert ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda number: number + 1)(1) == 2
    repository = STATE / "probe"
    (STATE / "data").write_bytes(os.urandom(5_000_000))
    for words in (["init"], ["add", "--name", "data", str(STATE / "data")], ["verify"]):
        subprocess.run(["/usr/bin/hold", "--repo", str(repository), *words], check=True, cwd="/")


def strangers_are_served() -> None:
    """Connections come in and go out, over TCP and unix sockets; a book is kept; a key reaches OpenSSL from memory."""
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_connection(listening.getsockname()):
        listening.accept()[0].close()
    run = Path("/run", STATE.parts[3], "probe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(run / "probe"))
    (run / "probe").unlink()
    with sqlite3.connect(STATE / "probe.sqlite") as book:
        book.execute("pragma journal_mode = wal")
        book.execute("create table probe (number integer)")
    key = os.memfd_create("probe")
    Path(f"/proc/self/fd/{key}").write_text("key")
    os.close(key)


def others_are_closed() -> None:
    """What the other daemons have, their keys above all; and that they run."""
    for name in OTHERS:
        place = Path("/var/lib", name)
        if not STATE.is_relative_to(place) and place.exists():
            refused(f"to look into {place}", lambda: list(place.iterdir()))  # noqa: B023
    refused("to see another's process", lambda: Path("/proc/1/cmdline").read_bytes())


def callers_can_be_told_apart() -> None:
    """A process of another user: its user namespace can be seen, and users and groups have names; nobody is known."""
    assert Path("/proc/1/uid_map").read_bytes() == Path("/proc/self/uid_map").read_bytes()
    assert int(Path("/proc/sys/kernel/overflowuid").read_text()) > 0
    assert "alice" in grp.getgrnam("commonhold-users").gr_mem


def nothing_else_works() -> None:
    """Files, devices, network, programs, rights."""
    refused("to write into /etc", lambda: Path("/etc/planted").write_text(""))
    refused("to write into /run", lambda: Path("/run/planted").write_text(""))
    refused("to write over a program", lambda: Path("/usr/bin/hold").write_text(""))
    refused("to open /dev/fuse", lambda: os.open("/dev/fuse", os.O_RDWR))
    refused("to read another's files", lambda: Path("/etc/shadow").read_text())
    refused("to see home directories", lambda: list(Path("/home").iterdir()))
    if sys.argv[1:2] != ["grid"]:
        refused("to open an internet socket", lambda: socket.socket(socket.AF_INET))
    refused("to open a raw socket", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
    refused("to ask the kernel for its network", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))
    refused("to have memory that is data and code", lambda: mmap.mmap(-1, 4096, prot=7))
    refused("to change an owner", lambda: os.chown(STATE, os.getuid(), os.getgid()))
    program = STATE / "program"
    program.write_bytes(Path("/bin/true").read_bytes())
    program.chmod(0o700)
    refused("to run what was stored", lambda: subprocess.run([program], check=True))
    mounts = {line.split()[4]: line.split()[5] for line in Path("/proc/self/mountinfo").read_text().splitlines()}
    loose = [place for place, flags in mounts.items() if os.access(place, os.W_OK) and "noexec" not in flags.split(",")]
    assert loose == [], f"what is written here could be run: {loose}"
    libc = ctypes.CDLL(None)
    if libc.unshare(0x10000000) == 0:
        sys.exit("this was possible: a new user namespace")


def a_keeper_gets_no_further() -> None:
    """It is root, and may mount and become others; other people's files, devices, the network are not its own."""
    here = Path("/run/commonhold-mount/probe")
    here.touch()
    libc = ctypes.CDLL(None, use_errno=True)

    def call(name: str, *words: object) -> None:
        if getattr(libc, name)(*words) != 0:
            raise OSError(ctypes.get_errno(), name)

    refused("to see what is in a home directory", lambda: list(Path("/home/alice").iterdir()))
    refused("to read what a user closed", lambda: Path("/home/alice/secret").read_text())
    refused("to look into another's process", lambda: os.readlink("/proc/1/cwd"))
    refused("to have a disk", lambda: os.mknod(here.with_name("disk"), 0o60600, os.makedev(7, 0)))
    refused("to open an internet socket", lambda: socket.socket(socket.AF_INET))
    refused("to ask the kernel for its network", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))
    refused("to have memory that is data and code", lambda: mmap.mmap(-1, 4096, prot=7))
    refused("to give files away", lambda: os.chown(here, 1, 1))
    refused("to make a program set-uid", lambda: os.chmod(here, 0o4755))
    refused("a new user namespace", lambda: call("unshare", 0x10000000))
    refused("a mount namespace, where nobody sees it", lambda: call("unshare", 0x00020000))
    refused("another root", lambda: os.chroot("/home"))
    refused("another host name", lambda: socket.sethostname("other"))
    refused("another clock", lambda: call("settimeofday", ctypes.create_string_buffer(16), None))
    refused("to change a file system's limits", lambda: call("quotactl", 0, None, 0, None))
    here.unlink()


if __name__ == "__main__":
    if sys.argv[1:] == ["mount"]:
        a_keeper_gets_no_further()
    elif sys.argv[1:2] == ["grid"]:
        strangers_are_served()
        others_are_closed()
        nothing_else_works()
    else:
        a_store_works()
        callers_can_be_told_apart()
        nothing_else_works()
    sys.stdout.write("all is as it should be\n")
