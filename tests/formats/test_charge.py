"""Charges as bytes: all that one says comes back, and nothing beyond its limits is read."""

from dataclasses import replace
from typing import Any

import pytest

from commonhold.formats import charge, dagcbor
from commonhold.formats.charge import (
    MAX_CHARGE,
    MAX_CREDENTIALS,
    MAX_LISTS,
    MAX_SEATS,
    MAX_SETS,
    MAX_TEXT,
    Bundle,
    Charge,
    Entrusted,
    Seat,
)
from commonhold.formats.malformed import Malformed
from commonhold.formats.pack import MAX_PACK
from commonhold.formats.pin import GridId, SpkiPin
from tests import vectors

SEAT = Seat(SpkiPin(b"s" * 32), (b"credential", b"another"), b"warrant")
SET = Entrusted(10, 20, (Bundle(b"i" * 32, 700, 3, 5), Bundle(b"p" * 32, MAX_PACK, 1, 255)))
SOUND = Charge(GridId(b"g" * 32), 99, b"mode", b"version: 1", (b"list",), (b"shown",), (SEAT,), (SET,))


def changed(**fields: Any) -> bytes:
    """The bytes of the sound one with other fields, as they are on the wire."""
    found = dagcbor.decode(SOUND.encoded)
    return dagcbor.encode({name: value for name, value in {**found, **fields}.items() if value is not None})


def seat(**fields: Any) -> bytes:
    return dagcbor.encode(dagcbor.decode(SEAT.encoded) | fields)


def kept(**fields: Any) -> bytes:
    return dagcbor.encode(dagcbor.decode(SET.encoded) | fields)


def test_a_charge_comes_back_as_it_was() -> None:
    assert charge.decode(SOUND.encoded) == SOUND
    assert charge.decode(changed(newer=1)) == SOUND
    empty = replace(SOUND, seats=(), sets=(), lists=(), shown=(), override=b"")
    assert charge.decode(empty.encoded) == empty


def test_a_charge_is_the_vector() -> None:
    (data,) = (case["data"] for case in vectors.cases("tender") if "data" in case)
    assert SOUND.encoded.hex() == data


def test_what_opens_packs_is_not_printed() -> None:
    assert "iiii" not in repr(SOUND)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xa0",
        changed(v=2),
        changed(grid=b"g"),
        changed(until=-1),
        changed(membership=bytes(MAX_TEXT + 1)),
        changed(override=bytes(MAX_TEXT + 1)),
        changed(lists=[b""] * (MAX_LISTS + 1)),
        changed(shown=[b""] * (MAX_SEATS + 1)),
        changed(seats=[SEAT.encoded] * 2),
        changed(seats=[seat(server=n.to_bytes(32)) for n in range(MAX_SEATS + 1)]),
        changed(seats=[seat(credentials=[])]),
        changed(seats=[seat(credentials=[b"c"] * (MAX_CREDENTIALS + 1))]),
        changed(seats=[seat(warrant=bytes(5000))]),
        changed(sets=[SET.encoded] * 2),
        changed(sets=[kept(seeds=n.to_bytes(32) * 2) for n in range(MAX_SETS + 1)]),
        changed(sets=[kept(seeds=b"")]),
        changed(sets=[kept(seeds=b"i" * 33)]),
        changed(sets=[kept(lengths=[1])]),
        changed(sets=[kept(lengths=[0, 1])]),
        changed(sets=[kept(lengths=[1, MAX_PACK + 1])]),
        changed(sets=[kept(shapes=[5 << 8 | 3, 3 << 8 | 5])]),
        changed(sets=[kept(shapes=[5, 3 << 8 | 5])]),
        changed(sets=[kept(made=None)]),
    ],
)
def test_what_is_no_charge_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        charge.decode(data)


def test_there_are_so_many_packs_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charge, "MAX_PACKS", 3)
    other = replace(SET, packs=(Bundle(b"o" * 32, 1, 1, 1), *SET.packs))
    with pytest.raises(Malformed, match="packs"):
        charge.decode(replace(SOUND, sets=(SET, other)).encoded)


def test_one_too_large_is_neither_written_nor_read() -> None:
    large = replace(SOUND, lists=(bytes(1 << 20),) * 9)
    with pytest.raises(Malformed, match=str(MAX_CHARGE)):
        _ = large.encoded
    with pytest.raises(Malformed, match=str(MAX_CHARGE)):
        charge.decode(bytes(MAX_CHARGE + 1))
