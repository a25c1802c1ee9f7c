"""The grids that a user has joined: `calls.Grids`, and where sealed trees that are not here are read from.

A grid is opened when it is first asked for something; most commands ask none. docs/spec/keeping.md, membership.md.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from commonhold.agent.blocks import Source
from commonhold.agent.naming import unread
from commonhold.api import BlockStore
from commonhold.calls import (
    EndedTree,
    KeptPath,
    KeptTree,
    OsPath,
    PackHealth,
    Receiving,
    Regular,
    ServerUse,
    Shared,
    Sharing,
    TreeHealth,
    Watcher,
)
from commonhold.errors import HoldError, Kind
from commonhold.formats import link as links
from commonhold.formats.capability import ReadCapability, VerifyCapability
from commonhold.formats.link import Link, SealedLink
from commonhold.formats.pin import GridId

if TYPE_CHECKING:
    from commonhold.agent.ongrid import OnGrid, SetHealth
    from commonhold.agent.opened import Opened
    from commonhold.agent.own import Own
    from commonhold.agent.regularly import Regularly
    from commonhold.agent.sharing import Sharer
    from commonhold.exchange.book import KeptSet
    from commonhold.exchange.checking import Health
    from commonhold.grids.membership import Membership

GRIDS = "grids"  # in a repository
_CONFIG = "grid.toml"


class OwnGrids:
    """All grids of one user, by name."""

    def __init__(self, repository: Path, uid: int, store: BlockStore) -> None:
        self._above = repository / GRIDS
        self._uid = uid
        self._store = store
        self._open: dict[str, OnGrid] = {}

    @property
    def any(self) -> bool:
        """Whether there is one."""
        return bool(self.names())

    def names(self) -> list[str]:
        """What they are called here. A directory without a config is of a join that did not end."""
        try:
            return sorted(path.parent.name for path in self._above.glob(f"*/{_CONFIG}"))
        except OSError:
            return []

    def one(self, name: str | None) -> "OnGrid":
        """A grid, or the only one. NOT_FOUND; USAGE where there are several."""
        from commonhold.agent.ongrid import OnGrid
        from commonhold.grids import places

        there = self.names()
        if name is None and len(there) > 1:
            why = f"which one? There are {', '.join(there)}"
            raise HoldError("open", Kind.USAGE, "grid", why, hint=f"--grid {there[0]}")
        chosen = name or (there[0] if there else None)
        if chosen not in self._open:
            (membership,) = places.joined(self._above.parent, self._uid, OnGrid.load, chosen)
            self._open[membership.name] = OnGrid(membership, self._uid, self._store)
            chosen = membership.name
        assert chosen is not None
        return self._open[chosen]

    def of(self, grid: GridId) -> "list[Membership]":
        """How this user takes part in a grid, mostly once. NOT_FOUND where it was not joined."""
        from commonhold.grids import membership, places

        found, broken = [], None
        for name in self.names():
            try:
                (one,) = places.joined(self._above.parent, self._uid, membership.load, name)
            except HoldError as error:  # it may well be about another grid
                broken = broken or error
                continue
            found += [one] if one.grid == grid else []
        if not found:
            why = "you have not joined the grid that this is of"
            hint = "ask whoever shared it for a code, then hold join CODE"
            raise broken or HoldError("open", Kind.NOT_FOUND, f"grid {grid}", why, hint=hint)
        return found

    def opened(self, sealed: SealedLink) -> Link:
        """What was sealed for this user's account. NOT_FOUND where its grid was not joined; DENIED for another's."""
        from commonhold.agent.sharing import open_for

        return open_for(self.of(sealed.grid), sealed)

    def source(self, capability: ReadCapability, grid: GridId | None = None) -> Source:
        """The blocks that a capability opens: those that are here, else those of the grid that keeps them, which may
        be known. Of a grid that was not joined what is here is read."""
        from commonhold.agent.beyond import GridSource
        from commonhold.agent.ongrid import Reading
        from commonhold.sealing.seal import verify_capability

        verify = verify_capability(capability)

        def beyond() -> Reading:
            errors: list[HoldError] = []
            for name in self.names() if grid is None else [one.name for one in self.of(grid)]:
                try:
                    return self.one(name).reading(verify)
                except HoldError as error:
                    errors.append(error)
            raise errors[0]

        return GridSource(self._store, beyond)

    def close(self) -> None:
        """Close those that were opened."""
        for grid in self._open.values():
            grid.close()
        self._open.clear()


class LocalGrids:
    """See `calls.Grids`."""

    def __init__(self, opened: "Opened", own: "Callable[[], Own]") -> None:
        self._opened = opened
        self._own = own

    def names(self) -> list[str]:
        """See `calls.Grids`."""
        return self._opened.grids.names()

    def keep(self, what: str, name: str | None, grid: str | None, watcher: Watcher) -> KeptTree:
        """See `calls.Grids`."""
        on = self._opened.grids.one(grid)
        self._regularly.refuse_name(on, name)
        capability = self._capability(what)
        shape, remark = on.shape()
        if remark is not None:
            watcher.remark(f"note: {remark}")
        from commonhold.agent.telling import Telling

        telling = Telling(on, watcher)
        on.keep(name or str(capability.cid), capability, shape, telling.kept, telling.sent)
        telling.flush()
        return next(one for one in self._all(on) if one.name == (name or str(capability.cid)))

    def _capability(self, what: str) -> VerifyCapability:
        """The right to list a sealed tree. USAGE for a CID: what is plain is not put where strangers keep it."""
        found = unread(self._opened.named(what), self._opened.store)
        if found is None:
            why = "it is not sealed, and servers keep nothing that they could read"
            raise HoldError("keep", Kind.USAGE, what[:80], why, hint="hold add --sealed")
        return found

    def all(self) -> list[KeptTree]:
        """See `calls.Grids`."""
        grids = self._opened.grids
        return [one for name in grids.names() for one in self._all(grids.one(name))]

    def _all(self, on: "OnGrid") -> Iterator[KeptTree]:
        cares = on.cares()
        for kept in on.sets():
            care = cares.get(kept.name)
            state = care.state.value if care and care.state else None
            yield KeptTree(
                on.name, kept.name, f"{kept.k}-of-{kept.n}", on.packs(kept.name), kept.made, kept.until,
                state, care.looked if care else None, care.next if care else None, care.said if care else "",
            )  # fmt: skip

    def end(self, what: str, grid: str | None) -> EndedTree:
        """See `calls.Grids`."""
        from commonhold.agent.ongrid import GONE

        on = self._opened.grids.one(grid)
        found = self._regularly.end(on, what)
        if found is None:
            kept = self._kept(on, what)
            found = kept.name, kept.until, [on.end(kept.name)]
        name, until, ended = found
        names = {one.pin: one.name for one in on.known()}
        failed = {pin: error for one in ended for pin, error in one.failed.items()}
        untold = [(str(pin), names.get(pin, ""), error.why) for pin, error in failed.items()]
        told = {pin for one in ended for pin in one.told} - failed.keys()
        return EndedTree(on.name, name, len(told), untold, until + GONE)

    def keep_path(self, path: OsPath, how: Regular, watcher: Watcher) -> KeptPath:
        """See `calls.Grids`."""
        return self._regularly.keep(path, how, watcher)

    def keep_due(self, watcher: Watcher) -> list[KeptPath]:
        """See `calls.Grids`."""
        return self._regularly.keep_due(watcher)

    def paths(self) -> list[KeptPath]:
        """See `calls.Grids`."""
        return self._regularly.all()

    @property
    def _regularly(self) -> "Regularly":
        from commonhold.agent.regularly import Regularly

        return Regularly(self._opened, self._own)

    def _kept(self, on: "OnGrid", what: str) -> "KeptSet":
        """What is kept under a name, or of a capability. NOT_FOUND; USAGE if it is under several names."""
        sets = on.sets()
        said = f"{what[:10]}…" if links.is_secret(what) else what[:80]
        found = [one for one in sets if one.name == what]
        if not found and links.is_secret(what):
            _, seed = self._set(on, what)
            found = [one for one in sets if one.seed == seed]
        if not found:
            raise HoldError("find", Kind.NOT_FOUND, said, f"nothing of that is kept on {on.name}", hint="hold keep")
        if len(found) > 1:
            why = f"it is kept as {', '.join(one.name for one in found)}"
            raise HoldError("find", Kind.USAGE, said, why, hint=f"hold keep --end {found[0].name}")
        return found[0]

    def check(self, what: str, grid: str | None, deep: bool) -> TreeHealth:
        """See `calls.Grids`."""
        on = self._opened.grids.one(grid)
        name, seed = self._set(on, what)
        return _told(on.name, name, on.check(seed, deep=deep))

    def repair(self, what: str, grid: str | None, watcher: Watcher) -> TreeHealth:
        """See `calls.Grids`."""
        on = self._opened.grids.one(grid)
        name, seed = self._set(on, what)
        return _told(on.name, name, on.repair(seed, watcher.bytes))

    def _set(self, on: "OnGrid", what: str) -> tuple[str, bytes]:
        """The name and the seed of a kept set."""
        from commonhold.exchange.keeping import set_seed

        named = {what, self._regularly.newest(on, what)}
        kept: KeptSet | None = next((one for one in on.sets() if one.name in named), None)
        if kept is not None:
            return kept.name, kept.seed
        if not links.is_secret(what):
            raise HoldError("find", Kind.NOT_FOUND, what[:80], f"nothing is kept under that name on {on.name}")
        capability = self._capability(what)
        return str(capability.cid), set_seed(capability.key, capability)

    def meant(self, to: str | None, grid: str | None) -> str:
        """See `calls.Grids`."""
        return self._sharer.meant(to, grid)

    def share(self, what: str, how: Sharing, watcher: Watcher) -> Shared:
        """See `calls.Grids`."""
        return self._sharer.share(what, how, watcher)

    def receiving(self, grid: str | None) -> list[Receiving]:
        """See `calls.Grids`."""
        return self._sharer.receiving(grid)

    @property
    def _sharer(self) -> "Sharer":
        from commonhold.agent.sharing import Sharer

        return Sharer(self._opened, self._own, self.keep)

    def use(self, grid: str | None) -> list[ServerUse]:
        """See `calls.Grids`."""
        on = self._opened.grids.one(grid)
        found = []
        for server, use in on.use():
            if isinstance(use, HoldError):
                found.append(ServerUse(on.name, str(server.pin), server.name, None, None, None, use.why))
            else:
                found.append(ServerUse(on.name, str(server.pin), server.name, use.quota, use.used, use.shares, None))
        return found


def _told(grid: str, name: str, health: "SetHealth") -> TreeHealth:
    return TreeHealth(
        grid, name, str(health.shape), health.whole, health.readable, [_pack(one) for one in health.packs]
    )


def _pack(health: "Health") -> PackHealth:
    return PackHealth(
        health.bytes,
        health.whole,
        health.readable,
        [(number, [str(pin) for pin in pins]) for number, pins in health.shares.items()],
        [(str(pin), why) for pin, why in health.damaged.items()],
        [(str(pin), why) for pin, why in health.failed.items()],
        [(str(pin), number) for pin, number in health.leaving.items()],
    )
