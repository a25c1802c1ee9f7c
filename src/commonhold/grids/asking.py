"""What to ask of which blesser, and when. Pure: time and chance are arguments. docs/spec/membership.md, "Renewal".

An account has another number at a server by each blesser, so whoever vouches for it there is asked again there, while
that still holds; others are asked only where too few vouch for it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from commonhold.authority import renewing, times
from commonhold.formats.keys import PublicKey

MAX_SEATS: Final = 256  # in one request: its answer is within a blesser's limit, and lost without much loss
_LEAST_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Holding:
    """What is held of a blesser, about a server or a purpose; `renew_at` was drawn when it came."""

    about: bytes
    blesser: PublicKey
    not_before: int
    not_after: int
    renew_at: int


class Wish(NamedTuple):
    """Whom to ask, about what."""

    blesser: PublicKey
    about: tuple[bytes, ...]


def holding(about: bytes, blesser: PublicKey, not_before: int, not_after: int, chance: float) -> Holding:
    """Return what is held from now on, with the time to renew it."""
    return Holding(about, blesser, not_before, not_after, renewing.renewal(not_before, not_after, chance))


@dataclass(frozen=True, slots=True)
class Counsel:
    """For each thing that is wanted, which blessers count, in the order in which they are asked, and how many are
    needed."""

    wanted: Mapping[bytes, Sequence[PublicKey]]
    needed: int

    def wish(self, held: Iterable[Holding], barred: frozenset[PublicKey], now: int) -> Wish | None:
        """Return whom to ask for what, now; None if there is nothing to ask, or nobody who may be asked already."""
        valid = _valid(held, now)
        for blesser in dict.fromkeys(key for keys in self.wanted.values() for key in keys if key not in barred):
            about = [
                one
                for one in self.wanted
                if blesser in self.wanted[one] and self._lacks(valid.get(one, {}), blesser, now)
            ]
            if about:
                soon = [one for one in self.wanted if _soon(valid.get(one, {}).get(blesser), now)]
                return Wish(blesser, tuple(sorted({*about[:MAX_SEATS], *soon[: MAX_SEATS - len(about[:MAX_SEATS])]})))
        return None

    def _lacks(self, valid: Mapping[PublicKey, Holding], blesser: PublicKey, now: int) -> bool:
        mine = valid.get(blesser)
        return now >= mine.renew_at if mine else len(valid) < self.needed

    def next(self, held: Iterable[Holding], now: int) -> int | None:
        """Return when something is to be renewed next; None if nothing is held that is wanted."""
        coming = [one.renew_at for one in held if one.about in self.wanted and one.renew_at > now]
        return min(coming, default=None)


def _valid(held: Iterable[Holding], now: int) -> dict[bytes, dict[PublicKey, Holding]]:
    found: dict[bytes, dict[PublicKey, Holding]] = {}
    for one in held:
        if now < times.end(one.not_after):
            found.setdefault(one.about, {})[one.blesser] = one
    return found


def _soon(mine: Holding | None, now: int) -> bool:
    """Whether what is held may be renewed along with other things: it is as old as what is renewed first."""
    return mine is not None and now >= renewing.renewal(mine.not_before, mine.not_after, 0.0)


def hear_again(issued: int, fresh_until: int, now: int, chance: float) -> int:
    """Return when to ask for the next revocation list: after a twenty-fifth of a list's time, up to twice that."""
    life = fresh_until - issued
    return now + max(_LEAST_SECONDS, int(life * (0.04 + 0.04 * chance)))


class Patience:
    """Whom not to ask for now, as asking came to nothing."""

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._failures: dict[PublicKey, int] = {}
        self._until: dict[PublicKey, int] = {}

    def failed(self, blesser: PublicKey, now: int) -> None:
        """It was refused, waits, or could not be asked."""
        self._failures[blesser] = self._failures.get(blesser, 0) + 1
        self._until[blesser] = now + renewing.again(self._failures[blesser], self._chance())

    def worked(self, blesser: PublicKey) -> None:
        """It was granted."""
        self._failures.pop(blesser, None)
        self._until.pop(blesser, None)

    def barred(self, now: int) -> frozenset[PublicKey]:
        """Whom not to ask yet."""
        return frozenset(blesser for blesser, until in self._until.items() if now < until)

    def next(self, now: int) -> int | None:
        """When the next of them may be asked."""
        return min((until for until in self._until.values() if until > now), default=None)
