"""A user's agent over an open repository, in this process: its rooms, put together. See `calls.Agent`."""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from commonhold.agent.opened import Opened
from commonhold.api import Damage, Reclaimed, Report, Usage
from commonhold.calls import Watcher
from commonhold.errors import HoldError, Kind
from commonhold.host.repository import VOLUME

if TYPE_CHECKING:
    from commonhold.agent.files import LocalFiles
    from commonhold.agent.graphs import LocalGraphs
    from commonhold.agent.gridding import LocalGrids
    from commonhold.agent.history import LocalHistory
    from commonhold.agent.keyring import LocalKeyring
    from commonhold.agent.mounts import LocalMounts, NodeMounts
    from commonhold.agent.own import Own
    from commonhold.agent.pinning import LocalPins
    from commonhold.agent.publishing import LocalNaming
    from commonhold.agent.tree import LocalTree


class LocalAgent:
    """See `calls.Agent`. A room is made when it is first entered: most commands enter one."""

    def __init__(self, opened: Opened, mounts: "NodeMounts | None" = None) -> None:
        """`mounts` are those of an agent that stays, which has the caller's own tree open for them, too."""
        self._opened = opened
        self._mounts = mounts
        self._own: Callable[[], Own] = opened.own if mounts is None else mounts.own

    @cached_property
    def files(self) -> "LocalFiles":
        """Files and trees."""
        from commonhold.agent.files import LocalFiles

        return LocalFiles(self._opened, self._opened.path)

    @cached_property
    def pins(self) -> "LocalPins":
        """What is kept."""
        from commonhold.agent.pinning import LocalPins

        return LocalPins(self._opened)

    @cached_property
    def graphs(self) -> "LocalGraphs":
        """Blocks and graphs."""
        from commonhold.agent.graphs import LocalGraphs

        return LocalGraphs(self._opened)

    @cached_property
    def keeping(self) -> "LocalKeeping":
        """The whole."""
        return LocalKeeping(self._opened, self._own)

    @cached_property
    def keys(self) -> "LocalKeyring":
        """Keys."""
        from commonhold.agent.keyring import LocalKeyring
        from commonhold.agent.keystore import Keystore

        return LocalKeyring(Keystore(self._opened.path, self._opened.uid))

    @cached_property
    def names(self) -> "LocalNaming":
        """Names."""
        from commonhold.agent.publishing import LocalNaming

        return LocalNaming(self._opened, self.keys)

    @cached_property
    def mounts(self) -> "LocalMounts":
        """Mounts."""
        from commonhold.agent.mounts import LocalMounts

        return LocalMounts(self._mounts)

    @cached_property
    def tree(self) -> "LocalTree":
        """The own tree."""
        from commonhold.agent.tree import LocalTree

        return LocalTree(self._own)

    @cached_property
    def history(self) -> "LocalHistory":
        """Its snapshots."""
        from commonhold.agent.history import LocalHistory

        return LocalHistory(self._opened, self._own)

    @cached_property
    def grids(self) -> "LocalGrids":
        """What is kept on grids."""
        from commonhold.agent.gridding import LocalGrids

        return LocalGrids(self._opened, self._own)


class LocalKeeping:
    """See `calls.Keeping`."""

    def __init__(self, opened: Opened, own: "Callable[[], Own]") -> None:
        self._opened = opened
        self._own = own

    def usage(self) -> Usage:
        """See `calls.Keeping`."""
        return self._opened.store.usage()

    def collect(self, despite_doubt: bool) -> Reclaimed:
        """See `calls.Keeping`."""
        return self._opened.collect(despite_doubt=despite_doubt)

    def verify(self, watcher: Watcher) -> Report:
        """See `calls.Keeping`."""
        told = 0

        def tell(done: int) -> None:
            nonlocal told
            watcher.bytes(done - told)
            told = done

        report = self._opened.verify(tell)
        if (self._opened.path / VOLUME).exists():
            report.damage += [Damage(f"your own tree: {said}", None) for said in self._wrong(watcher)]
        return report

    def _wrong(self, watcher: Watcher) -> list[str]:
        """What is wrong with the own tree, if it is at this node."""
        try:
            return list(self._own().volume().verify())
        except HoldError as error:
            if error.kind is Kind.DENIED:
                watcher.remark(f"note: your own tree was not checked: {error}")
                return []
            if error.kind is Kind.CORRUPT:
                return [str(error)]
            raise
