"""Nonces of a door: each given once, to one connection, taken back once, and soon worth nothing. Pure.

docs/spec/authority.md; REQUIREMENTS B21.
"""

from collections import deque
from typing import Final, NamedTuple

from commonhold.formats.entry import Nonce
from commonhold.formats.pin import SpkiPin

LIFE: Final = 60  # seconds
OF_CONNECTION: Final = 4
IN_ALL: Final = 65_536


class Given(NamedTuple):
    """A nonce that a door gave, to whom, and when."""

    nonce: Nonce
    connection: SpkiPin
    at: int


class Nonces:
    """What a door has given and did not see again yet."""

    def __init__(self, in_all: int = IN_ALL) -> None:
        self._in_all = in_all
        self._given: dict[Nonce, Given] = {}  # in the order of time
        self._of: dict[SpkiPin, deque[Nonce]] = {}

    def __len__(self) -> int:
        return len(self._given)

    def give(self, nonce: Nonce, connection: SpkiPin, now: int) -> Given | None:
        """Give 32 random bytes to a connection. None if too many are given already: it may ask again.

        Of one connection the oldest goes for the newest, where it asks for too many.
        """
        self._expire(now)
        mine = self._of.get(connection)
        if mine and len(mine) >= OF_CONNECTION:
            self._forget(mine[0])
        elif len(self._given) >= self._in_all:
            return None
        if nonce in self._given:  # so it is not random: nobody gets it a second time
            return None
        given = Given(nonce, connection, now)
        self._given[nonce] = given
        self._of.setdefault(connection, deque()).append(nonce)
        return given

    def use(self, nonce: Nonce, connection: SpkiPin, now: int) -> Given | None:
        """Take a nonce back from the connection that it was given to. None if it was not, or expired, or was used."""
        given = self._given.get(nonce)
        if given is None or given.connection != connection:
            return None
        self._forget(nonce)
        return given if current(given, now) else None

    def left(self, connection: SpkiPin) -> None:
        """A connection has ended, and its nonces with it."""
        for nonce in list(self._of.get(connection, ())):
            self._forget(nonce)

    def _expire(self, now: int) -> None:
        while self._given and not current(oldest := next(iter(self._given.values())), now):
            self._forget(oldest.nonce)

    def _forget(self, nonce: Nonce) -> None:
        given = self._given.pop(nonce)
        mine = self._of[given.connection]
        mine.remove(nonce)
        if not mine:
            del self._of[given.connection]


def current(given: Given, now: int) -> bool:
    """Whether a nonce is young enough. One of the future is not: a clock was set back, and it may be of any age."""
    return 0 <= now - given.at < LIFE
