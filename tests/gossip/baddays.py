"""Bad days in the world: each parts, disturbs or floods a mesh, and tells how long after it all agree again."""

from collections.abc import Callable
from typing import NamedTuple

from commonhold.formats.blessing import STORAGE
from commonhold.formats.gossip import Id, Subscription
from commonhold.formats.statement import Kind
from commonhold.gossip.values import Bounds, Contradicted
from tests.gossip.liars import Talker, forged, hide, offer_of
from tests.gossip.scenarios import agree, knows_all, mesh, publish, time_to_all
from tests.gossip.statements import DAY, GRID, announced, key
from tests.gossip.world import Host, World

ASKS = (Subscription(GRID, STORAGE, frozenset((key("blesser"),))),)


class Day(NamedTuple):
    """What a bad day was, how long after it (or, of spam, during it) all was well, and what else there is to say."""

    what: str
    converged: float
    remark: str


def _server(world: World, name: str, size: int) -> Host:
    return world.subscriber(name, known=[f"i{world.rng.randrange(size)}" for _ in range(6)])


def _announce(world: World, host: Host, sequence: int) -> Id:
    return publish(world, host, announced(host.name, sequence, until=int(world.now) + 7 * DAY))


def partition(seed: int, size: int) -> Day:
    """Two halves for twenty minutes, with news on both sides."""
    world = World(seed)
    mesh(world, size)
    sides = {host.name: number % 2 for number, host in enumerate(world.introducers())}
    world.part(lambda host: sides[host.name])
    found: list[Id] = []
    for number, host in enumerate(world.introducers()[:10]):
        world.run(120)
        found.append(publish(world, host, announced(f"s{number}", until=int(world.now) + 7 * DAY)))
    assert not agree(world)
    world.part(lambda host: 0)
    took = world.run_until(lambda: agree(world), 3600, 1.0)
    assert all(host.has(one) for host in world.introducers() for one in found)
    return Day("two halves for 20 minutes", took, "each half announced 5 servers meanwhile")


def churn(seed: int, size: int) -> Day:
    """Every three seconds for ten minutes one leaves and another comes."""
    world = World(seed)
    mesh(world, size)
    server = _server(world, "server", size)
    world.run(5)
    sequence = 0
    for number in range(200):
        world.run(3)
        world.stop(world.rng.choice(world.introducers()))
        known = world.rng.sample(world.introducers(), 3)
        world.introducer(f"new{number}", known=[host.name for host in known])
        if number % 20 == 0:
            sequence += 1
            found = _announce(world, server, sequence)
    took = world.run_until(lambda: agree(world) and all(host.has(found) for host in world.introducers()), 3600, 1.0)
    return Day("200 leave and 200 come in 10 minutes", took, f"of {size} at a time")


def lost(seed: int, size: int) -> Day:
    """In each second one connection in twenty breaks."""
    world = World(seed)
    mesh(world, size)
    server = _server(world, "server", size)
    world.run(5)
    for number in range(120):
        world.run(1)
        for host in world.introducers():
            if host.wires and world.rng.random() < 0.4:
                world.cut(*world.rng.choice(list(host.wires.values())))
        if number % 10 == 0:
            found = _announce(world, server, number)
    took = world.run_until(lambda: agree(world) and all(host.has(found) for host in world.introducers()), 3600, 1.0)
    return Day("a connection in twenty breaks in each second", took, "for 2 minutes")


def skewed(seed: int, size: int) -> Day:
    """Clocks that are off by up to 200 seconds, and statements that end."""
    world = World(seed)
    mesh(world, size, skew=200)
    for number, host in enumerate(world.introducers()[:20]):
        publish(world, host, announced(f"short{number}", until=int(world.now) + 600))
    world.run(60)
    assert knows_all(world, size + 20)
    world.run(840 - 200)
    took = world.run_until(lambda: agree(world) and not knows_all(world, size + 1), 3600, 1.0)
    return Day(
        "clocks off by up to 200 s, 20 statements end",
        took,
        "from the first clock that has them end; the last is 400 s later",
    )


def strangers(seed: int, size: int) -> Day:
    """Fresh keys, hundreds in a second, more than there is room for."""
    world = World(seed, Bounds(room=(size + 400) * 1600, newcomers=200))
    mesh(world, size)
    server = _server(world, "server", size)
    world.run(5)
    first = time_to_all(world, _announce(world, server, 1))
    made = 0

    def fresh(_: int) -> dict[Id, bytes]:
        nonlocal made
        made += 50
        until = int(world.now) + 7 * DAY
        news = [announced(f"spam{seed}-{number}", 1, (), until=until) for number in range(made - 50, made)]
        return {found: data for one in news for found, data in offer_of(world.reader, one).items()}

    for number in range(4):
        world.add(f"spammer{number}", Talker(world.now, [f"i{number}", f"i{number + 4}"], fresh, 1.0))
    world.run(40)
    worst = max(time_to_all(world, _announce(world, server, 2 + number)) for number in range(3))
    world.run(20)
    late = _server(world, "late", size)
    world.run(5)
    newcomer = time_to_all(world, _announce(world, late, 1))
    kept = max(len(host.gossip) for host in world.introducers())
    assert all(host.gossip.weight <= world.bounds.room for host in world.introducers())
    assert all(_of(host, name) for host in world.introducers() for name in ("server", "late"))
    return Day("spam by fresh keys", max(worst, newcomer), f"{made} of them; {first:.1f} s before; at most {kept} kept")


def _of(host: Host, name: str) -> bool:
    return any(record.key == key(name) for record in host.gossip.records())


def sequences(seed: int, size: int) -> Day:
    """One key that says something new ten times a second."""
    world = World(seed)
    mesh(world, size)
    number = 0

    def next_one(_: int) -> dict[Id, bytes]:
        nonlocal number
        number += 1
        return offer_of(world.reader, announced("loud", number, (), until=int(world.now) + 7 * DAY))

    loud = Talker(world.now, [f"i{number}" for number in range(8)], next_one, 0.1)
    world.run(30)
    before = world.messages.total()
    host = world.add("loud", loud)
    world.run(60)
    spent = world.messages.total() - before
    world.stop(host)
    took = world.run_until(lambda: agree(world), 3600, 1.0)
    return Day("spam by one key", took, f"{number} sequences in a minute, {spent // number} messages for each")


def _always(offers: dict[Id, bytes]) -> Callable[[int], dict[Id, bytes]]:
    return lambda _: offers


def lies(seed: int, size: int) -> Day:
    """Wrong signatures, old sequences, and one key that says two things at once."""
    world = World(seed)
    mesh(world, size)
    until = int(world.now) + 7 * DAY
    server = _server(world, "server", size)
    world.run(5)
    old = announced("server", 1, until=until)
    wrong = Talker(world.now, ["i1", "i2", "i3"], lambda _: forged(world.reader, old), 1.0)
    stale = Talker(world.now, ["i1", "i4", "i5"], lambda _: offer_of(world.reader, old), 1.0)
    world.add("wrong", wrong)
    world.add("stale", stale)
    world.run(10)
    found = _announce(world, server, 5)
    sides = [offer_of(world.reader, announced("two-faced", 7, (), until=until, label=label)) for label in "ab"]
    for number, side in enumerate(sides):
        world.add(f"face{number}", Talker(world.now, [f"i{size - 1 - number}"], _always(side), 1.0))
    best = max(one for side in sides for one in side)
    took = world.run_until(
        lambda: agree(world) and all(host.has(found) and host.has(best) for host in world.introducers()), 3600, 0.1
    )
    noticed = sum(any(isinstance(effect, Contradicted) for effect in host.effects) for host in world.introducers())
    assert wrong.hung_up >= 3 and not stale.hung_up
    assert noticed
    return Day("wrong signatures, old and double sequences", took, f"the double one noticed by {noticed} of {size}")


def hiding(seed: int, size: int) -> Day:
    """An introducer that keeps one server from whoever asks it."""
    world = World(seed)
    mesh(world, size)
    liar = world.hosts[next(iter(world.hosts))]
    server = _server(world, "server", size)
    others = [_server(world, f"s{number}", size) for number in range(4)]
    world.run(5)
    for number, host in enumerate((server, *others)):
        found = _announce(world, host, 1)
        time_to_all(world, found)
        if not number:
            hidden = world.reader.read(Kind.ANNOUNCEMENT, announced("server", until=int(world.now) + 7 * DAY)).slot
    hide(liar.gossip, hidden)
    client = world.subscriber("client", known=("i0",), asks=ASKS)
    world.run(60)
    assert len([record for record in client.gossip.matching() if record.purpose == STORAGE]) == 5
    took = world.run_until(lambda: bool(client.gossip.findings(world.now)), 3600, 1.0)
    found_out = {finding.server for finding in client.gossip.findings(world.now)}
    assert found_out == {liar.pin}
    return Day("an introducer hides a server", 60 + took, "until a client has the evidence, with 120 s of grace")


def everything(seed: int, size: int) -> Day:
    """Clocks that differ, two halves for five minutes, one leaves and one comes every three seconds, breaking
    connections, spam by fresh keys for a minute, wrong signatures, old sequences: all at once."""
    world = World(seed, Bounds(newcomers=size + 300, newcomer_seconds=1.0))
    mesh(world, size, skew=100)
    until = int(world.now) + 7 * DAY
    servers = [_server(world, f"s{number}", size) for number in range(10)]
    world.run(5)
    old = announced("s0", 1, until=until)
    world.add("wrong", Talker(world.now, ["i1", "i2", "i3"], lambda _: forged(world.reader, old), 1.0))
    world.add("stale", Talker(world.now, ["i1", "i4", "i5"], lambda _: offer_of(world.reader, old), 1.0))

    def fresh(turn: int) -> dict[Id, bytes]:
        news = [announced(f"spam{seed}-{turn}-{number}", 1, (), until=until) for number in range(20 * (turn <= 60))]
        return {found: data for one in news for found, data in offer_of(world.reader, one).items()}

    world.add("spammer", Talker(world.now, ["i6", "i7"], fresh, 1.0))
    side = {host.name: number % 2 for number, host in enumerate(world.hosts.values())}
    world.part(lambda host: side.setdefault(host.name, len(host.name) % 2))
    found: dict[str, Id] = {}
    for number in range(100):
        up = world.introducers()
        world.stop(world.rng.choice(up))
        near = world.rng.choice(up)
        side[f"new{number}"] = near.side
        world.introducer(f"new{number}", known=[near.name], skew=world.rng.uniform(-100, 100)).side = near.side
        for host in world.rng.sample(world.introducers(), size // 20):
            if host.wires:
                world.cut(*world.rng.choice(list(host.wires.values())))
        if number % 10 == 0:
            for server in servers:
                found[server.name] = _announce(world, server, 2 + number)
        world.run(3)
    parted = sum(any(not host.has(one) for one in found.values()) for host in world.introducers())
    assert parted
    world.part(lambda host: 0)
    took = world.run_until(
        lambda: all(host.has(one) for host in world.introducers() for one in found.values()), 3600, 1.0
    )
    return Day(
        "halves, churn, breaks, clocks, spam, lies at once",
        took,
        f"{parted} lacked something when the halves met again",
    )


DAYS: tuple[Callable[[int, int], Day], ...] = (partition, churn, lost, skewed, strangers, sequences, lies, hiding)
