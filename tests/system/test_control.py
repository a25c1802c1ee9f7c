"""REQUIREMENTS D4: what takes orders is a unix socket whose caller the kernel names; what strangers reach takes none.

A whole grid runs as real processes; what each of them listens at is asked of the kernel, so that a port that somebody
adds is found. Logs have no port: they go to standard error.
"""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from commonhold.formats.keys import Seed
from commonhold.lab import plan, processes
from commonhold.transport import tls
from tests.cli.running import daemons, end_daemons, runner
from tests.waiting import SECONDS

pytestmark = pytest.mark.slow

SOURCE = Path(__file__).parents[2] / "src/commonhold"
NOT_HERE = (b"404", b"405")
_LISTENS_TCP, _LISTENS_UNIX = "0A", "00010000"
_ORDER = "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}"
_STRANGER = """
import os, socket, sys
os.setresgid(12345, 12345, 12345); os.setresuid(12345, 12345, 12345)
with socket.socket(socket.AF_UNIX) as sock:
    sock.settimeout(20)
    sock.connect(sys.argv[1])
    try:
        sock.sendall(sys.argv[2].encode())
        while said := sock.recv(65536):
            sys.stdout.buffer.write(said)
    except ConnectionError:
        pass
"""


@dataclass(frozen=True)
class Part:
    """A daemon's process, and what it listens at: ports of TCP, and paths."""

    name: str
    ports: tuple[int, ...]
    paths: tuple[str, ...]


def listening(name: str, pid: int) -> Part:
    """What a process has open to be called at, as the kernel says."""
    inodes = {
        found[1]
        for entry in Path(f"/proc/{pid}/fd").iterdir()
        if (found := re.fullmatch(r"socket:\[(\d+)\]", os.readlink(entry)))
    }
    ports = [
        int(words[1].rpartition(":")[2], 16)
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
        if (words := line.split())[3] == _LISTENS_TCP and words[9] in inodes
    ]
    paths = [
        words[7] if len(words) > 7 else ""
        for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]
        if (words := line.split())[3] == _LISTENS_UNIX and words[6] in inodes
    ]
    return Part(name, tuple(ports), tuple(paths))


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Part]]:
    """Every daemon there is, at work: a lab, and the node and the agent of somebody who joined it."""
    home = tmp_path_factory.mktemp("d4")
    hold, lab = runner(home), home / "lab"
    try:
        hold("lab", "up", str(lab), "--servers", "1", "--introducers", "1", "--users", "alice")
        hold("--repo", str(lab / "alice"), "up")
        pids = {path.stem: processes.running(lab, path.stem) for path in lab.glob("*.pid")}
        for pid in daemons(home):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            pids["node" if b"node" in words else "agent"] = pid
        yield {name: listening(name, pid) for name, pid in pids.items() if pid}
    finally:
        hold("--repo", str(lab / "alice"), "down", code=None)
        if (lab / plan.FILE).exists():
            hold("lab", "down", str(lab))
        end_daemons(home)


def orders() -> set[str]:
    """The paths of all calls of those rooms that ask the kernel who calls."""
    rooms = [*(SOURCE / "node").glob("*.py")]
    rooms += [path for path in SOURCE.rglob("*.py") if re.search(r"ipc(\.| import )peer", path.read_text())]
    return {path for room in rooms for path in re.findall(r'"(/v1/[^"]*)"', room.read_text())}


def test_d4_all_daemons_are_here_and_each_listens_as_it_should(parts: dict[str, Part]) -> None:
    assert {"blesser", "intro1", "server1", "server1-wire", "node", "agent"} <= set(parts)
    assert parts["node"].ports == parts["agent"].ports == ()
    count = dict.fromkeys(("node", "agent"), 0) | {"server1-wire": 2}  # everybody's line, and alice's
    for name, part in parts.items():
        assert len(part.ports) == count.get(name, 1), part
    assert all(parts[name].paths for name in ("blesser", "server1", "node", "agent"))


def test_d4_what_the_network_reaches_is_tls_with_the_servers_key_and_takes_no_orders(parts: dict[str, Part]) -> None:
    asked = orders()
    assert {"/v1/do", "/v1/sets/drop", "/v1/collect"} <= asked
    for part in parts.values():
        for port in part.ports:
            with socket.create_connection(("127.0.0.1", port), SECONDS) as plain:
                plain.sendall(_ORDER.format(path="/v1/do").encode())
                assert not _all(plain).startswith(b"HTTP"), part
            for path in asked:
                context = tls.unpinned_context(Seed(bytes(range(32))))
                with context.wrap_socket(socket.create_connection(("127.0.0.1", port), SECONDS)) as sock:
                    assert sock.version() == "TLSv1.3"
                    sock.sendall(_ORDER.format(path=path).encode())
                    assert _all(sock).split(b" ", 2)[1] in NOT_HERE, (part, path)


def _all(sock: socket.socket) -> bytes:
    found = b""
    try:
        while piece := sock.recv(65536):
            found += piece
    except ConnectionError:
        pass
    return found


def _as_somebody_else(path: str, asked: str) -> bytes:
    words = [sys.executable, "-c", _STRANGER, path, _ORDER.format(path=asked)]
    done = subprocess.run(words, capture_output=True, check=False, timeout=SECONDS)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.mark.root
def test_d4_what_takes_orders_takes_none_of_somebody_else_even_where_they_can_reach_it(parts: dict[str, Part]) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs to be another")
    paths = [path for part in parts.values() for path in part.paths]
    opened: dict[Path, int] = {}
    for place in map(Path, paths):
        for one in (place, *place.parents):
            if (mode := one.stat().st_mode) & 0o001 == 0 or one == place:
                opened.setdefault(one, mode & 0o7777)
                one.chmod(mode | (0o666 if one == place else 0o001))
    try:
        for path in paths:
            said = [_as_somebody_else(path, asked) for asked in sorted(orders())]
            assert any(b"12345" in answer and b"denied" in answer.lower() for answer in said), (path, said)
            for answer in said:
                assert not answer.startswith(b"HTTP/1.1 2"), (path, answer)
    finally:
        for one, mode in opened.items():
            one.chmod(mode)
