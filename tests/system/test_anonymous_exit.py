"""An anonymous client in a network whose only exit is a proxy: not one packet goes elsewhere, whatever tempts it.

REQUIREMENTS D10, D11, D13, notes 8 and 10; DESIGN 6.7. The grid is real, the client a real process; what it sends is
counted where it leaves: on every device of its namespace, loopback, too.
"""

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from commonhold.formats.hint import TcpHint
from commonhold.host.looping import LoopThread
from commonhold.lab import building
from commonhold.lab.plan import Part
from commonhold.storage import places
from commonhold.transport import listen
from commonhold.transport.visitors import Visitors
from tests.fakes.socks import Asked, SocksProxy
from tests.system.cell import DNS, HERE, NAME_SERVER, Cell, cell
from tests.system.town import ASTRAY, GRID, SERVERS, Town, town
from tests.transport.wire import relay
from tests.waiting import SECONDS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a network"),
]

# What programs use that ask the environment.
ENVIRONMENT = {
    name: f"{scheme}://{ASTRAY}:{port}"
    for port, (name, scheme) in enumerate(
        [("http_proxy", "http"), ("https_proxy", "http"), ("ALL_PROXY", "socks5h"), ("all_proxy", "socks5")], 3128
    )
}


@dataclass
class Shut:
    """A client's network: the proxy, which leads to the town's onion addresses and nowhere else."""

    cell: Cell
    proxy: SocksProxy
    at: TcpHint
    loop: LoopThread
    stack: contextlib.AsyncExitStack
    met: Callable[[Asked], None] = lambda asked: None
    commands: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    def end(self) -> None:
        """Have no command run any more, whatever came of the test."""
        for command in self.commands:
            if command.poll() is None:
                command.kill()
                command.communicate()

    def hang_up(self) -> None:
        """The proxy goes away, with all that it connects."""
        self.loop.run(self.stack.aclose())

    @property
    def hosts(self) -> set[str | bytes]:
        """Whom the proxy was asked for."""
        return {one.host for one in self.proxy.asked}

    @property
    def names_beyond(self) -> set[str | bytes]:
        """Those of them that are no onion services: an exit of Tor would look them up, and dial them."""
        return {host for host in self.hosts if not str(host).endswith(".onion")}

    def assert_nothing_elsewhere(self, *allowed: TcpHint) -> None:
        assert self.cell.elsewhere(self.at, *allowed) == []
        assert self.cell.lost == 0


@contextlib.contextmanager
def shut(there: Town, path: Path) -> Iterator[Shut]:
    def target(asked: Asked) -> TcpHint | None:
        made.met(asked)
        return there.names.get(str(asked.host))

    with contextlib.ExitStack() as stack:
        own = stack.enter_context(cell(path))
        loop = LoopThread("proxy")
        stack.callback(loop.close)
        proxy, exit_ = SocksProxy(target), contextlib.AsyncExitStack()
        at = loop.run(exit_.enter_async_context(proxy.listening(own.listening())))
        made = Shut(own, proxy, at, loop, exit_)
        stack.callback(made.hang_up)
        stack.callback(made.end)
        yield made


@dataclass
class Person:
    """Who gives commands in such a network, by a repository of their own."""

    repo: Path
    shut: Shut

    def words(self, *words: str) -> list[str]:
        return self.shut.cell.words(sys.executable, "-m", "commonhold.cli", "--repo", str(self.repo), *words)

    def begin(self, *words: str) -> "subprocess.Popen[bytes]":
        """Give a command."""
        env = {"PATH": os.environ["PATH"], "HOME": str(self.repo.parent), **ENVIRONMENT}
        made = subprocess.Popen(self.words(*words), env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.shut.commands.append(made)
        return made

    def hold(self, *words: str, code: int | None = 0) -> str:
        """Give a command, and wait for its end; all that it says."""
        return ended(self.begin(*words), code)

    @property
    def grid(self) -> Path:
        return self.repo / "grids" / GRID

    def rules(self, anonymous: bool, tcp: str) -> None:
        """Have other rules of dialling, by this network's proxy, and 2-of-3."""
        path = self.grid / "grid.toml"
        kept = path.read_text().partition("[rules]")[0]
        said = f'anonymous = {str(anonymous).lower()}\ntcp = "{tcp}"\ntor = "{self.shut.at}"\ni2p = ""\n'
        path.write_text(f"{kept}[rules]\n{said}\n[keep]\nk = 2\nn = {SERVERS}\n")

    def knows_servers(self) -> None:
        """Ask until all servers are known."""
        until = time.monotonic() + SECONDS
        while self.hold("--json", "servers", "--ask", code=None).count('"purpose": "storage"') < SERVERS:
            assert time.monotonic() < until, self.hold("servers")


def ended(command: "subprocess.Popen[bytes]", code: int | None = 0) -> str:
    out, err = command.communicate(timeout=SECONDS)
    assert code is None or command.returncode == code, (command.args, out, err)
    return (out + err).decode()


@dataclass
class House:
    """A town with a tree that somebody keeps there."""

    town: Town
    tree: Path
    capability: str
    anonymous: Path  # the repository of somebody who has joined without an account, and knows all servers

    def got(self, path: Path) -> None:
        """A tree that somebody got is what was kept."""
        done = subprocess.run(["diff", "--recursive", self.tree, path], capture_output=True, check=False)
        assert done.returncode == 0, done


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    path = tmp_path_factory.mktemp("house")
    tree = path / "tree"
    tree.mkdir()
    (tree / "small").write_text("written once\n")
    (tree / "large").write_bytes(os.urandom(2_500_000))
    with town() as there, shut(there, path / "alice's") as network:
        alice = Person(path / "alice", network)
        alice.hold("init")
        there.hold("--repo", str(alice.repo), "join", there.code("alice", "--quota", "1G"))  # where all is near
        alice.rules(anonymous=False, tcp="tor")
        alice.knows_servers()
        capability = alice.hold("--quiet", "put", str(tree), "/hold/me").splitlines()[-1]
        nobody = Person(path / "nobody", network)
        nobody.hold("init")
        code = there.code("nobody", "--quota", "1G")
        nobody.hold("join", code, "--anonymous", "--tor", str(network.at), "--no-account")
        nobody.knows_servers()
        network.assert_nothing_elsewhere()
        assert network.hosts >= set(there.names)
        yield House(there, tree, capability, nobody.repo)


ASTRAY_BYTES = bytes(map(int, ASTRAY.split(".")))


def nobody(house: House, repo: Path, network: Shut, anonymous: bool = True, tcp: str = "direct") -> Person:
    """Another who has joined without an account. The rules have no way for `tcp:` unless they are others."""
    shutil.copytree(house.anonymous, repo)
    person = Person(repo, network)
    person.rules(anonymous, tcp)
    return person


def test_an_account_by_tor_alone_puts_gets_checks_and_repairs_by_the_proxy(house: House, tmp_path: Path) -> None:
    """What was put in `house`, with no packet elsewhere, is read, damaged, and mended."""
    with shut(house.town, tmp_path / "net") as network:
        shutil.copytree(house.anonymous.parent / "alice", tmp_path / "alice")
        alice = Person(tmp_path / "alice", network)
        alice.rules(anonymous=False, tcp="tor")
        assert "whole" in alice.hold("check", house.capability)
        at = house.town.listening["server1"]
        assert building.damage(house.town.path, Part("server1", (), at.port, at.port)) > 0
        alice.hold("check", house.capability, "--deep", code=16)
        assert "whole" in alice.hold("repair", house.capability)
        assert "whole" in alice.hold("check", house.capability, "--deep")
        alice.hold("get", house.capability, "-o", str(tmp_path / "back"))
        house.got(tmp_path / "back")
        network.assert_nothing_elsewhere()


def test_all_that_an_anonymous_client_does_goes_by_the_proxy(house: House, tmp_path: Path) -> None:
    """With the rules of `hold join --anonymous`, and with stricter ones: no `tcp:` address, not even by the proxy.

    It has no account (D19), so it is told at once that nothing is put.
    """
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(2) as both:
        networks = {tcp: stack.enter_context(shut(house.town, tmp_path / f"net-{tcp}")) for tcp in ("tor", "direct")}
        list(both.map(lambda tcp: whole_session(house, tmp_path / tcp, networks[tcp], tcp), networks))
        for network in networks.values():
            network.assert_nothing_elsewhere()
            assert None not in {one.login for one in network.proxy.asked}
        assert networks["direct"].names_beyond == set()
        assert {"server1.example", ASTRAY_BYTES} <= networks["tor"].hosts  # to be looked up, and dialled, beyond it


def whole_session(house: House, path: Path, network: Shut, tcp: str) -> None:
    path.mkdir()
    person = nobody(house, path / "nobody", network, tcp=tcp)
    person.knows_servers()
    person.hold("get", house.capability, "-o", str(path / "back"))
    house.got(path / "back")
    assert "whole" in person.hold("check", house.capability)
    assert "without an account" in person.hold("put", str(house.tree), "/hold/me", code=None)
    assert "whole" in person.hold("repair", house.capability)  # nothing was to be made anew
    person.hold("doctor", code=None)


def direct_charter(person: Person) -> None:
    """Introducers and blessers have direct addresses, before their onion addresses."""
    path = person.grid / "grid.toml"
    path.write_text(
        path.read_text().replace("addresses = [", f'addresses = ["tcp:charter.example:7", "tcp:{ASTRAY}:7", ')
    )
    shutil.rmtree(person.grid / "cache")  # so introducers have to be asked


def direct_override(person: Person) -> None:
    """The user names a host for every server, but does not say that it may be dialled directly."""
    hints = f"['tcp:override.example:4444', 'tcp:{ASTRAY}:11', 'tcp:127.0.0.1:11']"
    _write_override(person, f"  local:\n    add_hints: {hints}\n")


def copied_override(person: Person) -> None:
    """The user has copied clauses, with other addresses in them."""
    (cache,) = (person.grid / "cache").glob("*.yaml")
    text = cache.read_text().replace(".example:4444", ".copied.example:4444")
    path = person.grid / "override.yaml"
    path.write_text(text)
    path.chmod(0o600)


def direct_cache(person: Person) -> None:
    """Another introducer's cache says that addresses were, and are to be, dialled directly."""
    (cache,) = (person.grid / "cache").glob("*.yaml")
    text = cache.read_text().replace("refused: anonymous mode dials nothing directly", "direct")
    more = f"    direct: true\n    hints: ['tcp:cache.example:4444', 'tcp:{ASTRAY}:12']\n"
    text = text.replace("\n  local:\n", f"\n  local:\n{more}")
    other = cache.with_name(f"{_any_pin(person)}.yaml")
    other.write_text(text)
    other.chmod(0o600)


def _any_pin(person: Person) -> str:
    """A key that may have a cache, and has none."""
    text = (person.grid / "grid.toml").read_text()
    return text.partition('pin = "')[2].partition('"')[0]


def _write_override(person: Person, clause: str) -> None:
    (cache,) = (person.grid / "cache").glob("*.yaml")
    pins = [line[:-1] for line in cache.read_text().splitlines() if line.startswith("p") and line.endswith(":")]
    assert len(pins) == SERVERS
    path = person.grid / "override.yaml"
    path.write_text("version: 1\n" + "".join(f"{pin}:\n{clause}" for pin in pins))
    path.chmod(0o600)


def nothing_more(person: Person) -> None:
    """Announcements have direct addresses and names, the environment has proxies, a server answers by a redirect."""


TEMPTATIONS = [nothing_more, direct_charter, direct_override, copied_override, direct_cache]


@contextlib.contextmanager
def redirecting(there: Town, name: str) -> Iterator[list[str]]:
    """A server in the place of one of the town's, with its key, that sends everybody elsewhere; what it was asked."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        where = (f"http://{ASTRAY}/", "http://redirect.example/", f"//{ASTRAY}:8080/")[len(asked) % 3]
        headers = {"Location": where, "Refresh": f"0; url={where}"}
        return web.Response(status=(301, 307, 302)[len(asked) % 3], headers=headers)

    app, stop = web.Application(), asyncio.Event()
    app.router.add_route("*", "/{path:.*}", answer)
    there.end(name)
    loop, key = LoopThread(name), places.home(there.path / name).key()
    sock = listen.bind("127.0.0.1", there.listening[name].port)

    async def begin() -> asyncio.Task[None]:
        return asyncio.create_task(listen.serve(app, key, [sock], Visitors(), stop))

    async def end() -> None:
        stop.set()
        await serving

    serving = loop.run(begin())
    try:
        yield asked
    finally:
        loop.run(end())
        loop.close()
        there.begin(name)


def test_whatever_tempts_an_anonymous_client_it_sends_nothing_elsewhere(house: House, tmp_path: Path) -> None:
    """One network each, so it is known who sent what; each gets the tree, though a server sends it elsewhere."""
    with contextlib.ExitStack() as stack:
        asked = stack.enter_context(redirecting(house.town, "server2"))
        tempted: dict[str, Person] = {}
        commands: dict[str, subprocess.Popen[bytes]] = {}
        for tempt in TEMPTATIONS:
            for tcp in ("direct", "tor"):
                name = f"{tempt.__name__}-{tcp}"
                network = stack.enter_context(shut(house.town, tmp_path / f"net-{name}"))
                person = tempted[name] = nobody(house, tmp_path / name, network, tcp=tcp)
                tempt(person)
                commands[name] = person.begin("get", house.capability, "-o", str(tmp_path / f"back-{name}"))
        said = {name: ended(command, None) for name, command in commands.items()}
        for name, person in tempted.items():
            assert commands[name].returncode == 0, (name, said[name])
            house.got(tmp_path / f"back-{name}")
            person.shut.assert_nothing_elsewhere()
            if name.endswith("direct"):
                assert person.shut.names_beyond == set()
        assert asked


def test_when_the_proxy_goes_away_nothing_else_is_tried(house: House, tmp_path: Path) -> None:
    with shut(house.town, tmp_path / "net") as network:
        person = nobody(house, tmp_path / "nobody", network)
        reached = threading.Event()
        network.met = lambda asked: reached.set()
        getting = person.begin("get", house.capability, "-o", str(tmp_path / "back"))
        assert reached.wait(SECONDS)
        network.hang_up()
        ended(getting, None)
        assert getting.returncode not in (0, None)
        person.hold("get", house.capability, "-o", str(tmp_path / "back"), code=None)  # nor when it is not there at all
        assert not (tmp_path / "back").exists()
        network.assert_nothing_elsewhere()


def test_the_one_server_that_an_override_names_is_dialled_directly_and_no_other(house: House, tmp_path: Path) -> None:
    """D11: its address is allowed, and nothing else is; that server is not asked for at the proxy."""
    with shut(house.town, tmp_path / "net") as network:
        person = nobody(house, tmp_path / "nobody", network)
        near, seen = network.loop.run(
            network.stack.enter_async_context(relay(house.town.listening["server1"], network.cell.listening(HERE)))
        )
        assert near.host == HERE
        path = person.grid / "override.yaml"
        path.write_text(f"{house.town.pins['server1']}:\n  local:\n    hints: ['{near}']\n    direct: true\n")
        path.chmod(0o600)
        person.hold("get", house.capability, "-o", str(tmp_path / "back"))
        house.got(tmp_path / "back")
        assert "whole" in person.hold("check", house.capability)
        assert seen and network.cell.elsewhere(network.at)
        network.assert_nothing_elsewhere(near)
        names = {at: host for host, at in house.town.names.items()}
        assert names[house.town.listening["server1"]] not in network.hosts
        assert names[house.town.listening["server3"]] in network.hosts


def test_a_client_that_is_not_anonymous_is_counted(house: House, tmp_path: Path) -> None:
    """So the tests above could fail: what tempted their clients is looked up and dialled by this one."""
    expected = {nothing_more: b"server1", direct_charter: b"charter", direct_override: b"override"}
    with contextlib.ExitStack() as stack:
        commands, dialled = [], set()
        for tempt in expected:
            network = stack.enter_context(shut(house.town, tmp_path / f"net-{tempt.__name__}"))
            person = nobody(house, tmp_path / tempt.__name__, network, anonymous=False)
            tempt(person)
            back = str(tmp_path / f"back-{tempt.__name__}")
            commands.append((network, expected[tempt], person.begin("get", house.capability, "-o", back)))
        for network, name, command in commands:
            ended(command, None)
            sent = network.cell.elsewhere(network.at)
            assert any(one.target == (NAME_SERVER, DNS) and name in one.data for one in sent)
            dialled |= {one.target for one in sent if one.target[0] == ASTRAY}
            with pytest.raises(AssertionError):
                network.assert_nothing_elsewhere()
        assert {(ASTRAY, 4444), (ASTRAY, 11)} <= dialled
