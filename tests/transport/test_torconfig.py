"""What a server's config says of Tor; and that one which would tell where it is does not start."""

import os
from pathlib import Path
from typing import Any

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.formats import hint
from commonhold.formats.hint import TcpHint, UnixHint
from commonhold.host import configs
from commonhold.transport import onion, torconfig
from commonhold.transport.onion import Control
from commonhold.transport.rules import Rules, Way
from commonhold.transport.torconfig import NO_TOR, Publication, Tor

ONION = {"control": "unix:/run/tor/control", "cookie": "/run/tor/control.authcookie", "port": 7373}
SOCKS = "tcp:127.0.0.1:9050"
HERE, ALL, PATH = TcpHint("127.0.0.1", 7373), TcpHint("0.0.0.0", 7373), UnixHint("/run/hold/x")
NAME = hint.parse(f"tor:{'aoqqpp7tzyil4hlq3umoos6atft6jvrqtosq2xy53sdgiesvgg4bqead'}.onion:80")


def read(values: dict[str, Any], *listen: TcpHint | UnixHint, announce: tuple[str, ...] = ()) -> Tor:
    return torconfig.parse(values, listen, map(hint.parse, announce))


def test_a_config_that_says_nothing_of_tor_dials_directly_and_has_no_onion_address(tmp_path: Path) -> None:
    assert read({}, ALL) == NO_TOR == Tor(Rules(), None)
    assert NO_TOR.onion(tmp_path) is None and list(tmp_path.iterdir()) == []


def test_who_is_anonymous_dials_by_tor_alone() -> None:
    found = read({"anonymous": True, "tor": SOCKS}, HERE, PATH, announce=(str(NAME),)).rules
    assert found == Rules(anonymous=True, tcp=Way.TOR, tor=TcpHint("127.0.0.1", 9050))
    assert read({"tor": SOCKS}, ALL).rules == Rules(tor=TcpHint("127.0.0.1", 9050))


@pytest.mark.parametrize(
    ("listen", "announce", "field"),
    [
        ((ALL,), (), "listen"),
        ((HERE, TcpHint("192.0.2.1", 7373)), (), "listen"),
        ((TcpHint("169.254.0.1", 7373),), (), "listen"),
        ((TcpHint("::", 7373),), (), "listen"),
        ((TcpHint("localhost", 7373),), (), "listen"),
        ((HERE,), ("tcp:attic.example:7373",), "announce"),
        ((HERE,), ("tcp:127.0.0.1:7373",), "announce"),
        ((HERE,), (str(NAME), "tcp:192.0.2.1:1"), "announce"),
        ((HERE,), ("unix:/run/attic",), "announce"),
        ((HERE,), ("carrier:pigeon-12",), "announce"),
    ],
)
def test_who_is_anonymous_and_would_tell_where_it_is_is_told_what_to_change(
    listen: tuple[TcpHint, ...], announce: tuple[str, ...], field: str
) -> None:
    for more in ({}, {"onion": ONION}):
        with pytest.raises(HoldError) as caught:
            read({"anonymous": True, "tor": SOCKS, **more}, *listen, announce=announce)
        assert caught.value.kind is Kind.ANONYMITY and caught.value.why.startswith(f"{field}: ")
        assert "anonymous = false" in caught.value.hint
    read({"tor": SOCKS}, *listen, announce=announce)  # who is not may


def test_what_to_change_stands_below_the_name_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "server.toml"
    path.write_text(f'anonymous = true\ntor = "{SOCKS}"\n')
    with pytest.raises(HoldError) as caught:
        configs.read(path, lambda values: torconfig.parse(values, (ALL,), ()))
    assert caught.value.subject == str(path) and "tcp:127.0.0.1:PORT" in caught.value.hint


def test_an_onion_address_leads_to_the_first_address_of_this_machine() -> None:
    control = Control(UnixHint("/run/tor/control"), Path("/run/tor/control.authcookie"))
    assert read({"onion": ONION}, ALL, HERE, PATH).publication == Publication(control, 7373, HERE)
    assert read({"onion": ONION}, PATH).publication == Publication(control, 7373, PATH)
    six = TcpHint("::1", 1)
    found = read({"onion": ONION | {"control": "tcp:127.0.0.1:9051"}}, six).publication
    assert found is not None and found.target == six and found.control.where == TcpHint("127.0.0.1", 9051)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"anonymous": True}, "anonymous"),
        ({"anonymous": "yes"}, "anonymous"),
        ({"tor": "tcp:tor.example:9050"}, "tor"),
        ({"tor": 9050}, "tor"),
        ({"tor": str(NAME)}, "tor"),
        ({"onion": True}, "onion"),
        ({"onion": {}}, "onion."),
        ({"onion": ONION | {"key": "x"}}, "onion.key"),
        ({"onion": {"control": ONION["control"], "cookie": ONION["cookie"]}}, "onion.port"),
        ({"onion": ONION | {"port": 0}}, "onion.port"),
        ({"onion": ONION | {"port": 65536}}, "onion.port"),
        ({"onion": ONION | {"port": True}}, "onion.port"),
        ({"onion": ONION | {"cookie": "control.authcookie"}}, "onion.cookie"),
        ({"onion": ONION | {"cookie": 1}}, "onion.cookie"),
        ({"onion": ONION | {"control": "tcp:192.0.2.1:9051"}}, "onion.control"),
        ({"onion": ONION | {"control": "tcp:localhost:9051"}}, "onion.control"),
        ({"onion": ONION | {"control": "/run/tor/control"}}, "onion.control"),
        ({"onion": ONION | {"control": 9051}}, "onion.control"),
    ],
)
def test_what_is_wrong_is_named(values: dict[str, Any], field: str) -> None:
    with pytest.raises(HoldError) as caught:
        read(values, HERE)
    assert caught.value.kind is Kind.USAGE and caught.value.why.startswith(field)


def test_an_onion_address_that_would_lead_nowhere_or_elsewhere_is_refused() -> None:
    for listen in ((), (ALL,), (TcpHint("localhost", 1),)):
        with pytest.raises(HoldError, match=r"onion: it would lead nowhere") as caught:
            read({"onion": ONION}, *listen)
        assert caught.value.kind is Kind.USAGE
    with pytest.raises(HoldError, match="listen: its socket's path"):
        read({"onion": ONION}, UnixHint("/run/a b"))


def test_the_key_is_made_once_in_the_servers_directory_and_its_address_goes_with_the_others(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    there = read({"onion": ONION}, HERE).onion(tmp_path)
    again = read({"onion": ONION | {"port": 80}}, HERE).onion(tmp_path)
    assert there is not None and again is not None
    assert there.service.seed == again.service.seed and there.service.target == HERE
    [file] = tmp_path.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600 and file.stat().st_uid == os.geteuid()
    name = str(there.service.hint)
    assert name.endswith(".onion:7373") and str(again.service.hint).endswith(".onion:80")
    assert torconfig.addresses(("tcp:attic.example:1",), there) == ("tcp:attic.example:1", name)
    assert torconfig.addresses((name,), there) == (name,) and torconfig.addresses((), None) == ()
    assert isinstance(there, onion.Onion)
