"""Shares: who goes first where several have something to be done. Pure; time is an argument, in seconds of one clock.

Everybody is charged for the time that is worked for them, and it is soon forgotten. What somebody began just now goes
before the work of all who have used more: small requests now and then hardly wait for a flood, and of two floods each
gets half.
"""

import math
from typing import NamedTuple

FRESH = 0.005  # seconds; what began longer ago goes before nothing any more, so that nobody can stop others for long
HERE = 0.1  # seconds; whoever asked for something so lately will want something again
_FADES = 0.25  # seconds in which what was used becomes a third of it


class Standing(NamedTuple):
    """How things are at a moment. Infinity where there is nobody."""

    fresh: float  # the least that anybody has used who began something just now, and who goes before those with more
    here: float  # the least that anybody has used who was here lately
    lapses: float  # when something is fresh no longer


class _Share:
    """What is known of one user."""

    __slots__ = ("at", "began", "seen", "under_way", "used")

    def __init__(self) -> None:
        self.used = 0.0  # seconds, as of `at`
        self.at = 0.0
        self.under_way = 0
        self.began = -math.inf  # the last that did
        self.seen = -math.inf

    def used_at(self, now: float) -> float:
        return self.used * math.exp((self.at - now) / _FADES)


class Shares:
    """What each user used lately, and when they asked for something."""

    def __init__(self) -> None:
        self._all: dict[int, _Share] = {}
        self._here: set[_Share] = set()

    def begin(self, uid: int, now: float) -> None:
        """Somebody begins something."""
        share = self._all.setdefault(uid, _Share())
        share.under_way += 1
        share.began = share.seen = now
        self._here.add(share)

    def end(self, uid: int, now: float) -> None:
        """Something of theirs has ended."""
        share = self._all[uid]
        share.under_way -= 1
        share.seen = now

    def charge(self, uid: int, seconds: float, now: float) -> None:
        """So much was worked for them; who never began anything is not charged."""
        share = self._all.get(uid)
        if share is not None:
            share.used = share.used_at(now) + seconds
            share.at = now

    def used(self, uid: int, now: float) -> float:
        """Seconds that were worked for somebody lately. Of those who never began anything, no end: they come last."""
        share = self._all.get(uid)
        return math.inf if share is None else share.used_at(now)

    def standing(self, now: float) -> Standing:
        """Who goes before whom now, in terms of what they have used."""
        fresh = here = lapses = math.inf
        for share in list(self._here):
            if not share.under_way and now - share.seen >= HERE:
                self._here.discard(share)
                continue
            used = share.used_at(now)
            here = min(here, used)
            if share.under_way and now - share.began < FRESH:
                fresh = min(fresh, used)
                lapses = min(lapses, share.began + FRESH)
        return Standing(fresh, here, lapses)
