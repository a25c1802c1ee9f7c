"""A network namespace of the test's own from which nothing gets out, and what is sent there, packet by packet.

It has a route to everywhere, whose packets nobody gets, and a name server that never answers: so whoever wants to speak
to somebody does send. It is tied to the process that made it: when that is killed, the kernel takes it away.
"""

import contextlib
import ctypes
import ipaddress
import os
import select
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from commonhold.formats.hint import TcpHint

T = TypeVar("T")

HERE: Final = "192.0.2.2"
NAME_SERVER: Final = "192.0.2.53"
DNS: Final = 53
_ETH_P_ALL, _SOL_PACKET, _PACKET_STATISTICS, _SO_RCVBUFFORCE = 3, 263, 6, 33
_CLONE_NEWNET: Final = 0x40000000
_IP_HEADER = {4: 20, 6: 40}
_TCP, _UDP, _HOP_BY_HOP, _ICMPV6 = 6, 17, 0, 58
_SHUT: Final = """
for name in resolv.conf nsswitch.conf hosts; do mount --bind "$1/$name" "/etc/$name"; done
ip link set lo up
ip link add exit type veth peer name beyond
ip link set exit arp off
ip address add "$2/24" dev exit
ip address add 2001:db8::2/64 dev exit nodad
ip link set exit up
ip link set beyond up
ip route add default dev exit
ip -6 route add default dev exit
echo ready
exec cat
"""
_TIED: Final = ("setpriv", "--pdeathsig=KILL")
_libc = ctypes.CDLL(None, use_errno=True)


class Packet(NamedTuple):
    """What was sent, by which device. Ports are 0 where there are none."""

    device: str
    protocol: int
    source: tuple[str, int]
    target: tuple[str, int]
    data: bytes


class Cell:
    """See the module. `sent` has all packets, also those on loopback; `lost` counts those that could not be noted."""

    def __init__(self, holder: int) -> None:
        self._holder = holder
        self._sent: list[Packet] = []
        self._lock = threading.Lock()
        self._tap = self.within(_tap)

    def words(self, *words: str) -> list[str]:
        """What runs a command here, for as long as the thread that starts it lives."""
        spaces = [f"--{kind}=/proc/{self._holder}/ns/{name}" for kind, name in (("net", "net"), ("mount", "mnt"))]
        return [*_TIED, "nsenter", *spaces, "--", *words]

    def within(self, work: Callable[[], T]) -> T:
        """Do something whose sockets belong here; they can be used anywhere."""
        done: list[T] = []

        def enter() -> None:
            fd = os.open(f"/proc/{self._holder}/ns/net", os.O_RDONLY)
            try:
                if _libc.setns(fd, _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
            finally:
                os.close(fd)
            done.append(work())

        thread = threading.Thread(target=enter)  # which ends in there
        thread.start()
        thread.join()
        return done[0]

    def listening(self, host: str = "127.0.0.1") -> socket.socket:
        """A socket that listens here, at a free port."""
        return self.within(lambda: socket.create_server((host, 0)))

    @property
    def sent(self) -> list[Packet]:
        """All up to now."""
        with self._lock:
            while select.select([self._tap], [], [], 0)[0]:
                data, (device, _, kind, *_) = self._tap.recvfrom(256)
                if kind == socket.PACKET_OUTGOING and (packet := _read(device, data)) is not None:
                    self._sent.append(packet)
            return list(self._sent)

    def elsewhere(self, *allowed: TcpHint) -> list[Packet]:
        """Those that neither went to one of these places nor came from it."""
        places = {(one.host, one.port) for one in allowed}
        return [one for one in self.sent if not places & {one.source, one.target}]

    @property
    def lost(self) -> int:
        """Packets that were too many to note, since this was asked last."""
        data = self._tap.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
        return int.from_bytes(data[4:8], "little")

    def close(self) -> None:
        """Listen no more."""
        self._tap.close()


def _tap() -> socket.socket:
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL))
    tap.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 512 << 20)
    return tap


def _read(device: str, data: bytes) -> Packet | None:
    """A packet; None for what the kernel says of itself where there is IPv6."""
    version = data[0] >> 4
    assert version in _IP_HEADER, data
    protocol = data[9] if version == 4 else data[6]
    if version == 6 and protocol in (_HOP_BY_HOP, _ICMPV6):
        return None
    start, size = (12, 4) if version == 4 else (8, 16)
    hosts = [str(ipaddress.ip_address(data[at : at + size])) for at in (start, start + size)]
    head = (data[0] & 15) * 4 if version == 4 else _IP_HEADER[6]
    ports = [0, 0]
    if protocol in (_TCP, _UDP):
        ports = [int.from_bytes(data[at : at + 2], "big") for at in (head, head + 2)]
    return Packet(device, protocol, (hosts[0], ports[0]), (hosts[1], ports[1]), data)


@contextlib.contextmanager
def cell(path: Path) -> Iterator[Cell]:
    """One, with files of its own for the lookup of names at a path."""
    path.mkdir()
    (path / "resolv.conf").write_text(f"nameserver {NAME_SERVER}\n")
    (path / "nsswitch.conf").write_text("hosts: files dns\n")
    (path / "hosts").write_text("127.0.0.1 localhost\n")
    alone = ["unshare", "--net", "--mount", "--propagation", "private"]
    words = [*_TIED, *alone, "sh", "-euc", _SHUT, "sh", str(path), HERE]
    holder = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == b"ready\n"
        made = Cell(holder.pid)
        try:
            yield made
        finally:
            made.close()
    finally:
        holder.communicate()
