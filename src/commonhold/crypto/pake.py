"""A key out of a few words that both ends know, and nobody else: SPAKE2, by `spake2`. Pure; randomness is an argument.

Whoever does not know the words has one guess, on line, and finds out nothing else. The two ends are named by the keys
that their connection has proved: somebody between two connections has two other names, and two other keys come of it.
Source: D. Abdalla and D. Pointcheval, "Simple Password-Based Encrypted Key Exchange Protocols"; docs/spec/enrolment.md.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from spake2 import SPAKE2_A, SPAKE2_B, SPAKEError

from commonhold.crypto import aead
from commonhold.crypto.derive import derive
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import SpkiPin

MESSAGE: Final = 33
_PROOF: Final = b"commonhold meeting proof v1\0"
_SEAL: Final = b"commonhold meeting seal v1\0"


class Side(Enum):
    """Who somebody is: the one with a code, who dials, or the one who made it."""

    JOINER = SPAKE2_A
    HOST = SPAKE2_B


@dataclass(frozen=True, slots=True)
class Ends:
    """The pins of both ends of one connection."""

    joiner: SpkiPin
    host: SpkiPin


@dataclass(frozen=True, slots=True)
class Shared:
    """What both ends have in the end. One text is sealed with it, once: the host's."""

    _proof: bytes = field(repr=False)
    _key: bytes = field(repr=False)

    @property
    def proof(self) -> bytes:
        """What the joiner says to show that it knows the words."""
        return self._proof

    def proved(self, said: bytes) -> bool:
        """Whether the joiner's key is the same."""
        return hmac.compare_digest(said, self._proof)

    def seal(self, text: bytes) -> bytes:
        """Return the one text, sealed. The key meets no other: whoever has it used up the words."""
        return aead.seal(self._key, text)

    def unseal(self, sealed: bytes) -> bytes:
        """Return the text. Malformed if the other end has another key."""
        return aead.unseal(self._key, sealed)


class Exchange:
    """One end of one try. Both messages may be read by anybody."""

    def __init__(self, side: Side, password: bytes, ends: Ends, randomness: Callable[[int], bytes]) -> None:
        self._ends = ends
        self._spake = side.value(password, idA=bytes(ends.joiner), idB=bytes(ends.host), entropy_f=randomness)
        self.message: bytes = self._spake.start()

    def finish(self, message: bytes) -> Shared:
        """Return what comes of the other end's message: once. Malformed for what is no message of the other side."""
        if len(message) != MESSAGE:
            raise Malformed("meeting", f"a message of {len(message)} bytes, not {MESSAGE}")
        try:
            key: bytes = self._spake.finish(message)
        except (SPAKEError, ValueError, AssertionError) as error:
            raise Malformed("meeting", "a message that is none of the other side's") from error
        both = self._ends.joiner + self._ends.host
        return Shared(derive(key, _PROOF + both), derive(key, _SEAL + both))
