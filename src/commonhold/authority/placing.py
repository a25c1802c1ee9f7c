"""Which server keeps which share of a pack: as many different ones as there are shares. Pure.

The order of servers comes of their keys and the pack's secret alone, so whoever has both looks in the same places,
however each server is reached. docs/spec/authority.md, "Placement"; REQUIREMENTS B17, D24.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from commonhold.authority.blessed import Verdict
from commonhold.authority.derived import Secret, rank
from commonhold.formats.pin import SpkiPin


def order(secret: Secret, servers: Iterable[SpkiPin]) -> list[SpkiPin]:
    """Return servers in the order in which a pack's shares are put there, and looked for."""
    return sorted(set(servers), key=lambda server: (rank(secret, server), server))


@dataclass(frozen=True, slots=True)
class Placed:
    """Where shares are to be, each at a server of its own: `kept` are there already, `put` are to be sent."""

    kept: Mapping[int, SpkiPin]
    put: Mapping[int, SpkiPin]

    @property
    def happiness(self) -> int:
        """How many servers have a share of their own."""
        return len(self.kept) + len(self.put)


@dataclass(frozen=True, slots=True)
class TooFew:
    """There are not enough servers: how many could have a share of their own, and why the others may not."""

    happiness: int
    needed: int
    refused: Mapping[SpkiPin, Verdict]

    @property
    def lines(self) -> list[str]:
        """All of it for people."""
        first = f"{self.happiness} servers can have a share of their own, {self.needed} are needed"
        return [first, *(f"{server}: {verdict.said}" for server, verdict in self.refused.items())]


def place(
    secret: Secret,
    shares: int,
    needed: int,
    servers: Mapping[SpkiPin, Verdict],
    there: Mapping[SpkiPin, Collection[int]],
) -> Placed | TooFew:
    """Give shares 0 to `shares` - 1 to different servers, at least `needed` of them, moving as few as can be.

    `servers` are all that are known, with whether they may be uploaded to; `there` are shares that were found, also at
    servers where nothing more may be put: those go on counting, and whoever wants them to move leaves them out.
    """
    ranked = order(secret, {*servers, *there})
    open_to_us = {server for server in servers if servers[server].allowed}
    # Servers that take nothing more come first: what they have needs no room at those that do.
    asked = sorted((server for server in ranked if there.get(server)), key=lambda server: server in open_to_us)
    kept = _matched(asked, there, shares)
    taken = set(kept.values())
    free = (server for server in ranked if server in open_to_us and server not in taken)
    missing = (share for share in range(shares) if share not in kept)
    placed = Placed(dict(sorted(kept.items())), dict(zip(missing, free, strict=False)))
    if placed.happiness >= needed:
        return placed
    return TooFew(placed.happiness, needed, {server: servers[server] for server in ranked if _no(servers, server)})


def _no(servers: Mapping[SpkiPin, Verdict], server: SpkiPin) -> bool:
    return server in servers and not servers[server].allowed


def _matched(servers: Iterable[SpkiPin], there: Mapping[SpkiPin, Collection[int]], shares: int) -> dict[int, SpkiPin]:
    """Return a largest matching of shares with servers that have them (Kuhn 1955). Who comes first stays matched."""
    matched: dict[int, SpkiPin] = {}
    left = set(range(shares))
    for server in servers:
        # What a search reached in vain no later one gets anything from: so each claim is looked at once or twice.
        left -= _augment(server, there, left, matched)
    return matched


def _augment(
    first: SpkiPin, there: Mapping[SpkiPin, Collection[int]], left: set[int], matched: dict[int, SpkiPin]
) -> set[int]:
    """Find a share for a server, by having others change theirs if need be; or return what was reached in vain."""
    came: dict[int, SpkiPin] = {}  # who would get a share
    todo = [first]
    for server in todo:  # which grows meanwhile
        for share in sorted(left.intersection(there[server]) - came.keys()):
            came[share] = server
            if share not in matched:
                _shift(share, came, matched)
                return set()
            todo.append(matched[share])
    return set(came)


def _shift(share: int, came: Mapping[int, SpkiPin], matched: dict[int, SpkiPin]) -> None:
    """Give a free share to who would get it, what that server had to the next, and so on to the first."""
    had = {server: held for held, server in matched.items()}
    wanted: int | None = share
    while wanted is not None:
        server = came[wanted]
        matched[wanted], wanted = server, had.get(server)
