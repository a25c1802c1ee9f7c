"""The code by Intel's ISA-L, through ctypes: where its library is, the tables it wants, calls that hold no lock.

The library is the one inside the pyeclib wheel, or else the system's (Debian: libisal2). Neither is trusted before it
has given the right answers.
"""

import ctypes
import importlib.util
from collections.abc import Iterator, Sequence
from functools import lru_cache

from commonhold.erasure.code import require_sound
from commonhold.erasure.matrix import combine, transform
from commonhold.erasure.values import Piece

_IN_WHEEL = ".libs/libisal-pyeclib.so.2"  # beside the package pyeclib
_OF_SYSTEM = "libisal.so.2"
_TABLE = 32  # bytes for each number of a matrix
_TABLES = 64  # that are kept
_PROBES = (1, 15, 16, 31, 63, 64, 65, 129, 200)  # lengths around the widths of vector instructions


class Unusable(Exception):
    """A library that is not there, or does not give the right answers."""


class IsaL:
    """The code by one library. Unusable."""

    def __init__(self, path: str) -> None:
        try:
            library = ctypes.CDLL(path)
            self._encode, self._init = library.ec_encode_data, library.ec_init_tables
        except (OSError, AttributeError) as error:
            raise Unusable(str(error)) from error
        pointer, number = ctypes.c_void_p, ctypes.c_int
        self._encode.argtypes = (number, number, number, pointer, pointer, pointer)
        self._init.argtypes = (number, number, ctypes.c_char_p, pointer)
        self._encode.restype = self._init.restype = None
        self._tables = lru_cache(_TABLES)(self._make_tables)
        self.name = f"ISA-L ({path})"
        _probe(self)

    def compute(self, have: Sequence[Piece], want: Sequence[Piece]) -> None:
        """Write the wanted pieces, out of those at hand."""
        length = require_sound(have, want)
        if not want:
            return
        tables = self._tables(tuple(piece.number for piece in have), tuple(piece.number for piece in want))
        self._encode(length, len(have), len(want), tables, _addresses(have), _addresses(want))

    def _make_tables(self, have: tuple[int, ...], want: tuple[int, ...]) -> ctypes.Array[ctypes.c_char]:
        tables = ctypes.create_string_buffer(_TABLE * len(have) * len(want))
        self._init(len(have), len(want), b"".join(transform(have, want)), tables)
        return tables


def _addresses(pieces: Sequence[Piece]) -> ctypes.Array[ctypes.c_void_p]:
    """Where the buffers are; as long as the pieces are there, so are they."""
    starts = [ctypes.addressof(ctypes.c_char.from_buffer(piece.data)) for piece in pieces]
    return (ctypes.c_void_p * len(pieces))(*starts)


def _probe(code: IsaL) -> None:
    """Compare what a library computes with plain arithmetic."""
    have, want = (1, 4, 6), (0, 2, 3, 5, 7, 8, 254)
    for length in _PROBES:
        known = [bytes((length * 7 + number * 31 + at * at) & 255 for at in range(length)) for number in have]
        rooms = [Piece(number, memoryview(bytearray(length))) for number in want]
        code.compute([Piece(n, memoryview(bytearray(data))) for n, data in zip(have, known, strict=True)], rooms)
        if [bytes(room.data) for room in rooms] != [combine(row, known) for row in transform(have, want)]:
            raise Unusable(f"{code.name}: wrong answers for pieces of {length} bytes")


def places() -> Iterator[str]:
    """Where a library may be, the best first: the wheel's is newer than most systems'."""
    found = importlib.util.find_spec("pyeclib")
    for folder in (found.submodule_search_locations or ()) if found else ():
        yield folder + _IN_WHEEL
    yield _OF_SYSTEM
