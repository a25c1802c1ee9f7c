"""Messages in a stream: each with its length before it. A length of nothing is a sign of life. Pure.

docs/spec/gossip.md, "On the wire".
"""

from collections.abc import Iterator
from typing import Final

from commonhold.formats.gossip import MAX_MESSAGE
from commonhold.formats.malformed import Malformed

HEAD: Final = 4
FIRST: Final = 4096  # bytes that a hello may have
ALIVE: Final = bytes(HEAD)


def framed(message: bytes) -> bytes:
    """Return a message as it is sent."""
    return len(message).to_bytes(HEAD) + message


class Frames:
    """Takes a stream apart. Until a first message has come whole, none may be longer than a hello."""

    def __init__(self) -> None:
        self._most = FIRST
        self._got = bytearray()
        self._wanted: int | None = None  # bytes of the message under way, once its length has come

    @property
    def under_way(self) -> int:
        """Bytes that the message will have of which a part has come; 0 if none has."""
        return self._wanted if self._wanted is not None else len(self._got)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what is whole now, an empty one for a sign of life. Malformed for one that is too long."""
        self._got += data
        at = 0
        while len(self._got) - at >= HEAD:
            length = int.from_bytes(self._got[at : at + HEAD])
            if length > self._most:
                raise Malformed("gossip stream", f"a message of {length} bytes, the limit is {self._most}")
            if len(self._got) - at - HEAD < length:
                self._wanted = length
                break
            self._wanted = None
            at += HEAD + length
            if length:
                self._most = MAX_MESSAGE
            yield bytes(self._got[at - length : at])
        del self._got[:at]
