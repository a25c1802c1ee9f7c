"""Every code passes the suite; the quickest is chosen; a library that computes wrongly is not."""

import ctypes
import itertools
from typing import Any

import pytest
import zfec

from commonhold.erasure import isal, matrix
from commonhold.erasure.choosing import quickest
from commonhold.erasure.code import Code
from commonhold.erasure.isal import IsaL, Unusable
from commonhold.erasure.portable import Portable
from tests.erasure.oracle import Oracle
from tests.suites.code import *  # noqa: F403


@pytest.fixture(params=["isa-l", "portable", "zfec"])
def code(request: pytest.FixtureRequest) -> Code:
    if request.param == "isa-l":
        return IsaL(next(isal.places()))
    return Portable() if request.param == "portable" else Oracle()


def test_where_the_wheel_is_installed_its_library_is_chosen() -> None:
    assert quickest().name.startswith("ISA-L (") and "pyeclib" in quickest().name


@pytest.mark.parametrize("places", [[], ["/nowhere/libisal.so.2"], ["libc.so.6"], ["/proc/version"]], ids=str)
def test_without_a_usable_library_the_portable_code_is_chosen(places: list[str]) -> None:
    assert quickest(places).name == "plain Python"


def test_the_first_place_that_is_usable_is_taken() -> None:
    good = next(isal.places())
    assert quickest(["/nowhere", good]).name == f"ISA-L ({good})"


def test_a_library_that_gives_wrong_answers_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    path = next(isal.places())
    real = ctypes.CDLL(path)

    class Wrong:
        """A library whose last byte is off wherever pieces have 65 bytes: as one with a bad tail would be."""

        def __init__(self, path: str) -> None:
            self.ec_init_tables = real.ec_init_tables

            def encode(length: int, k: int, rows: int, tables: Any, have: Any, want: Any) -> None:
                real.ec_encode_data(length, k, rows, tables, have, want)
                if length == 65:
                    ctypes.cast(want[rows - 1], ctypes.POINTER(ctypes.c_ubyte))[64] ^= 1

            self.ec_encode_data = encode

    monkeypatch.setattr(ctypes, "CDLL", Wrong)
    with pytest.raises(Unusable, match="65 bytes"):
        IsaL(path)
    assert quickest([path]).name == "plain Python"


def test_elements_form_a_field() -> None:
    for a, b in itertools.product(range(0, 256, 5), range(0, 256, 3)):
        slow = 0
        for bit in range(8):
            if b >> bit & 1:
                term = a << bit
                for high in range(14, 7, -1):
                    if term >> high & 1:
                        term ^= 0x11D << (high - 8)
                slow ^= term
        assert matrix.multiply(a, b) == slow
    assert all(matrix.multiply(a, matrix.inverse(a)) == 1 for a in range(1, 256))


@pytest.mark.parametrize(("k", "n"), [(1, 3), (3, 5), (7, 20), (20, 255)])
def test_the_matrix_is_zfecs(k: int, n: int) -> None:
    unit = [bytes(number == column for column in range(k)) for number in range(k)]
    columns = zfec.Encoder(k, n).encode(tuple(unit))  # piece i of a unit matrix is row i
    assert matrix.transform(tuple(range(k)), tuple(range(n))) == tuple(bytes(column) for column in columns)
