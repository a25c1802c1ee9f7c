"""Introducers as processes: they find each other, tell a subscriber, and outlive kill -9."""

from pathlib import Path

import pytest

from commonhold.formats.blessing import STORAGE
from commonhold.formats.gossip import Subscription
from commonhold.formats.statement import Kind
from tests.gossip.statements import DAY, GRID, announced, key
from tests.introducer.processes import Introducer, running
from tests.mesh.meshes import meshes
from tests.transport.ends import run

ASKS = (Subscription(GRID, STORAGE, frozenset((key("blesser"),))),)

pytestmark = pytest.mark.slow


def test_three_introducers_and_a_subscriber_agree(tmp_path: Path) -> None:
    """B1, B9, B25."""
    first = Introducer(tmp_path / "i0", [str(GRID)])
    others = [Introducer(tmp_path / f"i{number}", [str(GRID)], [first.address]) for number in (1, 2)]

    async def work() -> None:
        async with meshes() as here:
            now = int(here.time.now())
            server = here.subscriber("server", [others[0].address])
            client = here.subscriber("client", [others[1].address], ASKS)
            data = announced("server", now, until=now + DAY)
            server.mesh.publish(Kind.ANNOUNCEMENT, data)
            found = here.reader.read(Kind.ANNOUNCEMENT, data).id
            await here.until(lambda: client.has(found), 30)
            await here.until(lambda: len(client.mesh.machine) == 4, 30)
            assert [record.data for record, _ in client.learned if record.id == found] == [data]

    with running(first, *others):
        run(work(), 60)
