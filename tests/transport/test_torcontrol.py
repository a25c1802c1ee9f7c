"""Tor's control protocol: what Debian's Tor 0.4.9.11 said is read as it was meant, and nothing else is."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.formats.hint import TcpHint, UnixHint
from commonhold.formats.keys import Seed
from commonhold.formats.malformed import Malformed
from commonhold.transport import torcontrol
from commonhold.transport.torcontrol import MAX_LINE, MAX_LINES, Refused, Replies, Reply, Service

COOKIE = bytes.fromhex("eed9c15d0c5d605a1f2a2de1f208ea7dd310eb8690ad9224315bef300e1d15b9")
NONCE = bytes(range(32))
SERVICE = Service(Seed(bytes(range(32))), 80, TcpHint("127.0.0.1", 4321))
KEY = "OJTupJxYCu+BaTV2K+BJVZ1tFEDe3hLmoSXxhB//jm+p1xhio+V0a1cb49GHsAQQRvUuvYUMfL1f3o7jhHO2SQ=="
NAME = "aoqqpp7tzyil4hlq3umoos6atft6jvrqtosq2xy53sdgiesvgg4bqead"
CHALLENGE = (
    "250 AUTHCHALLENGE SERVERHASH=5AFB1260B22E29E22BEF27E27F89483E6F7FAF15C414F0EA1A483F23A1B06361"
    " SERVERNONCE=7B6498883E947ACD42243CBC1D93A5D852B25F8BD5EA620CADCBCA44C6A4C7BC"
)
PROOF = "AUTHENTICATE f6d1083dc3cc4261411b374084499ff41abb255d9ea8387c0a6b8a052828f397"
PUBLISHED = f"250-ServiceID={NAME}\r\n250 OK"


def talk(*said: str, service: Service = SERVICE, cookie: bytes = COOKIE) -> list[str]:
    """What is sent where Tor says these; the last of it was answered unless an error comes."""
    going, replies, sent = torcontrol.publish(cookie, NONCE, service), Replies(), []
    ask = next(going)
    for one in said:
        sent.append(ask.decode())
        [reply] = replies.feed(one.encode() + b"\r\n")
        try:
            ask = going.send(reply)
        except StopIteration:
            return sent
    return [*sent, ask.decode()]


def test_a_service_is_published_in_tors_words() -> None:
    assert talk(CHALLENGE, "250 OK", PUBLISHED) == [
        f"AUTHCHALLENGE SAFECOOKIE {NONCE.hex()}\r\n",
        f"{PROOF}\r\n",
        f"ADD_ONION ED25519-V3:{KEY} Port=80,127.0.0.1:4321\r\n",
    ]


def test_the_address_is_known_before_tor_knows_it() -> None:
    assert str(SERVICE.hint) == f"tor:{NAME}.onion:80"


def test_whoever_does_not_know_the_cookie_learns_neither_it_nor_the_key() -> None:
    with pytest.raises(Malformed, match="does not know the cookie"):
        talk(CHALLENGE, cookie=bytes(32))
    assert COOKIE.hex() not in "".join(talk(CHALLENGE, "250 OK", PUBLISHED)).lower()
    assert KEY not in "".join(talk(CHALLENGE))


@pytest.mark.parametrize(
    "said",
    [
        ["514 Authentication required."],
        [CHALLENGE, "515 Authentication failed: Safe cookie response did not match expected value."],
        [CHALLENGE, "250 OK", "550 Onion address collision"],
        [CHALLENGE, "250 OK", "512-Bad\r\n512 arguments"],
    ],
)
def test_what_tor_refuses_is_told_in_its_words(said: list[str]) -> None:
    with pytest.raises(Refused, match=said[-1][-20:].strip().rpartition("\n")[2].removeprefix("512 ")):
        talk(*said)


@pytest.mark.parametrize(
    "said",
    [
        ["250 OK"],
        [CHALLENGE.lower()],
        [CHALLENGE + "00"],
        [f"250-{CHALLENGE[4:]}\r\n250 OK"],
        [CHALLENGE, "250-OK\r\n250 OK"],
        [CHALLENGE, "250 OK", "250 OK"],
        [CHALLENGE, "250 OK", f"250-ServiceID={'a' * 56}\r\n250 OK"],
    ],
)
def test_what_tor_would_not_say_is_not_taken_for_an_answer(said: list[str]) -> None:
    with pytest.raises(Malformed):
        talk(*said)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        b"250\r\n",
        b"\r\n",
        b"650 CIRC 1 BUILT\r\n",  # an event, which nobody asked for
        b"250+data=\r\n",
        b"250 \x1b[2J\r\n",
        b"250 \xff\r\n",
        b"250 a\nb\r\n",
        b"x" * (MAX_LINE + 1),
        b"250 " + b"x" * (MAX_LINE - 3) + b"\r\n",
        b"250-x\r\n" * (MAX_LINES + 1),
    ],
)
def test_what_is_no_reply_or_too_long_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        Replies().feed(data)


def test_the_longest_reply_is_read() -> None:
    line = b"x" * (MAX_LINE - 4)
    found = Replies().feed((b"250-" + line + b"\r\n") * (MAX_LINES - 1) + b"250 " + line + b"\r\n")
    assert found == [Reply(250, (line.decode(),) * MAX_LINES)]


@given(st.lists(st.integers(0, 120), max_size=5))
def test_a_reply_is_the_same_in_whatever_pieces_it_comes(cuts: list[int]) -> None:
    data, replies, found = f"{PUBLISHED}\r\n550 no\r\n".encode(), Replies(), []
    edges = [0, *sorted(cuts), len(data)]
    for start, stop in itertools.pairwise(edges):
        found += replies.feed(data[start:stop])
    assert found == [Reply(250, (f"ServiceID={NAME}", "OK")), Reply(550, ("no",))]


@given(st.binary(max_size=200))
def test_whatever_comes_is_a_reply_or_malformed(data: bytes) -> None:
    try:
        found = Replies().feed(data)
    except Malformed:
        return
    assert all(200 <= one.code < 600 and one.lines for one in found)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (TcpHint("127.0.0.1", 1), "127.0.0.1:1"),
        (TcpHint("::1", 443), "[::1]:443"),
        (UnixHint("/run/a-b_c@d+e.sock"), "unix:/run/a-b_c@d+e.sock"),
    ],
)
def test_a_service_leads_to_an_address_or_a_socket(target: TcpHint | UnixHint, words: str) -> None:
    sent = talk(CHALLENGE, "250 OK", service=Service(SERVICE.seed, 80, target))
    assert sent[-1].endswith(f" Port=80,{words}\r\n")


@pytest.mark.parametrize("target", [UnixHint("/a b"), UnixHint('/a"b'), UnixHint("/a,b"), TcpHint("localhost", 1)])
def test_a_service_does_not_lead_to_what_tor_would_read_otherwise(target: TcpHint | UnixHint) -> None:
    with pytest.raises(Malformed):
        Service(SERVICE.seed, 80, target)
