"""Codes read back as they were made, long and short; what is changed, too large or another's is refused."""

import json
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from commonhold.formats import charter as charters
from commonhold.formats import invitation, shortcode
from commonhold.formats.blessing import INTRODUCER, STORAGE, Purpose
from commonhold.formats.charter import Blesser, Charter, Introducer, Quorum
from commonhold.formats.codewords import WORDS
from commonhold.formats.hint import TcpHint
from commonhold.formats.invitation import Invitation
from commonhold.formats.keys import PublicKey
from commonhold.formats.malformed import Malformed, Unsupported
from commonhold.formats.pin import GridId, SpkiPin
from commonhold.formats.request import Ticket
from commonhold.formats.shortcode import ShortCode

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "vectors/invitations.json").read_text())


def key(number: int) -> PublicKey:
    return PublicKey(bytes((number,)) * 32)


def charter(**other: Any) -> Charter:
    blessers = tuple(Blesser(key(n), SpkiPin(key(n + 100)), (f"tcp:192.0.2.{n}:4653",)) for n in (1, 2, 3))
    fields: dict[str, Any] = {
        "grid": GridId(key(1)), "name": "family", "blessers": blessers,
        "purposes": ((STORAGE, Quorum((key(1), key(2)), 2, ("attic",), False)), (INTRODUCER, Quorum((key(3),)))),
        "accounts": Quorum((key(2),)), "introducers": (Introducer(SpkiPin(key(9)), ("tcp:192.0.2.9:1",)),),
    }  # fmt: skip
    return Charter(**fields | other)


def made(**other: Any) -> Invitation:
    fields: dict[str, Any] = {
        "charter": charter(), "by": key(2), "ticket": Ticket(b"t" * 32), "not_after": 7, "account": "alice",
    }  # fmt: skip
    return Invitation(**fields | other)


@pytest.mark.parametrize("case", VECTORS["long"], ids=lambda case: str(case["name"]))
def test_long_codes_are_read_as_they_were_written_elsewhere(case: dict[str, Any]) -> None:
    if "why" in case:
        with pytest.raises(Malformed):
            invitation.parse(case["text"])
        return
    found = invitation.parse(case["text"])
    says = case["says"]
    assert (found.account, found.not_after, list(found.purposes)) == (
        says["account"],
        says["not_after"],
        says["purposes"],
    )
    assert (found.charter.grid.hex(), found.by.hex(), found.ticket.hex()) == (says["grid"], says["by"], says["ticket"])
    assert [one.pin.hex() for one in found.charter.blessers] == says["pins"]
    rules = {
        str(purpose): [quorum.needed, len(quorum.blessers), quorum.fresh] for purpose, quorum in found.charter.purposes
    }
    assert rules == says["rules"]
    assert found.text == "".join(case["text"].split()).lower()


@pytest.mark.parametrize("case", VECTORS["short"], ids=lambda case: str(case["text"]))
def test_short_codes_are_read_as_they_are_written(case: dict[str, Any]) -> None:
    if "why" in case:
        with pytest.raises(Malformed):
            shortcode.parse(case["text"])
        return
    found = shortcode.parse(case["text"])
    assert (found.plate, list(found.words), str(found.where)) == (case["plate"], case["words"], case["where"])
    assert found.text == case.get("canonical", case["text"]) and shortcode.parse(found.text) == found


@pytest.mark.parametrize(
    "other",
    [
        {},
        {"account": "", "purposes": (STORAGE, Purpose("later"))},
        {"by": key(1)},
        {"charter": charter(introducers=())},
        {"charter": charters.of_one(GridId(key(3)), "a", Blesser(key(4), SpkiPin(key(5))), (STORAGE,)), "by": key(4)},
    ],
)
def test_an_invitation_reads_back(other: dict[str, Any]) -> None:
    one = made(**other)
    assert invitation.decode(one.encoded) == one and invitation.parse(one.text) == one
    folded = "\n".join(one.text[at : at + 60] for at in range(0, len(one.text), 60))
    assert invitation.parse(f"  {folded.upper()} \n") == one


def test_one_letter_changed_or_left_out_is_noticed() -> None:
    text = made().text
    draw = random.Random(7)
    for _ in range(300):
        at = draw.randrange(len(text))
        for changed in (
            text[:at] + draw.choice("abcdefghijklmnopqrstuvwxyz234567") + text[at + 1 :],
            text[:at] + text[at + 1 :],
            text[:at],
        ):
            if changed != text:
                with pytest.raises(Malformed):
                    invitation.parse(changed)


@pytest.mark.parametrize(
    "other",
    [
        {"by": key(7)},
        {"account": ""},
        {"purposes": (STORAGE,)},
    ],
)
def test_an_invitation_that_cannot_be_is_not_made(other: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        made(**other)


@pytest.mark.parametrize(
    "other",
    [
        {"name": "Family"},
        {"name": ".."},
        {"blessers": ()},
        {"blessers": tuple(Blesser(PublicKey(bytes((n,)) * 32), SpkiPin(bytes(32))) for n in range(17))},
        {"blessers": (Blesser(key(1), SpkiPin(bytes(32))), Blesser(key(1), SpkiPin(bytes(32))))},
        {"blessers": (Blesser(key(1), SpkiPin(bytes(32)), ("tcp:192.0.2.1:1",) * 9), *charter().blessers[1:])},
        {"blessers": (Blesser(key(1), SpkiPin(bytes(32)), ("nonsense",)), *charter().blessers[1:])},
        {"blessers": (Blesser(key(1), SpkiPin(bytes(32)), ("later:" + "x" * 300,)), *charter().blessers[1:])},
        {"purposes": ()},
        {"purposes": ((STORAGE, Quorum((key(1),))), (STORAGE, Quorum((key(1),))))},
        {"purposes": tuple((Purpose(f"p{n}"), Quorum((key(1),))) for n in range(9))},
        {"accounts": Quorum((key(7),))},
        {"accounts": Quorum(())},
        {"accounts": Quorum((key(1),), 0)},
        {"accounts": Quorum((key(1),), 2)},
        {"accounts": Quorum((key(1), key(1)), 2)},
        {"accounts": Quorum((key(1),), 1, ("A",))},
        {"introducers": (Introducer(SpkiPin(bytes(32))),) * 17},
    ],
)
def test_a_charter_that_cannot_be_is_not_made(other: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        charter(**other)


def test_a_code_without_end_is_refused_before_it_is_read() -> None:
    with pytest.raises(Malformed):
        invitation.parse("hold-join1" + "a" * (32 << 10))
    with pytest.raises(Malformed):
        invitation.decode(bytes((16 << 10) + 1))
    with pytest.raises(Malformed):
        shortcode.parse("7-" * 500)
    with pytest.raises(Unsupported):
        invitation.parse("hold-join2aaaa")


def test_the_words_are_256_and_cannot_be_taken_for_one_another() -> None:
    assert len(set(WORDS)) == len(WORDS) == 256 and list(WORDS) == sorted(WORDS)
    assert all(4 <= len(word) <= 8 and word.isascii() and word.isalpha() and word.islower() for word in WORDS)
    assert len({word[:4] for word in WORDS}) == 256
    assert all(_distance(one, other) >= 2 for one, other in pairwise(WORDS))
    assert all(_distance(one, other) >= 2 for at, one in enumerate(WORDS) for other in WORDS[:at])


def _distance(one: str, other: str) -> int:
    """How many letters have to be changed, put in or left out."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        new = [i]
        for j, b in enumerate(other, 1):
            new.append(min(row[j] + 1, new[-1] + 1, row[j - 1] + (a != b)))
        row = new
    return row[-1]


def test_words_are_drawn_of_all_of_a_byte_and_not_shown_by_accident() -> None:
    assert shortcode.draw(lambda count: bytes(range(253, 253 + count))) == WORDS[253:256]
    code = ShortCode(7, ("quiet", "harbour", "lantern"), TcpHint("attic.example", 4653))
    assert "quiet" not in repr(code) and code.text == "7-quiet-harbour-lantern@attic.example"
    assert code.password != shortcode.password(8, code.words)
    assert "Ticket" not in repr(made()) and "7474" not in repr(made())
