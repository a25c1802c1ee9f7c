"""A worker in a thread, between a kernel that a test plays and agents that are real but for their trees.

The device is a socket that keeps requests apart, as the device does. Who an agent is says the name of its socket:
the test has one user, and the kernel would say so.
"""

import contextlib
import os
import re
import socket
import struct
import threading
from pathlib import Path

from commonhold.agent.attending import Attendance, greet
from commonhold.ipc.peer import Peer
from commonhold.ipc.treeframes import Broken, Incoming
from commonhold.ipc.treewords import Which
from commonhold.mount import slots
from commonhold.mount.worker import Given, Worker
from commonhold.trees import Tree
from tests.mount import kernel
from tests.mount.desks import Answer, Homes
from tests.mount.kernel import PUBLIC, SHIFT
from tests.waiting import SECONDS

EPOCH = b"the mount's epoch"
NOTICE = 0  # as the id of what the kernel is told unasked


def credentials(sock: socket.socket) -> Peer:
    """Who a socket says it is: `UID.number`, or a stranger's."""
    found = re.search(r"(\d+)\.\d+$", str(sock.getpeername()))
    return Peer(1, int(found[1]) if found else 0, 0, foreign=found is None)


class Line:
    """One worker, from its start until it is replaced."""

    def __init__(self, mounted: "Mounted") -> None:
        self.keeper, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.keeper.settimeout(SECONDS)
        given = Given(
            os.dup(mounted.device), os.dup(mounted.listening.fileno()), theirs.detach(), mounted.memory, EPOCH, PUBLIC
        )
        self._device = given.device
        self.worker = Worker(given, Homes(), Homes())
        self.thread = threading.Thread(target=self.worker.run)
        self.thread.start()
        assert self.keeper.recv(64) == b"R"

    def end(self) -> None:
        """What is left of a worker that has ended: nothing, as of a process."""
        self.keeper.close()
        self.thread.join(SECONDS)
        assert not self.thread.is_alive()
        for sock in [*(one.sock for one in self.worker._connections.values()), self.worker._listening]:
            sock.close()
        self.worker._keeper.close()
        self.worker._poll.close()
        self.worker._slots._map.close()
        os.close(self._device)


class Mounted:
    """A mount. `kernel` is our end of its device."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.kernel, device = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.kernel.settimeout(SECONDS)
        self.device = device.detach()
        self.memory = slots.create()
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(str(directory / "agents.sock"))
        self.listening.listen(100)
        self._unique = 0
        self._count = 0
        self._agents: list[tuple[socket.socket, threading.Thread]] = []
        self._attendances: list[Attendance] = []
        self.line = Line(self)

    # ── the kernel ──

    def send(self, opcode: int, body: bytes = b"", node: int = 1, uid: int = 0, unique: int = 0) -> int:
        """Have the kernel ask something; its id."""
        self._unique += 2
        unique = unique or self._unique
        self.kernel.sendall(kernel.request(opcode, body, node, uid, unique))
        return unique

    def answers(self, *wanted: int) -> dict[int, Answer]:
        """What so many requests are answered, by their ids."""
        found: dict[int, Answer] = {}
        while len(found) < len(wanted):
            unique, answer = self.said()
            assert unique in wanted and unique not in found
            found[unique] = answer
        return found

    def said(self) -> tuple[int, Answer]:
        """What the kernel is told next: an id, and the answer."""
        raw = self.kernel.recv(1 << 21)
        length, error, unique = struct.unpack_from("<IiQ", raw)
        assert length == len(raw)
        return unique, Answer(-error, raw[16:])

    def ask(self, opcode: int, body: bytes = b"", node: int = 1, uid: int = 0) -> Answer:
        """Ask, and wait for the answer."""
        unique = self.send(opcode, body, node, uid)
        return self.answers(unique)[unique]

    def node(self, uid: int, number: int = 1) -> int:
        """A node of a user's tree. Only while the worker rests."""
        return self.line.worker._slots.slot(uid) << SHIFT | number

    # ── agents ──

    def connect(self, uid: int | None) -> socket.socket:
        """A connection of somebody's; None is a stranger."""
        self._count += 1
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(SECONDS)
        if uid is not None:
            sock.bind(str(self._directory / f"{uid}.{self._count}"))
        sock.connect(str(self._directory / "agents.sock"))
        return sock

    def agent(self, uid: int, tree: Tree, attendance: Attendance | None = None) -> Attendance:
        """An agent, in a thread; it is there on return."""
        if attendance is None:
            attendance = Attendance({Which.VOLUME: tree, Which.IPFS: tree})
            self._attendances.append(attendance)
        else:  # one connection after the other, as an agent does it
            self._agents[-1][1].join(SECONDS)
        sock, incoming = self.connect(uid), Incoming()
        welcome = greet(sock, incoming)
        assert welcome.epoch == EPOCH

        def serve() -> None:
            with contextlib.suppress(Broken, OSError):
                attendance.serve(sock, incoming)

        thread = threading.Thread(target=serve)
        thread.start()
        self._agents.append((sock, thread))
        return attendance

    # ── the keeper ──

    def replace(self) -> None:
        """Have the worker die, and another one come."""
        self.line.end()
        self.line = Line(self)

    def close(self) -> None:
        """End all that is there."""
        self.line.end()
        for sock, thread in self._agents:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            thread.join(SECONDS)
            assert not thread.is_alive()
            sock.close()
        for attendance in self._attendances:
            attendance.close()
        self.kernel.close()
        self.listening.close()
        os.close(self.device)
        os.close(self.memory)
