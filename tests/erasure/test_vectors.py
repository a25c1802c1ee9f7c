"""The product, the page's independent reading and the vectors agree in every value."""

import hashlib
from typing import Any

import pytest

from commonhold.crypto.aead import TAG
from commonhold.erasure import share as shares
from commonhold.erasure.choosing import quickest
from commonhold.erasure.gathering import Gathering
from commonhold.erasure.layout import HEAD, SEGMENT, Layout
from commonhold.erasure.share import NewShare, Share
from commonhold.erasure.spreading import Spreading
from commonhold.erasure.values import PackSeed, Place, Salt, Shape
from commonhold.formats.pin import SpkiPin
from tests import vectors
from tests.erasure import independent
from tests.erasure.packs import buffer

CASES = vectors.cases("share")
NAMES = [case["name"] for case in CASES]


def places_of(case: dict[str, Any]) -> list[Place]:
    return [Place(SpkiPin(bytes.fromhex(row["pin"])), Salt(bytes.fromhex(row["salt"]))) for row in case["shares"]]


def seed_of(case: dict[str, Any]) -> PackSeed:
    return PackSeed(bytes.fromhex(case["seed"]))


def written_elsewhere(case: dict[str, Any]) -> list[bytearray]:
    """The shares of a case, by zfec."""
    places = [(bytes(place.server), bytes(place.salt)) for place in places_of(case)]
    pack = vectors.content(case["pack"])
    made = independent.shares(seed_of(case).raw, case["k"], case["n"], pack, places, case["segment"])
    return [bytearray(one.share) for one in made]


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_what_another_party_wrote_is_the_vectors_and_is_read(case: dict[str, Any]) -> None:
    written, seed, pack = written_elsewhere(case), seed_of(case), vectors.content(case["pack"])
    opened = []
    for number, (row, place, data) in enumerate(zip(case["shares"], places_of(case), written, strict=True)):
        assert hashlib.sha256(data).hexdigest() == row["sha256"]
        assert row.get("share") in (None, data.hex())
        share = Share(seed, place.server, bytes.fromhex(row["head"]))
        assert share.number == number and share.length == row["bytes"] == len(data)
        assert share.layout == Layout(Shape(case["k"], case["n"]), len(pack), case["segment"])
        shares.verify(seed, place.server, memoryview(data))
        opened.append(share)
    last = list(zip(opened, written, strict=True))[-case["k"] :]
    layout, got = opened[0].layout, b""
    for index in range(layout.segments):
        start, stop = layout.part(index)
        into = buffer(layout, index)
        gathering = Gathering(layout, index, into)
        for share, data in last:
            gathering.add(share, memoryview(data)[start:stop])
        gathering.restore(quickest())
        got += into
    assert got == pack


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_keys_indexes_and_lengths_are_the_vectors(case: dict[str, Any]) -> None:
    seed = seed_of(case)
    layout = Layout(Shape(case["k"], case["n"]), len(vectors.content(case["pack"])), case["segment"])
    for number, (row, place) in enumerate(zip(case["shares"], places_of(case), strict=True)):
        assert seed.key(place).hex() == row["key"] and seed.index(place.server).hex() == row["index"]
        assert layout.padding(seed, place.server) == row["zeros"]
        assert layout.share(seed, place.server) == row["bytes"]
        assert NewShare(seed, layout, number, place).head.hex() == row["head"]


@pytest.mark.parametrize("case", [case for case in CASES if case["segment"] == SEGMENT], ids=lambda case: case["name"])
def test_what_is_written_is_the_vectors(case: dict[str, Any]) -> None:
    pack = memoryview(vectors.content(case["pack"]))
    parts = [pack[:1], pack[1:1], pack[1:700], pack[700:]]
    spreading = Spreading(quickest(), seed_of(case), Shape(case["k"], case["n"]), parts, places_of(case))
    sums = [hashlib.sha256(share.head) for share in spreading.shares]
    for index in range(spreading.layout.segments):
        rooms = [memoryview(bytearray(spreading.layout.piece(index) + TAG)) for _ in sums]
        spreading.fill(index, rooms)
        for one, sealed in zip(sums, rooms, strict=True):
            one.update(sealed)
    for row, share, one in zip(case["shares"], spreading.shares, sums, strict=True):
        one.update(share.tail())
        assert one.hexdigest() == row["sha256"] and share.length == row["bytes"] and len(share.head) == HEAD
