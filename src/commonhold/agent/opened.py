"""An open repository as one user's agent sees it: blocks, names, and where that user's own things are."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from commonhold.agent.blocks import Blocks, Source
from commonhold.agent.naming import Found, Named, find, parse_name
from commonhold.api import BlockStore, Reclaimed, Records, Report
from commonhold.formats.capability import ReadCapability
from commonhold.formats.cid import Cid
from commonhold.formats.link import Link, SealedLink

if TYPE_CHECKING:
    from commonhold.agent.gridding import OwnGrids
    from commonhold.agent.names import Names
    from commonhold.agent.own import Own
    from commonhold.ipc.nodeclient import NodeStore


class Opened:
    """An open repository. `path` is where the caller's own things are: keys, the own tree, what an add trusts."""

    def __init__(self, path: Path, store: BlockStore, uid: int) -> None:
        self.path = path
        self.store = store
        self.uid = uid
        self._own: Own | None = None
        self._grids: OwnGrids | None = None
        self.blocks = Blocks(store, self._follow)

    def named(self, what: str) -> Named:
        """What a word names. A link that was sealed for the caller's account is opened; DENIED if for another's."""
        named = parse_name(what)
        if isinstance(named.root, SealedLink):
            return Named(self.grids.opened(named.root), named.path)
        return named

    def find(self, named: Named) -> Found:
        """What a word names, opened if it is sealed. What a grid keeps is read from there where it is not here."""
        source = self.source(named)
        return find(named, self.blocks if source is self.store else Blocks(source, self._follow))

    def source(self, named: Named) -> Source:
        """Where that is read from: what is here, and the grid of a link, or those of the caller for a capability."""
        if isinstance(named.root, Link):
            return self.grids.source(named.root.capability, named.root.grid)
        if isinstance(named.root, ReadCapability) and self.grids.any:
            return self.grids.source(named.root)
        return self.store

    @property
    def grids(self) -> "OwnGrids":
        """The grids that the caller has joined."""
        from commonhold.agent.gridding import OwnGrids

        if self._grids is None:
            self._grids = OwnGrids(self.path, self.uid, self.store)
        return self._grids

    @property
    def node(self) -> Path:
        """Where its node listens, or would if there were one."""
        raise NotImplementedError

    def own(self) -> "Own":
        """The caller's own tree, as one process has it at a time."""
        from commonhold.agent.own import Own

        if self._own is None:
            self._own = Own(self.path, self.node, self.store, self.uid)
        return self._own

    def records(self) -> Records:
        """The signed records that are kept here."""
        raise NotImplementedError

    @property
    def names(self) -> "Names":
        """The names that the records kept here tell of."""
        from commonhold.agent.names import Names

        return Names(self.records(), self.uid)

    def _follow(self, cid: Cid, path: Sequence[str]) -> tuple[Cid, Sequence[str]]:
        from commonhold.formats import ipns

        return self.names.resolve(ipns.name_of_cid(cid), path, time.time_ns())

    def collect(self, *, despite_doubt: bool) -> Reclaimed:
        """Delete what no pin of the caller's keeps."""
        raise NotImplementedError

    def verify(self, tell: Callable[[int], None]) -> Report:
        """Check everything of the caller's; `tell` is told the bytes read so far."""
        raise NotImplementedError

    def close(self) -> None:
        """Close what was opened beside the store."""
        try:
            if self._grids is not None:
                self._grids.close()
        finally:
            if self._own is not None:
                self._own.close()


class Served(Opened):
    """What a node keeps for one user."""

    def __init__(self, path: Path, node: "NodeStore", uid: int) -> None:
        super().__init__(path, node, uid)
        self._node = node

    @property
    def node(self) -> Path:
        """See `Opened`."""
        return self._node.path.absolute()

    def records(self) -> Records:
        """See `Opened`."""
        return self._node.records

    def collect(self, *, despite_doubt: bool) -> Reclaimed:
        """See `Opened`."""
        return self._node.collect()

    def verify(self, tell: Callable[[int], None]) -> Report:
        """See `Opened`."""
        from commonhold.agent.checking import check

        return check(self._node, tell)

    def close(self) -> None:
        """Hang up on the node."""
        try:
            super().close()
        finally:
            self._node.close()
