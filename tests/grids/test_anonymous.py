"""Who is anonymous dials nothing directly, but the one server that an override names. D10, D11, D13, D22."""

import contextlib
import os
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold.crypto.statements import signed
from commonhold.errors import HoldError, Kind
from commonhold.formats import hint
from commonhold.formats.announcement import Announcement
from commonhold.formats.blessing import STORAGE
from commonhold.formats.hint import Hint, I2pHint, TorHint
from commonhold.formats.statement import Kind as Statement
from commonhold.grids import reading
from commonhold.grids.known import KnownServer
from commonhold.transport import dial
from commonhold.transport.dial import NotReached
from commonhold.transport.rules import Direct, Local, Proxied, Rules, Way, route
from tests.authority.parties import DAY, NOW, grid, pin
from tests.examples import examples
from tests.grids.made import (
    ANONYMOUS,
    EVERY,
    I2P,
    LAN,
    NONE,
    SOCKS,
    TCP,
    TOR,
    UNIX,
    announced,
    cache,
    cache_bytes,
    known,
    one,
    override,
)
from tests.transport.ends import PIN, SEED, run, serving

ALL_RULES = [
    ANONYMOUS,
    Rules(anonymous=True),
    Rules(anonymous=True, tcp=Way.OFF, tor=SOCKS),
    Rules(anonymous=True, tcp=Way.TOR, tor=SOCKS),
]
STRANGE = ("iroh:abc", "tcp:x", "quic:1.2.3.4:5", "TCP:1.2.3.4:5", "tcp:[::ffff:1.2.3.4]:5", "tor:x.onion:1", "unix:/x")


def directly(server: KnownServer, *more: Hint) -> set[Hint]:
    """What would be dialled without a proxy: of its own hints, of all others that are known, and of `more`."""
    found = set()
    for one_hint in (*server.hints, *EVERY, *more):
        with contextlib.suppress(HoldError):
            if not isinstance(route(server.rules, server.pin, one_hint), Proxied):
                found.add(one_hint)
    return found


addresses = st.lists(st.sampled_from([*map(str, EVERY), *STRANGE]), min_size=1, max_size=8, unique=True)


@given(addresses, addresses, st.sampled_from(ALL_RULES))
@settings(deadline=None, max_examples=examples(60))
def test_d10_no_address_of_any_kind_that_was_announced_is_dialled_directly(
    shown: list[str], pasted: list[str], rules: Rules
) -> None:
    copied = announced("cellar", *pasted)
    by = reading.override(cache_bytes("a", copied))
    for server in known(cache("a", announced("attic", *shown), rules=rules), by=by, rules=rules).servers:
        assert directly(server) == set()
        assert not server.rules.exemptions


@given(st.lists(st.sampled_from(EVERY), min_size=1, max_size=6, unique=True), st.booleans(), st.sampled_from(ALL_RULES))
@settings(deadline=None, max_examples=examples(60))
def test_d11_the_one_server_that_an_override_names_is_reached_at_the_addresses_that_it_names(
    named: list[Hint], instead: bool, rules: Rules
) -> None:
    field = "hints" if instead else "add_hints"
    said = "".join(f"      - {each}\n" for each in named)
    shown = cache("a", announced("attic", *map(str, EVERY), *STRANGE), announced("cellar", *map(str, EVERY)))
    for direct in ("", "    direct: false\n", "    direct: true\n"):
        by = override(f"{{attic}}:\n  local:\n{direct}    {field}:\n{said}")
        assert not by.problems
        attic, cellar = one(shown, by=by, rules=rules), one(shown, by=by, rules=rules, server="cellar")
        exempt = {each for each in named if not isinstance(each, TorHint | I2pHint)} if "true" in direct else set()
        assert directly(attic) == exempt
        assert directly(cellar) == set()
        assert directly(replace(cellar, rules=attic.rules)) == set()  # the attic's exemptions are the attic's


def test_d11_an_exemption_is_never_an_announced_address() -> None:
    """The server's next announcement could name any address there is."""
    by = override(f"{{attic}}:\n  local:\n    direct: true\n    add_hints: [{LAN}]\n")
    server = one(cache("a", announced("attic", str(TCP))), by=by, rules=ANONYMOUS)
    assert server.hints == (LAN, TCP) and directly(server) == {LAN}
    assert server.reached == f"{LAN} direct"


def test_d10_a_cache_that_says_direct_makes_nothing_direct() -> None:
    data = cache_bytes("a", announced("attic")).replace(
        b"  local:\n", b"  local:\n    direct: true\n    hints: [tcp:1.2.3.4:5]\n"
    )
    found = reading.cache(pin("a"), data)
    assert found.problems and not found.clauses
    assert known(found, rules=ANONYMOUS).servers == ()


@pytest.mark.parametrize(
    ("address", "way"),
    [
        (TCP, Direct("attic.example", 4444)),
        (TOR, Proxied(SOCKS, TOR.host, 80, isolated=True)),  # type: ignore[union-attr]
        (I2P, Proxied(SOCKS, I2P.host, 80, isolated=False)),  # type: ignore[union-attr]
        (UNIX, Local("/run/attic.sock")),
    ],
)
def test_d13_each_kind_of_hint_has_its_way(address: Hint, way: object) -> None:
    by = override(f"{{attic}}:\n  local: {{hints: [{address}], direct: true}}\n")
    server = one(cache("a", announced("attic")), by=by, rules=ANONYMOUS)
    assert route(server.rules, server.pin, server.hints[0]) == way


def test_d22_what_the_broker_gives_is_dialled_as_it_is_whatever_the_transport() -> None:
    """A server that listens, named by an override; with the same rules and without it nothing is sent."""

    async def work() -> None:
        async with serving() as (address, _):
            shown = cache("a", announced_by_ends(str(TCP)))
            by = reading.override(f"{PIN}:\n  local: {{hints: ['{address}'], direct: true}}\n".encode())
            (server,) = known(shown, by=by, rules=ANONYMOUS).servers
            found = await dial.dial(server.pin, server.hints, server.rules, os.urandom)
            await found.close()
            (plain,) = known(shown, by=NONE, rules=ANONYMOUS).servers
            with pytest.raises(NotReached) as refused:
                await dial.dial(plain.pin, plain.hints, plain.rules, os.urandom)
            assert refused.value.kind is Kind.ANONYMITY
            with pytest.raises(NotReached):
                await dial.dial(plain.pin, [hint.parse(str(address))], plain.rules, os.urandom)

    run(work())


def announced_by_ends(*addresses_: str) -> bytes:
    """What the server of the transport's tests says of itself."""
    said = Announcement(grid(), STORAGE, PIN, addresses_, 1, NOW + DAY)
    return signed(Statement.ANNOUNCEMENT, said.body, SEED).encoded
