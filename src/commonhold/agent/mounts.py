"""The mounts that an agent serves, in threads of its own, for as long as they are there. docs/spec/mount.md."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from commonhold.agent.attending import Attendance
from commonhold.agent.planting import Plants, plant
from commonhold.calls import Open
from commonhold.errors import HoldError, Kind
from commonhold.host import sockets
from commonhold.host.saying import say
from commonhold.ipc.peer import credentials
from commonhold.ipc.treeframes import Broken, Incoming

_SHORT = 1.0  # seconds: a connection that ends sooner was of no use
_ATTEMPTS = 3  # at a mount to which every connection is short
_PAUSE = 0.2

Attend = Callable[[socket.socket], None]


class LocalMounts:
    """See `calls.Mounts`. `attend` is None where no process stays to serve one."""

    def __init__(self, attend: Attend | None) -> None:
        self._attend = attend

    def attend(self, mount: Open) -> None:
        """See `calls.Mounts`."""
        if self._attend is None:
            raise HoldError("attend", Kind.UNSUPPORTED, mount.said, "only an agent that stays can serve a mount")
        sock = socket.socket(fileno=os.dup(mount.fd))
        try:
            self._attend(sock)
        except BaseException:
            sock.close()
            raise


class Mounts:
    """All of them. `state` is where the user's own things are."""

    def __init__(self, state: Path, uid: int) -> None:
        self._state = state
        self._uid = uid
        self._plants: dict[Path, Plants] = {}  # by node
        self._socks: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()
        self._stopping = False

    @property
    def any(self) -> bool:
        """Whether a mount is served."""
        with self._lock:
            return bool(self._threads)

    def attend(self, sock: socket.socket, node: Path) -> None:
        """Serve a mount with what a node keeps, in a thread of its own. DENIED for a stranger's."""
        peer = credentials(sock)
        if peer.uid not in (0, self._uid):
            raise HoldError("attend", Kind.DENIED, f"uid {peer.uid}", "no mount of this host")
        path = Path(os.fsdecode(sock.getpeername()))
        with self._lock:
            if self._stopping:
                raise HoldError("attend", Kind.BUSY, "agent", "it is about to end")
            plants = self._plants.get(node)
            if plants is None:
                plants = self._plants[node] = plant(self._state, node, self._uid)
            thread = threading.Thread(target=self._serve, args=(sock, path, plants), name="hold-mount", daemon=True)
            self._threads.add(thread)
        thread.start()

    def _serve(self, sock: socket.socket, path: Path, plants: Plants) -> None:
        attendance = Attendance(plants.trees)
        short = 0
        try:
            while short < _ATTEMPTS:
                began = time.monotonic()
                self._attend(sock, attendance, plants)
                short = short + 1 if time.monotonic() < began + _SHORT else 0
                again = self._again(path)
                if again is None:
                    return
                sock = again
        finally:
            attendance.close()
            with self._lock:
                self._threads.discard(threading.current_thread())

    def _attend(self, sock: socket.socket, attendance: Attendance, plants: Plants) -> None:
        """Serve one connection to its end."""
        with sock:
            with self._lock:
                if self._stopping:
                    return
                self._socks.add(sock)
            try:
                incoming = Incoming()
                plants.begin(attendance.greet(sock, incoming))
                attendance.serve(sock, incoming)
            except (Broken, OSError) as error:
                say("hold agent", f"the mount: {error}")
            finally:
                with self._lock:
                    self._socks.discard(sock)
                plants.settle()

    def _again(self, path: Path) -> socket.socket | None:
        """Another connection to the same mount: what serves it may have been replaced. None if it is gone."""
        with self._lock:
            if self._stopping:
                return None
        time.sleep(_PAUSE)
        sock = socket.socket(socket.AF_UNIX)
        try:
            sockets.connect(sock, path)
            if credentials(sock).uid in (0, self._uid):
                return sock
        except OSError:
            pass
        sock.close()
        return None

    def close(self) -> None:
        """Hang up on all, and see that everything is on disk."""
        with self._lock:
            self._stopping = True
            for sock in self._socks:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
            threads = list(self._threads)
        for thread in threads:
            thread.join()
        for plants in self._plants.values():
            plants.close()
