"""In anonymous mode nothing is dialled directly, whatever introducers announce, and nothing links two connections."""

import base64
import hashlib

from commonhold.errors import Kind
from commonhold.formats import hint, statement
from commonhold.formats.address import Address
from commonhold.formats.blessing import INTRODUCER, STORAGE
from commonhold.formats.gossip import Subscription
from commonhold.formats.hint import Hint
from commonhold.gossip.values import Contact
from commonhold.mesh.reaching import Reaching
from commonhold.transport import listen
from commonhold.transport.rules import Exemption, Rules, Way
from tests.fakes.socks import Asked, SocksProxy
from tests.gossip.statements import DAY, GRID, announced, key, pin
from tests.mesh.meshes import Meshes, Node, meshes
from tests.transport.ends import run

ASKS = (Subscription(GRID, STORAGE, frozenset((key("blesser"),))),)


def onion(name: str) -> str:
    """An onion service's name: of a key that is none, but its checksum is right."""
    raw = hashlib.sha256(name.encode()).digest()
    check = hashlib.sha3_256(b".onion checksum" + raw + b"\x03").digest()[:2]
    return base64.b32encode(raw + check + b"\x03").decode().lower() + ".onion"


def _tempting(here: Meshes, node: Node, decoy: Hint) -> None:
    """Have an introducer announce direct addresses before its onion service."""
    addresses = (
        str(decoy),
        "tcp:attic.example:1",
        "tcp:[::1]:1",
        "unix:/run/x",
        f"tor:{onion(node.name)}:80",
    )
    now = int(here.clock.now())
    node.mesh.publish(
        statement.Kind.ANNOUNCEMENT, announced(node.name, now + 1, (), INTRODUCER, until=now + DAY, addresses=addresses)
    )


def test_nothing_is_dialled_directly_though_announced_addresses_tempt() -> None:
    async def work() -> None:
        decoy = listen.bind("127.0.0.1", 0)
        decoy.setblocking(False)
        async with meshes(pace=25.0) as here:
            nodes = [here.introducer("i0", rules=Rules(tcp=Way.OFF))]
            only = Rules(tcp=Way.OFF, exemptions=frozenset((Exemption(pin("i0"), nodes[0].hint),)))
            nodes += [here.introducer(f"i{number}", [nodes[0].address], rules=only) for number in (1, 2)]
            for node in nodes:
                _tempting(here, node, listen.address(decoy))
            ports = {onion(node.name): node.hint for node in nodes}
            proxy = SocksProxy(lambda asked: ports.get(str(asked.host)))
            async with proxy.listening() as where:
                rules = Rules(anonymous=True, tor=where)
                configured = [Address(pin("i0"), (listen.address(decoy), hint.parse(f"tor:{onion('i0')}:80")))]
                client = here.subscriber("client", configured, ASKS, rules)
                data = announced("server", until=int(here.clock.now()) + DAY)
                nodes[2].mesh.publish(statement.Kind.ANNOUNCEMENT, data)
                found = here.reader.read(statement.Kind.ANNOUNCEMENT, data).id
                await here.until(lambda: client.has(found) and len(client.mesh.shown()) == 3)
                assert {str(one.hint) for one in client.mesh.neighbours()} == {f"tor:{name}:80" for name in ports}
                await here.stop(client)
            assert {asked.host for asked in proxy.asked} == set(ports)
            logins = [asked.login for asked in proxy.asked]
            assert None not in logins and len(set(logins)) == len(logins) >= 3
        try:
            decoy.accept()
            raise AssertionError("somebody came directly")
        except BlockingIOError:
            decoy.close()

    run(work())


def test_an_introducer_with_direct_addresses_alone_is_not_reached() -> None:
    async def work() -> None:
        async with meshes(pace=100.0) as here:
            first = here.introducer("i0")
            asked: list[Asked] = []
            proxy = SocksProxy(lambda one: asked.append(one))
            async with proxy.listening() as where:
                client = here.subscriber("client", [first.address], ASKS, Rules(anonymous=True, tor=where))
                await here.clock.sleep(60)
                assert client.mesh.failures()[pin("i0")].kind is Kind.ANONYMITY
                assert client.mesh.neighbours() == [] and first.mesh.neighbours() == [] and asked == []
                await here.stop(client)

    run(work())


def test_connections_to_two_introducers_show_them_nothing_that_is_the_same() -> None:
    async def work() -> None:
        async with meshes(pace=25.0) as here:
            first = here.introducer("i0")
            second = here.introducer("i1", [first.address])
            await here.until(lambda: len(first.mesh.machine) == 2 == len(second.mesh.machine))
            client = here.subscriber("client", [first.address], ASKS)
            await here.until(lambda: len(client.mesh.shown()) == 2)
            pins = [one.server for node in (first, second) for one in node.mesh.neighbours() if one.hint is None]
            assert len(set(pins)) == len(pins) and pin("client") not in pins

    run(work())


def test_announced_addresses_of_this_machine_are_not_dialled_but_those_by_a_persons_word_are() -> None:
    own = Address(pin("a"), (hint.parse("tcp:127.0.0.1:1"), hint.parse("tcp:attic.example:1")))
    reaching = Reaching([own, Address(pin("a"), (hint.parse("unix:/run/a"),))])
    texts = ("tcp:127.0.0.1:2", "unix:/run/b", "tcp:localhost:1", "nonsense", "tcp:[::1]:5", "tcp:attic.example:1")
    announced_by_a = reaching.hints(_contact("a", (*texts, "tcp:10.0.0.1:4")))
    assert [str(one) for one in announced_by_a] == [
        "tcp:127.0.0.1:1", "tcp:attic.example:1", "unix:/run/a", "tcp:10.0.0.1:4"
    ]  # fmt: skip
    assert [str(one) for one in reaching.hints(_contact("b", texts))] == ["tcp:attic.example:1"]


def _contact(name: str, addresses: tuple[str, ...]) -> Contact:
    return Contact(pin(name), addresses)
