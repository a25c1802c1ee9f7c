"""Meshes of real connections: what is announced anywhere is known everywhere, and who does wrong is left."""

from commonhold.formats.blessing import STORAGE
from commonhold.formats.gossip import Subscription
from commonhold.formats.statement import Kind
from tests.gossip.statements import DAY, GRID, announced, key, pin
from tests.mesh.meshes import meshes
from tests.transport.ends import run

ASKS = (Subscription(GRID, STORAGE, frozenset((key("blesser"),))),)


def test_one_address_leads_to_all() -> None:
    """B14."""

    async def work() -> None:
        async with meshes(pace=10.0) as all_of_them:
            first = all_of_them.introducer("i0")
            others = [all_of_them.introducer(f"i{number}", [first.address]) for number in range(1, 5)]
            every = [first, *others]
            client = all_of_them.subscriber("client", [others[3].address], ASKS)
            await all_of_them.until(lambda: all(len(one.mesh.machine) == 5 for one in every))
            now = int(all_of_them.time.now())
            client.mesh.publish(Kind.ANNOUNCEMENT, announced("client", now, until=now + DAY))
            data = announced("server", now, until=now + DAY)
            others[0].mesh.publish(Kind.ANNOUNCEMENT, data)
            found = all_of_them.reader.read(Kind.ANNOUNCEMENT, data).id
            await all_of_them.until(lambda: client.has(found))
            await all_of_them.until(lambda: all(len(one.mesh.machine) == 7 for one in every))
            await all_of_them.until(lambda: len(client.mesh.neighbours()) == 3)
            record, introducer = next(one for one in client.learned if one[0].id == found)
            assert record.data == data and introducer in {pin(f"i{number}") for number in range(5)}

    run(work())
