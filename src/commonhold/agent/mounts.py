"""The mounts that an agent serves, in threads of its own, for as long as they are there. docs/spec/mount.md."""

import contextlib
import hashlib
import os
import socket
import threading
import time
from pathlib import Path

from commonhold.agent.attending import Attendance, greet
from commonhold.agent.own import Own
from commonhold.agent.planting import Plants, plant
from commonhold.calls import Open, OsPath
from commonhold.errors import HoldError, Kind
from commonhold.host import sockets
from commonhold.host.saying import say
from commonhold.ipc.peer import credentials
from commonhold.ipc.treeframes import Broken, Incoming
from commonhold.ipc.treewords import Welcome

_SHORT = 1.0  # seconds: a connection that ends sooner was of no use
_ATTEMPTS = 30  # at a mount to which every connection is short
_PAUSE, _LONGEST_PAUSE = 0.05, 2.0  # before the first of them, and at last


class LocalMounts:
    """See `calls.Mounts`. `mounts` is None where no process stays to serve one."""

    def __init__(self, mounts: "NodeMounts | None") -> None:
        self._mounts = mounts

    def attend(self, mount: Open) -> None:
        """See `calls.Mounts`."""
        if self._mounts is None:
            raise HoldError("attend", Kind.UNSUPPORTED, mount.said, "only an agent that stays can serve a mount")
        sock = socket.socket(fileno=os.dup(mount.fd))
        try:
            self._mounts.attend(sock)
        except BaseException:
            sock.close()
            raise

    def attended(self) -> list[OsPath]:
        """See `calls.Mounts`."""
        return [] if self._mounts is None else [OsPath(path) for path in self._mounts.attended()]


class NodeMounts:
    """All of an agent's, for calls that are about one node."""

    def __init__(self, mounts: "Mounts", node: Path) -> None:
        self._mounts = mounts
        self._node = node

    def attend(self, sock: socket.socket) -> None:
        """See `Mounts`."""
        self._mounts.attend(sock, self._node)

    def attended(self) -> list[Path]:
        """See `Mounts`."""
        return self._mounts.attended()

    def own(self) -> Own:
        """See `Mounts`."""
        return self._mounts.own(self._node)


class Mounts:
    """All of them. `state` is where the user's own things are."""

    def __init__(self, state: Path, uid: int) -> None:
        self._state = state
        self._uid = uid
        self._plants: dict[Path, Plants] = {}  # by node
        self._served: set[_Served] = set()
        self._lock = threading.Lock()
        self._stopping = False

    @property
    def any(self) -> bool:
        """Whether a mount is served."""
        with self._lock:
            return bool(self._served)

    def attended(self) -> list[Path]:
        """The sockets of those that are served."""
        with self._lock:
            return sorted({served.path for served in self._served})

    def attend(self, sock: socket.socket, node: Path) -> None:
        """Serve a mount with what a node keeps, in a thread of its own. DENIED for a stranger's."""
        peer = credentials(sock)
        if peer.uid not in (0, self._uid):
            raise HoldError("attend", Kind.DENIED, f"uid {peer.uid}", "no mount of this host")
        path = Path(os.fsdecode(sock.getpeername()))
        with self._lock:
            if self._stopping:
                raise HoldError("attend", Kind.BUSY, "agent", "it is about to end")
            plants = self._planted(node)
            for one in self._served:
                if one.serves(path, plants):  # it remembers what it has answered, and comes back by itself
                    one.hurry()
                    sock.close()
                    return
            served = _Served(sock, path, plants, self._uid)
            self._served.add(served)
        served.thread = threading.Thread(target=self._serve, args=(served,), name="hold-mount", daemon=True)
        served.thread.start()

    def own(self, node: Path) -> Own:
        """The user's own tree over a node, the same for mounts and commands."""
        with self._lock:
            if self._stopping:
                raise HoldError("open", Kind.BUSY, "agent", "it is about to end")
            return self._planted(node).own

    def _planted(self, node: Path) -> Plants:
        plants = self._plants.get(node)
        if plants is None:
            plants = self._plants[node] = plant(self._state, node, self._uid)
        return plants

    def _serve(self, served: "_Served") -> None:
        try:
            served.run()
        finally:
            with self._lock:
                self._served.discard(served)

    def close(self) -> None:
        """Hang up on all, and see that everything is on disk."""
        with self._lock:
            self._stopping = True
            served = list(self._served)
        for one in served:
            one.stop()
        for plants in self._plants.values():
            plants.close()


class _Served:
    """One mount, by one connection after the other."""

    def __init__(self, sock: socket.socket, path: Path, plants: Plants, uid: int) -> None:
        self.thread: threading.Thread | None = None
        self._sock: socket.socket | None = sock
        self.path = path
        self._plants = plants
        self._uid = uid
        self._attendance: Attendance | None = None
        self._epoch = b""
        self._client = ""  # as locks have it
        self._stopping = False
        self._wanted = threading.Event()

    def serves(self, path: Path, plants: Plants) -> bool:
        """Whether it is this mount that is served, with these trees."""
        return (self.path, self._plants) == (path, plants)

    def hurry(self) -> None:
        """The mount asks for us: come back now, if we are not there."""
        self._wanted.set()

    def run(self) -> None:
        """Serve it until it is gone, or does not want us."""
        short = 0
        try:
            while self._sock is not None and short < _ATTEMPTS:
                began = time.monotonic()
                with self._sock as sock:
                    self._attend(sock)
                short = short + 1 if time.monotonic() < began + _SHORT else 0
                self._sock = None if self._stopping else self._again(min(_PAUSE * 2**short, _LONGEST_PAUSE))
        finally:
            self._leave()
            if self._client and not self._stopping:
                self._plants.locks.left(self._client)

    def _attend(self, sock: socket.socket) -> None:
        """Serve one connection to its end."""
        incoming = Incoming()
        try:
            self._ready(greet(sock, incoming)).serve(sock, incoming)
        except (Broken, HoldError, OSError) as error:
            say("hold agent", f"the mount: {error}")
        finally:
            self._plants.settle()

    def _ready(self, welcome: Welcome) -> Attendance:
        """What serves this mount: the same as before, as long as it is the same mount."""
        if self._attendance is None or welcome.epoch != self._epoch:
            self._leave()
            trees, locks = self._plants.trees(welcome), self._plants.locks
            place = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:16]
            self._client = f"{place}.{welcome.epoch.hex()[:64]}"
            for gone in locks.clients():
                if gone.startswith(place) and gone != self._client:  # an earlier mount at the same place
                    locks.left(gone)
            self._attendance = Attendance(trees, self._plants.touched, locks, self._client, self._plants.own.orphans)
            self._epoch = welcome.epoch
            self._plants.own.names.add(self._attendance.name_changed)
            self._plants.own.objects.add(self._attendance.object_changed)
            self._plants.own.nameless.add(self._attendance.nameless)
        return self._attendance

    def _leave(self) -> None:
        """Serve what was served no longer."""
        if self._attendance is not None:
            self._plants.own.names.discard(self._attendance.name_changed)
            self._plants.own.objects.discard(self._attendance.object_changed)
            self._plants.own.nameless.discard(self._attendance.nameless)
            self._attendance.close()
            self._attendance = None

    def _again(self, pause: float) -> socket.socket | None:
        """Another connection to the mount: what serves it may have been replaced. None if it is gone."""
        self._wanted.wait(pause)
        self._wanted.clear()
        sock = socket.socket(socket.AF_UNIX)
        try:
            sockets.connect(sock, self.path)
            if credentials(sock).uid in (0, self._uid):
                return sock
        except OSError:
            pass
        sock.close()
        return None

    def stop(self) -> None:
        """Hang up, and return when that is done."""
        self._stopping = True
        with contextlib.suppress(OSError, AttributeError):
            self._sock.shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]
        if self.thread is not None:
            self.thread.join()
