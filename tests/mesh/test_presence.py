"""A server's place in the mesh: it dials introducers by the way that its rules say."""

import asyncio
from pathlib import Path

import pytest

from commonhold.formats import hint
from commonhold.formats.address import Address
from commonhold.formats.blessing import STORAGE
from commonhold.mesh import setting
from commonhold.mesh.presence import Presence, Profile
from commonhold.transport import listen
from commonhold.transport.retrying import Pace
from commonhold.transport.rules import Rules, Way
from tests.fakes.socks import Asked, SocksProxy
from tests.gossip.statements import GRID, pin, seed
from tests.transport.ends import run, soon


def test_who_is_anonymous_comes_to_introducers_by_tor_with_another_login_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setting, "ANONYMOUS", Pace(spread=0.01))

    async def work() -> None:
        decoy = listen.bind("127.0.0.1", 0)
        decoy.setblocking(False)
        introducers = [
            Address(pin("i0"), (listen.address(decoy),)),
            Address(pin("i1"), (hint.parse("tcp:attic.example:7374"),)),
        ]
        proxy = SocksProxy(lambda asked: None)
        async with proxy.listening() as where:
            rules = Rules(anonymous=True, tcp=Way.TOR, tor=where)
            profile = Profile(seed("server"), GRID, STORAGE, tuple, "attic")
            presence = Presence(profile, tmp_path, introducers, (), lambda record: None, rules, lambda: False)
            running = asyncio.ensure_future(presence.run())
            hosts = {str(listen.address(decoy)).split(":")[1], "attic.example"}
            await soon(lambda: hosts <= {_host(one) for one in proxy.asked})
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        assert {_host(one) for one in proxy.asked} == hosts
        logins = [one.login for one in proxy.asked]
        assert None not in logins and len(set(logins)) == len(logins)
        with pytest.raises(BlockingIOError):  # nobody came directly
            decoy.accept()
        decoy.close()

    run(work())


def _host(asked: Asked) -> str:
    return asked.host if isinstance(asked.host, str) else ".".join(map(str, asked.host))
