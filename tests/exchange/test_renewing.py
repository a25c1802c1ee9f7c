"""Leases of kept sets, by a clock that jumps: what an earlier set has sent lasts as long as a later one that counts on
it."""

from collections.abc import Iterable
from pathlib import Path

from commonhold.erasure.values import PackSeed
from commonhold.exchange.book import Book
from commonhold.exchange.checking import look
from commonhold.exchange.keeping import Keeping
from commonhold.exchange.packing import LONGER
from commonhold.exchange.tending import LEASE
from commonhold.formats.multihash import Multihash
from commonhold.storage.keeping import GRACE
from tests.exchange.grids import DAY, Client, Grid, Server, now
from tests.exchange.test_keeping import SECRET, blocks, nothing_told, on_grid, read, wanted

FIRST, SECOND = b"1" * 32, b"2" * 32


class Calendar:
    """What the client and the servers' leases go by; entries at doors go by the real time."""

    days = 0

    def __call__(self) -> int:
        return now() + self.days * DAY

    def rule(self, servers: Iterable[Server]) -> None:
        for server in servers:
            server.keeper._now = self

    def sweep(self, servers: Iterable[Server]) -> None:
        for server in servers:
            while server.keeper.sweep():
                pass


async def keep(
    there: Grid, client: Client, book: Book, have: dict[Multihash, bytes], name: str, seed: bytes, calendar: Calendar
) -> None:
    keeping = Keeping(client, book, there.tools, SECRET, calendar)
    await keeping.keep(wanted(have, name, seed), have.__getitem__, nothing_told)


async def all_whole(there: Grid, client: Client, book: Book, name: str) -> None:
    servers = await client.all()
    for one in book.packs(name):
        assert (await look(one, servers, deep=True, tools=there.tools)).whole


def test_what_a_later_set_shares_with_an_earlier_one_is_there_when_the_earlier_leases_have_ended(
    tmp_path: Path,
) -> None:
    first, more = blocks(1, *[50_000] * 4), blocks(2, 1000)

    async def work(there: Grid, client: Client, book: Book) -> None:
        calendar = Calendar()
        calendar.rule(there.servers)
        await keep(there, client, book, first, "first", FIRST, calendar)
        calendar.days = 60
        await keep(there, client, book, {**first, **more}, "second", SECOND, calendar)
        calendar.days = (LEASE + LONGER + GRACE) // DAY + 1
        calendar.sweep(there.servers)
        await all_whole(there, client, book, "second")
        await read(there, there.client("bob"), {**first, **more}, SECOND)
        calendar.days += 60
        calendar.sweep(there.servers)
        assert not any(server.files for server in there.servers)

    on_grid(tmp_path, 5, work)


def test_a_share_that_is_gone_is_made_again_when_a_later_set_counts_on_it(tmp_path: Path) -> None:
    first, more = blocks(3, *[50_000] * 4), blocks(4, 1000)

    async def work(there: Grid, client: Client, book: Book) -> None:
        await keep(there, client, book, first, "first", FIRST, Calendar())
        (packed,) = book.packs("first")
        for pin in list(client.known)[:2]:
            await (await client.open(pin)).drop([PackSeed(packed.seed).index(pin)])
        await keep(there, client, book, {**first, **more}, "second", SECOND, Calendar())
        await all_whole(there, client, book, "second")

    on_grid(tmp_path, 5, work)


def test_a_pack_that_is_lost_is_sent_again_when_a_later_set_counts_on_it(tmp_path: Path) -> None:
    first, more = blocks(5, *[50_000] * 4), blocks(6, 1000)

    async def work(there: Grid, client: Client, book: Book) -> None:
        await keep(there, client, book, first, "first", FIRST, Calendar())
        (packed,) = book.packs("first")
        for pin in client.known:
            await (await client.open(pin)).drop([PackSeed(packed.seed).index(pin)])
        await keep(there, client, book, {**first, **more}, "second", SECOND, Calendar())
        await all_whole(there, client, book, "second")
        await read(there, there.client("bob"), {**first, **more}, SECOND)

    on_grid(tmp_path, 5, work)


def test_many_packs_are_renewed_in_one_call_per_server(tmp_path: Path) -> None:
    have: dict[Multihash, bytes] = {}

    async def work(there: Grid, client: Client, book: Book) -> None:
        for number in range(6):
            some = blocks(10 + number, 1000)
            await keep(there, client, book, some, f"set {number}", bytes([number]) * 32, Calendar())
            have.update(some)
        calls: list[int] = []
        for server in there.servers:
            renew = server.keeper.renew

            def counted(account, indexes, until, renew=renew):  # type: ignore[no-untyped-def]
                calls.append(len(indexes))
                return renew(account, indexes, until)

            server.keeper.renew = counted  # type: ignore[method-assign]
        await keep(there, client, book, have, "all", FIRST, Calendar())
        assert calls == [6] * 5

    on_grid(tmp_path, 5, work)
