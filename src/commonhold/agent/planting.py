"""The trees that an agent serves to mounts, put together: over one node, for all mounts and commands at once."""

import threading
import time
from collections.abc import Mapping
from pathlib import Path

from commonhold.agent.globe import Globe
from commonhold.agent.holding import Holding
from commonhold.agent.numbers import Numbers
from commonhold.agent.opened import Served
from commonhold.agent.own import Own
from commonhold.agent.signposts import Signposts
from commonhold.errors import HoldError
from commonhold.host.saying import say
from commonhold.ipc.endpoint import owners
from commonhold.ipc.nodeclient import NodeStore
from commonhold.ipc.treewords import Welcome, Which
from commonhold.trees import Tree

LOCKS = "locks"
PUBLIC = "public.sqlite"
_COMMIT_SECONDS = 2.0  # after the first change
_SETTLE_SECONDS = 30.0  # after the last commit


class Plants:
    """One node's."""

    def __init__(self, served: Served, node: Path) -> None:
        self._served = served
        self.own = Own(served.path, node, served.store, served.uid)
        self.own.objects.add(lambda number: self.touched())
        self._lock = threading.Lock()
        self._globe: Globe | None = None
        self._numbers: Numbers | None = None
        self.locks = Holding(served.path / LOCKS)
        self._changed = threading.Event()
        self._pressing = threading.Event()
        self._stop = threading.Event()
        self._tending = threading.Thread(target=self._tend, name="hold-commit", daemon=True)
        self._tending.start()

    def trees(self, welcome: Welcome) -> Mapping[Which, Tree]:
        """The trees that a mount wants."""
        with self._lock:
            found: dict[Which, Tree] = {}
            if Which.VOLUME in welcome.trees:
                found[Which.VOLUME] = self.own.volume(welcome.owner)
            if Which.IPFS in welcome.trees:
                found |= self._public(welcome.epoch)
            return found

    def _public(self, epoch: bytes) -> dict[Which, Tree]:
        state = self._served.path
        if self._numbers is None:
            self._numbers = Numbers(state / PUBLIC)
            self._globe = Globe(self._served.blocks, self._numbers)
        self._numbers.begin(epoch)
        assert self._globe is not None
        signposts = Signposts(lambda: self._served.names, self._numbers, time.time_ns)
        return {Which.IPFS: self._globe, Which.IPNS: signposts}

    # ── commits ──

    def touched(self) -> None:
        """Something may have changed: it is committed soon, or at once if that presses."""
        if not self._changed.is_set():
            self._changed.set()
        volume = self.own.opened
        if volume is not None and volume.pressing:
            self._pressing.set()

    def _tend(self) -> None:
        """Commit a while after something has changed, and tidy up when nothing does any more."""
        untidy = False
        while not self._stop.is_set():
            if self._changed.wait(_SETTLE_SECONDS if untidy else None):
                self._pressing.wait(_COMMIT_SECONDS)
                self._pressing.clear()
                self._changed.clear()
                untidy = self._attempt(settle=False)
            else:
                untidy = not self._attempt(settle=True)

    def _attempt(self, *, settle: bool) -> bool:
        """Commit, whether that went well."""
        volume = self.own.opened
        if volume is None:
            return False
        try:
            if settle:
                volume.settle()
            else:
                volume.commit()
        except (HoldError, OSError) as error:
            say("hold agent", f"the volume could not be written: {error}")
            return False
        return True

    def settle(self) -> None:
        """A mount's connection has ended: what it has written goes to disk."""
        self._attempt(settle=False)

    def close(self) -> None:
        """See that everything is on disk, and close it."""
        self._stop.set()
        self._pressing.set()
        self._changed.set()
        self._tending.join()
        try:
            self.own.close()
        except (HoldError, OSError) as error:
            say("hold agent", f"the volume could not be written: {error}")
        finally:
            self.locks.close()
            if self._globe is not None:
                self._globe.close()
            if self._numbers is not None:
                self._numbers.close()
            self._served.close()


def plant(state: Path, node: Path, uid: int) -> Plants:
    """Open what a node keeps for a user."""
    store = NodeStore(node, owners(node, uid))
    try:
        store.hello()
        return Plants(Served(state, store, uid), node)
    except BaseException:
        store.close()
        raise
