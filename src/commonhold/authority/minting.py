"""The blesser's side of blinded accounts: for which periods and denominations it has keys, and who gets how much. Pure.

Periods are the same for all, and denominations few: who has the same as many others is one of many.
docs/spec/blinded.md.
"""

import hashlib
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Final, NamedTuple

from commonhold.authority import times
from commonhold.formats.blinded import Mint, MintId, Spot, Terms
from commonhold.formats.request import Order

DAY: Final = 86_400
MAX_DENOMINATIONS: Final = 16
AHEAD: Final = 2  # periods of which there are keys: this one and the next


@dataclass(frozen=True, slots=True)
class Minting:
    """A blesser's terms: denominations in bytes, ascending; how long a period is, in seconds; tokens that an account
    gets for one. Without denominations it signs nothing blindly."""

    denominations: tuple[int, ...] = ()
    period: int = 30 * DAY
    seats: int = 16

    def terms(self, quota: int) -> Terms | None:
        """Return what an account of this quota gets: the greatest denomination that is within it; None if none is."""
        within = [one for one in self.denominations if one <= quota]
        return Terms(max(within), self.seats) if within else None

    def spots(self, now: int) -> list[Spot]:
        """Return what there are to be keys for."""
        this = now - now % self.period
        starts = [this + number * self.period for number in range(AHEAD)]
        return [Spot(start, quota) for start in starts for quota in self.denominations]


def over(mint: Mint, now: int) -> bool:
    """Whether a mint's period has ended by everybody's clock."""
    return now >= times.end(times.end(mint.not_after))


class Spent(NamedTuple):
    """What is noted of a blank that was signed: its mint, and its SHA-256."""

    mint: MintId
    digest: bytes


def spent(order: Order) -> Spent:
    """Return what to note of an order."""
    return Spent(order.mint, hashlib.sha256(order.blank).digest())


def refusal(
    terms: Terms, mints: Mapping[MintId, Mint], orders: Iterable[Order], had: Set[Spent], now: int
) -> str | None:
    """Return why these are not all signed; None if they are. `had` is all that the account has got of these mints:
    what it has already, it gets again, and that counts once. Nothing is signed of orders that are refused."""
    wanted = set(map(spent, orders))
    new = wanted - had
    for name in {one.mint for one in wanted}:
        mint = mints.get(name)
        if mint is None or over(mint, now):
            return f"there is no key {name}: get the newest list"
        if mint.quota != terms.quota and any(one.mint == name for one in new):
            return f"its tokens are of {terms.quota} bytes, and that key's are of {mint.quota}"
    begins = [mints[one.mint].not_before for one in wanted | had if one.mint in mints]
    for start in {mints[one.mint].not_before for one in new}:
        if begins.count(start) > terms.seats:
            return f"an account gets {terms.seats} tokens for the period from {times.shown(start)}, and no more"
    return None
