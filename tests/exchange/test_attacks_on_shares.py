"""What accounts of one storage server try with each other's shares and with their quotas, over real connections.

REQUIREMENTS B26. docs/spec/storage.md.
"""

import asyncio
from pathlib import Path

from commonhold.errors import Kind
from commonhold.formats import storagewords
from tests.exchange.attackers import ALICE, LATER, MALLORY, credential, index_of, line, on_grid
from tests.exchange.grids import DAY, Grid, now

INDEX = index_of("a share")
DATA = b"alice's bytes" * 100


def test_uploads_over_two_connections_at_once_stay_within_the_quota(tmp_path: Path) -> None:
    """B26: what is promised counts, not only what has come."""

    async def work(there: Grid) -> None:
        (server,) = there.servers
        small = credential(server.pin, ALICE, quota=1000)
        async with line(server) as one, line(server) as two:
            facets = [(each, await each.facet(ALICE, small)) for each in (one, two)]
            body = storagewords.begin(300, LATER)
            answers = await asyncio.gather(
                *(
                    facets[n % 2][0].ask("POST", f"{facets[n % 2][1]}/uploads/{index_of(str(n))}", body)
                    for n in range(8)
                )
            )
            refused = [storagewords.decode_failure(said).kind for status, said in answers if status != 200]
            assert refused == [Kind.QUOTA] * 5
            use = storagewords.decode_use(await two.done("GET", f"{facets[1][1]}/account"))
            assert (use.quota, use.used) == (1000, 900)

    on_grid(tmp_path, 1, work)


def test_what_another_account_keeps_cannot_be_dropped_renewed_written_or_finished(tmp_path: Path) -> None:
    """B26."""

    async def work(there: Grid) -> None:
        (server,) = there.servers
        half = index_of("half")
        async with line(server) as alice, line(server) as mallory:
            facet, theirs = await alice.facet(ALICE), await mallory.facet(MALLORY)
            await alice.store(facet, INDEX, DATA)
            await alice.done("POST", f"{facet}/uploads/{half}", storagewords.begin(10, LATER))
            await alice.done("PUT", f"{facet}/uploads/{half}?at=0", b"12345")
            listed = await alice.done("POST", f"{facet}/list", storagewords.listing(b"", 9))
            both = storagewords.indexes([INDEX, half])
            await mallory.done("POST", f"{theirs}/drop", both)
            renewed = await mallory.done(
                "POST", f"{theirs}/renew", storagewords.indexes([INDEX, half], now() + 5 * DAY)
            )
            assert storagewords.decode_sizes(renewed, 2) == (0, 0)
            for index, at in ((INDEX, 0), (half, 5)):
                finish = storagewords.finish(bytes(32))
                kind, _ = await mallory.refused("PUT", f"{theirs}/uploads/{index}?at={at}", b"evil!")
                assert kind is Kind.NOT_FOUND
                kind, _ = await mallory.refused("POST", f"{theirs}/uploads/{index}/finish", finish)
                assert kind is Kind.NOT_FOUND
            assert await mallory.done("POST", f"{theirs}/list", storagewords.listing(b"", 9)) == storagewords.listed([])
            assert await alice.done("POST", f"{facet}/list", storagewords.listing(b"", 9)) == listed
            assert await alice.read(INDEX) == DATA
            here = await alice.done("POST", f"{facet}/uploads/{half}", storagewords.begin(10, LATER))
            assert storagewords.decode_received(here, 10) == 5

    on_grid(tmp_path, 1, work)


def test_a_share_under_an_index_that_another_knows_is_not_hidden_or_overwritten_by_theirs(tmp_path: Path) -> None:
    """B26: each account has its own copy there, and all can be read."""

    async def work(there: Grid) -> None:
        (server,) = there.servers
        async with line(server) as alice, line(server) as mallory:
            theirs = await mallory.facet(MALLORY)  # who was there before
            facet = await alice.facet(ALICE)
            await alice.store(facet, INDEX, DATA)
            await mallory.store(theirs, INDEX, b"evil")
            assert sorted([await alice.read(INDEX, copy) for copy in range(2)]) == sorted([DATA, b"evil"])
            await mallory.done("POST", f"{theirs}/drop", storagewords.indexes([INDEX]))
            assert await alice.read(INDEX) == DATA

    on_grid(tmp_path, 1, work)
