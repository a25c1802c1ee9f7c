"""One share: sealed when it is made, opened when it is read. Pure. docs/spec/pack.md, "A share"."""

from commonhold.crypto.aead import TAG, NumberedKey
from commonhold.erasure.layout import HEAD, Layout, pack_header, unpack_header
from commonhold.erasure.values import SALT, PackSeed, Piece, Place, Salt
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import SpkiPin

# Numbers of the parts of a share, which their nonces are: the header, then a piece for each segment, then the zeros.
_HEADER_NUMBER = 0
_FIRST_PIECE = 1


class NewShare:
    """A share to be written. Safe from many threads: nothing of it changes."""

    __slots__ = ("_key", "_zeros", "head", "layout", "length", "number", "place")

    def __init__(self, seed: PackSeed, layout: Layout, number: int, place: Place) -> None:
        if not 0 <= number < layout.shape.n:
            raise ValueError(f"share {number} of {layout.shape.n}")
        self.layout = layout
        self.number = number
        self.place = place
        self._key = NumberedKey(seed.key(place))
        self._zeros = layout.padding(seed, place.server)
        self.head = place.salt + self._key.seal(_HEADER_NUMBER, pack_header(layout, number))
        self.length = layout.share(seed, place.server)

    def seal(self, index: int, room: memoryview) -> None:
        """Seal the piece of a segment, which lies at the start of a buffer of TAG bytes more, where it is."""
        if len(room) != self.layout.piece(index) + TAG:
            raise ValueError(f"a room of {len(room)} bytes for piece {index}")
        self._key.seal_into(_FIRST_PIECE + index, room[:-TAG], room)

    def tail(self) -> bytes:
        """Return what comes after the last piece."""
        return self._key.seal(_FIRST_PIECE + self.layout.segments, bytes(self._zeros))


class Share:
    """A share to be read, by the HEAD bytes that it begins with. Malformed if those are not of this pack and server.

    Safe from many threads: nothing of it changes.
    """

    __slots__ = ("_key", "_zeros", "layout", "length", "number", "server")

    def __init__(self, seed: PackSeed, server: SpkiPin, head: bytes) -> None:
        if len(head) != HEAD:
            raise Malformed("share", f"{len(head)} bytes to begin with, not {HEAD}")
        self.server = server
        self._key = NumberedKey(seed.key(Place(server, Salt(head[:SALT]))))
        self.layout, self.number = unpack_header(self._key.unseal(_HEADER_NUMBER, head[SALT:]))
        self._zeros = self.layout.padding(seed, server)
        self.length = self.layout.share(seed, server)

    def open(self, index: int, sealed: memoryview, into: memoryview) -> Piece:
        """Open the piece of a segment: to a buffer of its length, which may be the start of what is sealed.

        Malformed if it is not the piece that was written there; the buffer is then worthless.
        """
        if len(sealed) != len(into) + TAG or len(into) != self.layout.piece(index):
            raise Malformed(
                "share", f"a sealed piece of {len(sealed)} bytes where {self.layout.piece(index) + TAG} are"
            )
        self._key.unseal_into(_FIRST_PIECE + index, sealed, into)
        return Piece(self.number, into)

    def check_tail(self, sealed: bytes | memoryview) -> None:
        """Malformed unless this is what comes after the last piece."""
        number = _FIRST_PIECE + self.layout.segments
        if len(sealed) != self._zeros + TAG or self._key.unseal(number, sealed) != bytes(self._zeros):
            raise Malformed("share", "it does not end as it was written")


def verify(seed: PackSeed, server: SpkiPin, data: memoryview) -> Share:
    """Return the share that these bytes are, all of them opened once and left as they were. Malformed."""
    share = Share(seed, server, bytes(data[:HEAD]))
    if len(data) != share.length:
        raise Malformed("share", f"{len(data)} bytes, not {share.length}")
    layout = share.layout
    room = memoryview(bytearray(layout.piece(0)))
    for index in range(layout.segments):
        start, stop = layout.part(index)
        share.open(index, data[start:stop], room[: layout.piece(index)])
    share.check_tail(data[layout.body :])
    return share
