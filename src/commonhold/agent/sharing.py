"""Sharing: links to what grids keep, for whoever has them or sealed for one account. docs/spec/link.md.

Nothing is written down of what was shared: a link is made of what its maker has, and cannot be taken back.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from commonhold.agent.naming import capability_below
from commonhold.authority import derived
from commonhold.calls import KeptTree, Receiving, Shared, Sharing, Watcher
from commonhold.crypto.hpke import Receiver
from commonhold.errors import HoldError, Kind
from commonhold.exchange.keeping import set_seed
from commonhold.formats import capability as capabilities
from commonhold.formats import link as links
from commonhold.formats.capability import ReadCapability, VerifyCapability
from commonhold.formats.link import Link, ReceivingKey, SealedLink
from commonhold.formats.malformed import Malformed
from commonhold.grids import holder, membership, places
from commonhold.grids.membership import Membership, Mode
from commonhold.host.names import shown
from commonhold.host.repository import VOLUME
from commonhold.sealing import sharing
from commonhold.sealing.seal import verify_capability

if TYPE_CHECKING:
    from commonhold.agent.gridding import OwnGrids
    from commonhold.agent.ongrid import OnGrid
    from commonhold.agent.opened import Opened
    from commonhold.agent.own import Own

Keep = Callable[[str, str | None, str | None, Watcher], KeptTree]


def open_for(memberships: Sequence[Membership], sealed: SealedLink) -> Link:
    """The link that was sealed for one of these accounts. DENIED for another's: a text that was changed, and one of
    somebody else's, look the same."""
    accounts = [one for one in memberships if one.mode is Mode.ACCOUNT]
    if not accounts:
        raise _no_account(memberships)
    for one in accounts:
        with contextlib.suppress(Malformed):
            return sharing.open_link(sealed, _receiver(one))
    names = ", ".join(f"{one.account} on {one.name}" for one in accounts)
    why = f"it was not sealed for your account, {names}"
    raise HoldError("open", Kind.DENIED, "sealed link", why, hint="hold share --me: give that to whoever shares it")


def _receiver(one: Membership) -> Receiver:
    return derived.receiver(holder.secret(one.directory), one.grid)


def _no_account(memberships: Sequence[Membership]) -> HoldError:
    names = ", ".join(one.name for one in memberships)
    why = f"{names} was joined without an account, and it is accounts that something is sealed for"
    return HoldError("open", Kind.DENIED, "receiving key", why, hint="ask for a link that is not sealed")


@dataclass(frozen=True, slots=True)
class Sharer:
    """A part of `calls.Grids`. `keep` is another of its calls."""

    opened: "Opened"
    own: "Callable[[], Own]"
    keep: Keep

    @property
    def _grids(self) -> "OwnGrids":
        return self.opened.grids

    def receiving(self, grid: str | None) -> list[Receiving]:
        """See `calls.Grids`."""
        found = places.joined(self.opened.path, self.opened.uid, membership.load, grid)
        accounts = [one for one in found if one.mode is Mode.ACCOUNT]
        if not accounts:
            raise _no_account(found)
        return [Receiving(one.name, str(sharing.receiving_key(_receiver(one), one.grid))) for one in accounts]

    def meant(self, to: str | None, grid: str | None) -> str:
        """See `calls.Grids`. USAGE for a receiving key that is none, or of another grid than is named."""
        if to is None:
            return self._grids.one(grid).name
        names = [one.name for one in self._grids.of(_key(to).grid)]
        if grid is not None and grid not in names:
            why = f"it is of {names[0]}, not {grid}"
            raise HoldError("share", Kind.USAGE, "receiving key", why, hint=f"--grid {names[0]}")
        return grid or names[0]

    def share(self, what: str, how: Sharing, watcher: Watcher) -> Shared:
        """See `calls.Grids`."""
        chosen = None if how.to is None and how.grid is None else self.meant(how.to, how.grid)
        chosen, capability = self._found(what, chosen)
        verify = verify_capability(capability)
        on = self._grids.one(chosen or self._keeping(verify))
        text = _text(Link(on.grid, capability), how.to)
        kept = on.keeps(verify)
        if not kept and not how.keep:
            why = f"{on.name} does not keep it, so nobody could read it by a link"
            raise HoldError("share", Kind.NOT_FOUND, str(capability.cid), why, hint="--keep puts it there first")
        if not kept:
            self.keep(str(capability), how.name, on.name, watcher)
        return Shared(on.name, text, not kept)

    def _found(self, what: str, chosen: str | None) -> tuple[str | None, ReadCapability]:
        """What opens what is to be shared, and the grid where it is, if one was chosen or that is known."""
        if not links.is_secret(what):
            return self._by_name(what, chosen)
        named = self.opened.named(what)
        root = named.root
        if isinstance(root, Link):
            chosen = chosen or self._grids.of(root.grid)[0].name
            root = root.capability
        if not isinstance(root, ReadCapability):
            why = "a verify capability opens nothing, nor would a link that is made of it"
            raise HoldError("share", Kind.DENIED, f"{what[:10]}…", why, hint="share the read capability")
        return chosen, capability_below(root, named.path, self.opened.source(named))

    def _by_name(self, what: str, chosen: str | None) -> tuple[str, ReadCapability]:
        """Of what is kept under a name. What opens it is a snapshot's capability, as names have none."""
        found = [(on, kept.seed) for on in self._all(chosen) for kept in on.sets() if kept.name == what]
        if not found:
            raise self._unknown(what)
        if len(found) > 1:
            why = f"kept on {', '.join(on.name for on, _ in found)}: which one?"
            raise HoldError("share", Kind.USAGE, shown(what)[:80], why, hint=f"--grid {found[0][0].name}")
        on, seed = found[0]
        for capability in self._snapshots():
            if _seed(verify_capability(capability)) == seed:
                return on.name, capability
        why = "it is kept, but what opens it is known here only of snapshots"
        hint = "give the capability that hold add --sealed printed"
        raise HoldError("share", Kind.NOT_FOUND, shown(what)[:80], why, hint=hint)

    def _unknown(self, what: str) -> HoldError:
        """Why a word is nothing that can be shared."""
        try:
            self.opened.named(what)
        except HoldError:
            why, hint = "nothing is kept under that name", "hold keep lists what is; a capability will do, too"
            return HoldError("share", Kind.NOT_FOUND, shown(what)[:80], why, hint=hint)
        why = "it is not sealed, and servers keep nothing that they could read"
        return HoldError("share", Kind.USAGE, shown(what)[:80], why, hint="hold add --sealed")

    def _snapshots(self) -> Iterator[ReadCapability]:
        """What opens the sealed snapshots of the own tree, if there is one."""
        from commonhold.agent.shooting import chronicle_of

        if not (self.opened.path / VOLUME).exists():
            return
        with chronicle_of(self.own()) as chronicle:
            roots = [entry.root for entry in chronicle.all()]
        for root in filter(capabilities.looks_like, roots):
            found = capabilities.parse_text(root)
            if isinstance(found, ReadCapability):
                yield found

    def _keeping(self, verify: VerifyCapability) -> str | None:
        """The one grid whose book has a tree; None if that is none or several."""
        names = [on.name for on in self._all(None) if any(kept.seed == _seed(verify) for kept in on.sets())]
        return names[0] if len(names) == 1 else None

    def _all(self, name: str | None) -> "list[OnGrid]":
        return [self._grids.one(one) for one in (self._grids.names() if name is None else [name])]


def _seed(verify: VerifyCapability) -> bytes:
    return set_seed(verify.key, verify)


def _key(text: str) -> ReceivingKey:
    try:
        return links.parse_key(text)
    except Malformed as error:
        hint = "copy the whole of it, as their hold share --me printed it"
        raise HoldError("share", Kind.USAGE, "receiving key", error.why, hint=hint) from error


def _text(link: Link, to: str | None) -> str:
    if to is None:
        return str(link)
    try:
        return str(sharing.seal_link(link, _key(to)))
    except Malformed as error:
        hint = "ask them for hold share --me once more"
        raise HoldError("share", Kind.USAGE, "receiving key", error.why, hint=hint) from error
