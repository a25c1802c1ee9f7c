"""What a relay and a server say to each other: there and back, and nothing beyond its limits."""

import pytest

from commonhold.formats import dagcbor, fields, relaywords
from commonhold.formats.malformed import Malformed
from commonhold.formats.relaywords import MAX_SAID, MAX_WHY, PREFACE, Granted, Knock, Refused, Token, decode

TOKEN = Token(bytes(range(32)))


@pytest.mark.parametrize("word", [Granted(1, 65535), Refused("no"), Knock(TOKEN)])
def test_what_is_said_comes_back(word: relaywords.Word) -> None:
    assert decode(word.encoded) == word


def test_the_bytes_are_those_of_the_page() -> None:
    assert Granted(7376, 7375).encoded == dagcbor.encode({"port": 7376, "answers": 7375})
    assert Knock(TOKEN).encoded == dagcbor.encode({"token": bytes(range(32))})
    assert relaywords.preface(TOKEN) == b"hold-relay/1\n" + bytes(range(32)) and PREFACE == 45


def test_a_field_that_nobody_knows_is_passed_over() -> None:
    assert decode(fields.made(port=1, answers=2, colour="red")) == Granted(1, 2)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xa0", fields.made(port=0, answers=1), fields.made(port=1, answers=0), fields.made(port=1),
        fields.made(port=65536, answers=1), fields.made(port="1", answers=1), fields.made(token=bytes(31)),
        fields.made(token=bytes(33)), fields.made(token="a" * 32), fields.made(refused=""),
        fields.made(refused="a" * (MAX_WHY + 1)), fields.made(refused="\x1b[2J"), dagcbor.encode([1]),
        fields.made(port=1, answers=2, more=bytes(MAX_SAID)),
    ],
)  # fmt: skip
def test_what_is_beyond_its_limits_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode(data)


def test_a_refusal_is_cut_to_what_is_read() -> None:
    assert decode(Refused("a" * 500).encoded) == Refused("a" * MAX_WHY)


@pytest.mark.parametrize(
    "data",
    [b"", relaywords.preface(TOKEN)[:-1], relaywords.preface(TOKEN) + b"x", b"HOLD-relay/1\n" + TOKEN, bytes(45)],
)
def test_a_preface_is_that_or_nothing(data: bytes) -> None:
    assert relaywords.decode_preface(relaywords.preface(TOKEN)) == TOKEN
    with pytest.raises(Malformed):
        relaywords.decode_preface(data)
