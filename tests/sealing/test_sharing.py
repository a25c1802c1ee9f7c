"""A link that was sealed for one account is opened by that one and by nobody else, and on its own grid only."""

import json
import os
from typing import Any

import pytest

from commonhold.authority import derived
from commonhold.authority.derived import Secret
from commonhold.crypto.hpke import Receiver
from commonhold.formats import link as links
from commonhold.formats.capability import ReadCapability
from commonhold.formats.link import Link, ReceivingKey, SealedLink
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import GridId
from commonhold.sealing.sharing import open_link, receiving_key, seal_link
from tests import vectors

VECTORS: dict[str, Any] = json.loads((vectors.ROOT / "links.json").read_text())
SOUND = VECTORS["sound"]
GRID, OTHER = GridId(bytes.fromhex(SOUND["grid"])), GridId(bytes(32))
BOB = derived.receiver(Secret(bytes.fromhex(SOUND["secret"])), GRID)
LINK = Link(GRID, ReadCapability(os.urandom(32), 3, os.urandom(32)))


def sealed(text: str) -> SealedLink:
    found = links.parse(text)
    assert isinstance(found, SealedLink)
    return found


def test_what_another_program_sealed_is_opened() -> None:
    assert BOB.raw.hex() == SOUND["private"] and str(receiving_key(BOB, GRID)) == SOUND["receiving"]
    assert str(open_link(sealed(SOUND["sealed"]), BOB)) == SOUND["link"]


@pytest.mark.parametrize("case", VECTORS["shut"], ids=lambda case: str(case["name"]))
def test_what_is_anothers_or_of_another_grid_or_was_changed_stays_shut(case: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        open_link(sealed(case["text"]), BOB)


def test_one_account_opens_it_and_the_one_who_sealed_it_does_not() -> None:
    alice, carol = (Receiver(os.urandom(32)) for _ in range(2))
    made = seal_link(LINK, receiving_key(BOB, GRID))
    assert open_link(made, BOB) == LINK
    for other in (alice, carol):
        with pytest.raises(Malformed):
            open_link(made, other)
    with pytest.raises(Malformed):
        open_link(SealedLink(OTHER, made.sealed), BOB)


def test_two_links_for_one_account_have_nothing_in_common_but_their_grid() -> None:
    one, two = (seal_link(LINK, receiving_key(BOB, GRID)) for _ in range(2))
    assert not {one.sealed[at : at + 4] for at in range(112)} & {two.sealed[at : at + 4] for at in range(112)}
    assert BOB.public not in one.sealed


def test_nothing_is_sealed_for_a_key_of_another_grid_or_one_that_is_none() -> None:
    for key in (ReceivingKey(OTHER, BOB.public), ReceivingKey(GRID, bytes(32))):
        with pytest.raises(Malformed):
            seal_link(LINK, key)
