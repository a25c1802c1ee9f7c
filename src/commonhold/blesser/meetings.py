"""Short codes that are out: each is good for one guess within a quarter of an hour. docs/spec/enrolment.md.

Whoever asks first has the guess, right or wrong; what the code stands for is sealed to who has shown the words, over
the same connection. A code that was guessed wrong is burnt, and its ticket with it.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from commonhold.crypto.pake import Ends, Exchange, Shared, Side
from commonhold.errors import HoldError, Kind
from commonhold.formats import shortcode
from commonhold.formats.invitation import Invitation
from commonhold.formats.pin import SpkiPin

LIFE: Final = 15 * 60  # seconds that a code is good
PROOF_SECONDS: Final = 60  # from the first message to the proof
MOST: Final = 32  # codes that are out at a time
_REMEMBERED: Final = 64  # of those that are over


class Outcome(Enum):
    """What has become of a code."""

    OPEN = "waits for somebody"
    MET = "somebody has begun, and has yet to show the words"
    TAKEN = "was handed over"
    BURNT = "is burnt: somebody tried other words"
    EXPIRED = "has expired"


@dataclass(slots=True)
class _Code:
    invitation: Invitation
    words: tuple[str, ...]
    until: float
    outcome: Outcome = Outcome.OPEN
    shared: Shared | None = None
    joiner: SpkiPin | None = None


class Meetings:
    """See the module. `withdraw` makes the ticket of a code that is over worthless; `now` never goes back.

    Safe from many threads.
    """

    def __init__(
        self, withdraw: Callable[[Invitation], None], now: Callable[[], float], randomness: Callable[[int], bytes]
    ) -> None:
        self._withdraw = withdraw
        self._now = now
        self._randomness = randomness
        self._mutex = threading.Lock()
        self._codes: dict[int, _Code] = {}

    def open(self, invitation: Invitation) -> tuple[int, tuple[str, ...]]:
        """Make a code for an invitation: its number and words. BUSY if too many are out."""
        with self._mutex:
            self._sweep()
            free = [plate for plate in range(1, shortcode.MAX_PLATE + 1) if plate not in self._codes]
            if sum(code.outcome in (Outcome.OPEN, Outcome.MET) for code in self._codes.values()) >= MOST:
                raise HoldError("invite", Kind.BUSY, "blesser", "too many short codes are out", hint="--long")
            drawn = int.from_bytes(self._randomness(4), "big")
            plate, words = free[drawn % min(len(free), 99)], shortcode.draw(self._randomness)
            self._codes[plate] = _Code(invitation, words, self._now() + LIFE)
            return plate, words

    def meet(self, plate: int, message: bytes, ends: Ends) -> bytes:
        """Take the one guess at a code; our half of the exchange. NOT_FOUND for one that is not there (any more)."""
        with self._mutex:
            self._sweep()
            code = self._codes.get(plate)
            if code is None or code.outcome is not Outcome.OPEN:
                raise _no_code()
            code.outcome, code.joiner = Outcome.MET, ends.joiner
            code.until = self._now() + PROOF_SECONDS
            exchange = Exchange(Side.HOST, shortcode.password(plate, code.words), ends, self._randomness)
            try:
                code.shared = exchange.finish(message)
            except BaseException:
                self._burn(code)
                raise
            return exchange.message

    def prove(self, plate: int, proof: bytes, joiner: SpkiPin) -> bytes:
        """Return the invitation, sealed, to who has the words. DENIED if these are others: the code is burnt then."""
        with self._mutex:
            self._sweep()
            code = self._codes.get(plate)
            if code is None or code.outcome is not Outcome.MET or code.joiner != joiner or code.shared is None:
                raise _no_code()
            if not code.shared.proved(proof):
                self._burn(code)
                why = "the words are others, or somebody is in between; the code is burnt"
                raise HoldError("join", Kind.DENIED, "code", why, hint="ask for another code")
            code.outcome = Outcome.TAKEN
            sealed = code.shared.seal(code.invitation.encoded)
            code.shared = None
            return sealed

    def outcome(self, plate: int) -> Outcome | None:
        """What has become of a code; None for one that is not known, or no more."""
        with self._mutex:
            self._sweep()
            code = self._codes.get(plate)
            return code.outcome if code else None

    def sweep(self) -> None:
        """End what is over."""
        with self._mutex:
            self._sweep()

    def _burn(self, code: _Code) -> None:
        code.outcome, code.shared = Outcome.BURNT, None
        self._withdraw(code.invitation)

    def _sweep(self) -> None:
        now = self._now()
        for code in self._codes.values():
            if code.outcome is Outcome.OPEN and now >= code.until:
                code.outcome = Outcome.EXPIRED
                self._withdraw(code.invitation)
            elif code.outcome is Outcome.MET and now >= code.until:
                self._burn(code)
        over = [plate for plate, code in self._codes.items() if code.outcome not in (Outcome.OPEN, Outcome.MET)]
        for plate in over[: max(0, len(over) - _REMEMBERED)]:
            del self._codes[plate]


def _no_code() -> HoldError:
    why = "there is no such code: it was used, has expired, or has another number"
    return HoldError("join", Kind.NOT_FOUND, "code", why, hint="ask for another code")
