"""What is kept, under names: `calls.Pins` over an open repository."""

from collections.abc import Iterator

from commonhold.agent.naming import unread
from commonhold.agent.opened import Opened
from commonhold.api import Pin
from commonhold.formats.multihash import Multihash


class LocalPins:
    """See `calls.Pins`."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self._store = opened.store

    def add(self, what: str, name: str | None, readers: tuple[int, ...]) -> Pin:
        """See `calls.Pins`."""
        named = self._opened.named(what)
        capability = unread(named, self._store)
        if capability is not None:
            from commonhold.agent.unread import pin_unread

            return pin_unread(self._store, capability, name or str(capability.cid), readers)
        root = self._opened.find(named).cid
        return self._opened.blocks.pin(self._store.session(readers), root, name or str(root))

    def all(self) -> Iterator[Pin]:
        """See `calls.Pins`."""
        return iter(self._store.pins())

    def keys(self, name: str) -> Iterator[Multihash]:
        """See `calls.Pins`."""
        return self._store.pin_keys(name)

    def remove(self, name: str) -> None:
        """See `calls.Pins`."""
        self._store.unpin(name)

    def rename(self, old: str, new: str) -> None:
        """See `calls.Pins`."""
        self._store.rename_pin(old, new)
