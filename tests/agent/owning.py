"""A user's own tree over an embedded store, for tests; and all that there is to see of a tree."""

import os
import stat
from pathlib import Path
from typing import Any

from commonhold.agent import places
from commonhold.agent.chronicle import Entry
from commonhold.agent.history import LocalHistory
from commonhold.agent.opened import Opened
from commonhold.agent.own import Own
from commonhold.agent.shooting import chronicle_of, shoot
from commonhold.blockstore.store import Store, create
from commonhold.calls import OsPath, Shooting
from commonhold.trees import SEEK_DATA, SEEK_HOLE, Attr, Who
from commonhold.volume.volume import Volume
from tests.agent.answering import Noting

ME = Who("alice@family", "users@family")


class Home:
    """A store, and the tree of who has it. Opened anew after a death."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._over = False
        if not (directory / "store").exists():
            create(directory / "store")
            (directory / "state").mkdir(mode=0o700)
        self.store = Store(directory / "store")
        self.opened = Opened(directory / "state", self.store, os.geteuid())
        self.own = Own(directory / "state", Path("/node"), self.store, os.geteuid())
        self.volume: Volume = self.own.volume(ME.owner)
        self.history = LocalHistory(self.opened, lambda: self.own)

    def die(self) -> "Home":
        """The same after its process has ended without a word."""
        self._over = True
        self.volume.abandon()
        self.store.close()
        return Home(self.directory)

    def close(self) -> None:
        if not self._over:
            self._over = True
            self.own.close()
            self.store.close()

    def shoot(self, path: str = "/hold/me", **how: Any) -> Entry:
        return shoot(self.own, places.parse("snapshot", path, self.own.uid), Shooting(**how), Noting())

    def restore(self, what: str, below: str = "", to: str | None = None) -> str | None:
        target = None if to is None else OsPath(to)
        return self.history.restore(what, OsPath(below), target, Noting()).before

    def names(self) -> list[str]:
        with chronicle_of(self.own) as chronicle:
            return [entry.name for entry in chronicle.all()]

    def pins(self) -> list[str]:
        """The names of snapshots that have a pin."""
        prefix = f"snapshot-{self.volume.id}-"
        return sorted(pin.name.removeprefix(prefix) for pin in self.store.pins() if pin.name.startswith(prefix))

    def look(self, path: str) -> dict[str, Any]:
        """All that there is to see at a path, and below."""
        return everything(self.volume, places.find("look", self.volume, places.parse("look", path, self.own.uid)))


def everything(volume: Volume, attr: Attr) -> dict[str, Any]:
    """What an object and all below it are, but for numbers and the times that nobody sets."""
    return _seen(volume, attr, {})


def _seen(volume: Volume, attr: Attr, known: dict[int, int]) -> dict[str, Any]:
    number = attr.number
    found: dict[str, Any] = {
        "mode": oct(attr.mode),
        "whose": (attr.owner, attr.group),
        "modified": attr.modified,
        "device": attr.device,
        "xattrs": {name: volume.xattr(number, name) for name in sorted(volume.xattrs(number))},
    }
    if stat.S_ISDIR(attr.mode):
        items = sorted(volume.listing(number, 0, 1000, True))
        found["entries"] = {item.name: _seen(volume, item.attr, known) for item in items if item.attr is not None}
    elif attr.links > 1:
        found["same"] = known.setdefault(number, len(known))
    if stat.S_ISLNK(attr.mode):
        found["target"] = volume.target(number)
    if stat.S_ISREG(attr.mode):
        found |= {"size": attr.size, "data": list(_data(volume, attr))}
    return found


def _data(volume: Volume, attr: Attr) -> Any:
    at = 0
    while at < attr.size:
        try:
            start = volume.seek(attr.number, at, SEEK_DATA)
        except OSError:
            return
        at = volume.seek(attr.number, start, SEEK_HOLE)
        yield (
            start,
            b"".join(volume.read(attr.number, one, min(1 << 20, at - one)) for one in range(start, at, 1 << 20)),
        )
