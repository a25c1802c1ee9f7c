"""What somebody asks for, and what is that. Pure.

A filter saves sending what nobody wants; whoever is sent something checks it all the same.
"""

from collections.abc import Iterable

from commonhold.formats.blessing import INTRODUCER, Purpose
from commonhold.formats.gossip import MAX_BLESSERS, Subscription
from commonhold.formats.keys import PublicKey
from commonhold.formats.pin import GridId
from commonhold.formats.statement import Kind
from commonhold.gossip.reading import Record


def matches(record: Record, subscriptions: Iterable[Subscription]) -> bool:
    """Whether somebody who asks for this is to be told of a statement.

    Of a server, if one of its blessings names a wanted key and its purpose is the wanted one; of every introducer, as
    without them nobody finds others; of what wanted keys have revoked.
    """
    if record.purpose == INTRODUCER:
        return True
    for wanted in subscriptions:
        if wanted.grid != record.grid:
            continue
        if record.kind is Kind.REVOCATIONS:
            if record.key in wanted.blessers:
                return True
        elif record.purpose == wanted.purpose and not record.named.isdisjoint(wanted.blessers):
            return True
    return False


def blessers(subscriptions: Iterable[Subscription]) -> frozenset[PublicKey]:
    """All keys that are asked for."""
    return frozenset(key for wanted in subscriptions for key in wanted.blessers)


def asked(grid: GridId, purpose: Purpose, keys: Iterable[PublicKey]) -> tuple[Subscription, ...]:
    """Return what asks for servers of a purpose, and for what these keys have revoked: as many as it takes."""
    ordered = sorted(keys)
    return tuple(
        Subscription(grid, purpose, frozenset(ordered[at : at + MAX_BLESSERS]))
        for at in range(0, len(ordered), MAX_BLESSERS)
    )
