"""The trees that an agent serves to mounts, put together: over one node, for all mounts and commands at once."""

import contextlib
from collections.abc import Mapping
from pathlib import Path

from commonhold.agent.opened import Served
from commonhold.ipc.endpoint import owners
from commonhold.ipc.nodeclient import NodeStore
from commonhold.ipc.treewords import Which
from commonhold.trees import Tree


class Plants:
    """One node's."""

    def __init__(self, served: Served, trees: Mapping[Which, Tree]) -> None:
        self._served = served
        self.trees = trees

    def begin(self, epoch: bytes) -> None:
        """A mount of that epoch is about to be served."""

    def settle(self) -> None:
        """A mount's connection has ended: what it has written goes to disk."""

    def close(self) -> None:
        """See that everything is on disk, and close it."""
        with contextlib.closing(self._served):
            pass


def plant(state: Path, node: Path, uid: int) -> Plants:
    """Open the trees that a node keeps for a user."""
    store = NodeStore(node, owners(node, uid))
    try:
        store.hello()
        return Plants(Served(state, store, uid), {})
    except BaseException:
        store.close()
        raise
