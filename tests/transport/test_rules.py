"""What may be dialled, and by which way: the table of docs/spec/transport.md, row by row."""

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.formats import hint
from commonhold.formats.hint import Hint
from commonhold.transport.rules import Direct, Exemption, Local, Proxied, Route, Rules, Way, in_force, route
from tests.transport.ends import OTHER, PIN

TCP = hint.parse("tcp:attic.example:4444")
TOR = hint.parse("tor:pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion:80")
I2P = hint.parse(f"i2p:{'a' * 52}.b32.i2p:80")
UNIX = hint.parse("unix:/run/attic.sock")
UNKNOWN = hint.parse("iroh:abc")
ALL = (TCP, TOR, I2P, UNIX, UNKNOWN)
SOCKS = hint.TcpHint("127.0.0.1", 9050)
ROUTER = hint.UnixHint("/run/i2p.sock")

PLAIN = Rules(tor=SOCKS, i2p=ROUTER)
ANONYMOUS = Rules(anonymous=True, tor=SOCKS, i2p=ROUTER)
EXEMPT = frozenset(Exemption(PIN, one) for one in ALL)

by_tor = Proxied(SOCKS, TOR.host, 80, isolated=True)  # type: ignore[union-attr]
tcp_by_tor = Proxied(SOCKS, "attic.example", 4444, isolated=True)
by_i2p = Proxied(ROUTER, I2P.host, 80, isolated=False)  # type: ignore[union-attr]
direct = Direct("attic.example", 4444)


def said(rules: Rules, one: Hint) -> Route | Kind:
    try:
        return route(rules, PIN, one)
    except HoldError as error:
        assert error.subject == str(one) and error.hint
        return error.kind


@pytest.mark.parametrize(
    ("rules", "ways"),
    [
        (PLAIN, (direct, by_tor, by_i2p, Kind.DENIED, Kind.UNSUPPORTED)),
        (Rules(), (direct, Kind.USAGE, Kind.USAGE, Kind.DENIED, Kind.UNSUPPORTED)),
        (Rules(tcp=Way.OFF), (Kind.DENIED, Kind.USAGE, Kind.USAGE, Kind.DENIED, Kind.UNSUPPORTED)),
        (Rules(tcp=Way.TOR), (Kind.USAGE, Kind.USAGE, Kind.USAGE, Kind.DENIED, Kind.UNSUPPORTED)),
        (ANONYMOUS, (Kind.ANONYMITY, by_tor, Kind.ANONYMITY, Kind.DENIED, Kind.UNSUPPORTED)),
        (Rules(anonymous=True, tcp=Way.OFF), (Kind.ANONYMITY, Kind.USAGE, Kind.USAGE, Kind.DENIED, Kind.UNSUPPORTED)),
        (
            Rules(anonymous=True, tcp=Way.TOR, tor=SOCKS, i2p=ROUTER),
            (tcp_by_tor, by_tor, Kind.ANONYMITY, Kind.DENIED, Kind.UNSUPPORTED),
        ),
        (
            Rules(anonymous=True, tor=SOCKS, i2p=ROUTER, exemptions=EXEMPT),
            (direct, by_tor, by_i2p, Local("/run/attic.sock"), Kind.UNSUPPORTED),
        ),
        (
            Rules(tcp=Way.TOR, tor=SOCKS, i2p=ROUTER, exemptions=EXEMPT),
            (direct, by_tor, by_i2p, Local("/run/attic.sock"), Kind.UNSUPPORTED),
        ),
    ],
)
def test_each_hint_has_one_way_or_a_reason(rules: Rules, ways: tuple[Route | Kind, ...]) -> None:
    assert tuple(said(rules, one) for one in ALL) == ways


def test_an_exemption_is_for_one_address_of_one_server() -> None:
    rules = Rules(anonymous=True, exemptions=frozenset({Exemption(PIN, TCP)}))
    assert route(rules, PIN, TCP) == direct
    for server, one in (
        (OTHER, TCP),
        (PIN, hint.parse("tcp:attic.example:4445")),
        (PIN, hint.parse("tcp:b.example:1")),
    ):
        with pytest.raises(HoldError) as refused:
            route(rules, server, one)
        assert refused.value.kind is Kind.ANONYMITY


def test_a_proxy_whose_name_would_have_to_be_looked_up_is_refused() -> None:
    for rules in ({"tor": hint.TcpHint("localhost", 9050)}, {"i2p": hint.TcpHint("router.lan", 4447)}):
        with pytest.raises(HoldError) as refused:
            Rules(**rules)  # type: ignore[arg-type]
        assert refused.value.kind is Kind.USAGE


def test_what_is_in_force_can_be_said_for_each_hint() -> None:
    assert [in_force(ANONYMOUS, PIN, one) for one in (TCP, TOR, UNIX)] == [
        "refused: anonymous mode dials nothing directly",
        "by the proxy tcp:127.0.0.1:9050",
        "refused: it is a socket of this machine",
    ]
    assert in_force(PLAIN, PIN, TCP) == "direct"
