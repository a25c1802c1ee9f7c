"""When a connection that is idle has to give a sign of life, and when the other end is as good as gone. Pure.

Signs of life come at random times, so that no two connections keep step (D20), and less than once a minute.
"""

from enum import Enum
from typing import Final

from commonhold.gossip.values import Draw

SIGN: Final = (75.0, 110.0)  # seconds without anything sent, after which a sign of life is
SILENCE: Final = 125.0  # seconds without anything that came, after which the other end is gone
WHOLE: Final = 60.0  # in which a message that has begun comes to its end
TAKING: Final = 60.0  # in which the other end takes something of what waits for it


class Beat(Enum):
    """What is due on a connection."""

    SIGN = "a sign of life"
    SILENT = "nothing has come from it for too long"
    HALTING = "a message of it does not come to its end"
    SLOW = "it does not take what is sent to it"


class Pulse:
    """One connection's. Each method says that something has happened now."""

    def __init__(self, draw: Draw, now: float) -> None:
        self._draw = draw
        self._at: dict[Beat, float] = {Beat.SILENT: now + SILENCE}
        self.sent(now, False)

    @property
    def next(self) -> float:
        """When something is due next."""
        return min(self._at.values())

    def due(self, now: float) -> Beat | None:
        """What is due; a sign of life last."""
        late = [beat for beat, at in self._at.items() if at <= now]
        return min(late, key=lambda beat: beat is Beat.SIGN, default=None)

    def came(self, now: float, whole: bool, more: bool) -> None:
        """Something came: with it a message's end, if that is `whole`; and the beginning of one, if there is `more`."""
        self._at[Beat.SILENT] = now + SILENCE
        if whole or not more:
            self._at.pop(Beat.HALTING, None)
        if more:
            self._at.setdefault(Beat.HALTING, now + WHOLE)

    def sent(self, now: float, more: bool) -> None:
        """The other end has taken something; `more` waits for it."""
        least, most = SIGN
        self._at[Beat.SIGN] = now + least + (most - least) * self._draw()
        self._at.pop(Beat.SLOW, None)
        if more:
            self.waits(now)

    def waits(self, now: float) -> None:
        """Something waits for the other end to take it."""
        self._at.setdefault(Beat.SLOW, now + TAKING)
