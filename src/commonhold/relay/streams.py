"""Which streams there are through a relay, and whether one more may be: pure, so that time is an argument.

A stream waits for its server's answer, which shows the token that was made for it; then it is joined, until it is gone.
"""

from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from commonhold.formats.pin import SpkiPin
from commonhold.formats.relaywords import Token

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Limits:
    """What strangers may take of a relay."""

    streams: int = 1024  # in all, those that wait among them
    of_server: int = 256
    of_address: int = 64
    answer_seconds: float = 10.0
    idle_seconds: float = 240.0  # more than a server's own: it is for the two ends to say when they have done
    answers: int = 256  # connections whose preface is not whole
    preface_seconds: float = 5.0
    call_seconds: float = 10.0  # until a server has said who it is


class Origin(NamedTuple):
    """Whose stream it is: of which server, and from which client's address."""

    server: SpkiPin
    address: str


@dataclass(slots=True)
class _Stream:
    origin: Origin
    token: Token | None  # None once it is joined
    late: float  # when it is to be looked at
    moved: int = field(default=0)


class Streams(Generic[S]):
    """See the module. `S` is whatever stands for a stream outside."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._all: dict[S, _Stream] = {}
        self._waiting: dict[Token, S] = {}
        self._of: dict[SpkiPin | str, int] = {}

    def __len__(self) -> int:
        return len(self._all)

    def room(self, origin: Origin) -> bool:
        """Whether one more of this origin may be."""
        limits = self._limits
        return (
            len(self._all) < limits.streams
            and self._of.get(origin.server, 0) < limits.of_server
            and self._of.get(origin.address, 0) < limits.of_address
        )

    def come(self, stream: S, origin: Origin, token: Token, now: float) -> None:
        """A client has come, for whom there is room."""
        self._all[stream] = _Stream(origin, token, now + self._limits.answer_seconds)
        self._waiting[token] = stream
        for one in origin:
            self._of[one] = self._of.get(one, 0) + 1

    def answered(self, token: Token, now: float) -> S | None:
        """The stream that waits for this token, which is used with that; None if none does."""
        stream = self._waiting.pop(token, None)
        if stream is not None:
            one = self._all[stream]
            one.token, one.late = None, now + self._limits.idle_seconds
        return stream

    def gone(self, stream: S) -> None:
        """A stream has ended, or is given up."""
        one = self._all.pop(stream, None)
        if one is None:
            return
        if one.token is not None:
            del self._waiting[one.token]
        for name in one.origin:
            self._of[name] -= 1
            if not self._of[name]:
                del self._of[name]

    def moved(self, stream: S, moved: int, now: float) -> None:
        """So many bytes have gone by in all, when it was looked at."""
        one = self._all[stream]
        if moved != one.moved:
            one.moved, one.late = moved, now + self._limits.idle_seconds

    def all(self) -> list[S]:
        """All there are."""
        return list(self._all)

    def late(self, now: float) -> list[S]:
        """Those that nobody has answered in time, and on which nothing has moved for too long."""
        return [stream for stream, one in self._all.items() if now >= one.late]
