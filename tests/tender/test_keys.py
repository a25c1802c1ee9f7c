"""The keys by which a tender enters: one for each user, grid and server, and nobody else's."""

from typing import Any

import pytest

from commonhold.authority.derived import Secret
from commonhold.crypto import sign
from commonhold.formats.pin import GridId, SpkiPin
from commonhold.tender.keys import holder_seed
from tests import vectors

GRID, SERVER = GridId(b"g" * 32), SpkiPin(b"s" * 32)


@pytest.mark.parametrize(
    "case", [one for one in vectors.cases("tender") if "public" in one], ids=lambda case: case["name"]
)
def test_keys_are_the_vectors(case: dict[str, Any]) -> None:
    grid, server = GridId(bytes.fromhex(case["grid"])), SpkiPin(bytes.fromhex(case["server"]))
    seed = holder_seed(Secret(bytes.fromhex(case["secret"])), case["uid"], grid, server)
    assert sign.public_key(seed).hex() == case["public"]


def test_no_two_of_them_are_one() -> None:
    secret, other = Secret(bytes(32)), Secret(b"o" * 32)
    seeds = {
        holder_seed(one, uid, grid, server).raw
        for one in (secret, other)
        for uid in (1, 2)
        for grid in (GRID, GridId(SERVER))
        for server in (SERVER, SpkiPin(GRID))
    }
    assert len(seeds) == 16
