"""Sets kept on real servers over real connections, and read back."""

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import pytest

from commonhold.authority import facets
from commonhold.authority.blessed import Verdict
from commonhold.erasure.values import DEFAULT, Shape
from commonhold.errors import HoldError, Kind
from commonhold.exchange.badge import Badge
from commonhold.exchange.book import Book
from commonhold.exchange.checking import Health, look, mend, packs_of
from commonhold.exchange.finding import SetReader, find_inventory
from commonhold.exchange.keeping import Keeping, Wanted
from commonhold.exchange.packing import NotKept, Servers
from commonhold.exchange.server import StorageServer
from commonhold.formats import multihash
from commonhold.formats.multihash import Multihash
from commonhold.formats.pack import Entry
from commonhold.formats.pin import SpkiPin
from tests.exchange.grids import Client, Grid, grid, now

SEED = b"s" * 32
SECRET = b"t" * 32


def blocks(seed: int, *sizes: int) -> dict[Multihash, bytes]:
    """Random blocks of these sizes."""
    draw = random.Random(seed)
    return {multihash.sha2_256(data): data for data in (draw.randbytes(size) for size in sizes)}


def wanted(have: dict[Multihash, bytes], name: str = "tree", seed: bytes = SEED, shape: Shape = DEFAULT) -> Wanted:
    return Wanted(name, seed, shape, [Entry(key, len(data)) for key, data in have.items()])


def nothing_told(_sent: int, _total: int) -> None:
    pass


async def kept(there: Grid, client: Client, book: Book, have: dict[Multihash, bytes], **other: object) -> None:
    keeping = Keeping(client, book, there.tools, SECRET, now)
    await keeping.keep(wanted(have, **other), have.__getitem__, nothing_told)  # type: ignore[arg-type]


async def read(there: Grid, client: Client, have: dict[Multihash, bytes], seed: bytes = SEED) -> None:
    """All of it, as it was."""
    servers = await client.all()
    found = await find_inventory(seed, servers, there.tools)
    reader = SetReader(found, servers, there.tools)
    got = await reader.read(list(have))
    assert {key: bytes(got[key]) for key in have} == have


def on_grid(path: Path, count: int, work: Callable[[Grid, Client, Book], Awaitable[None]]) -> None:
    """Run something on a grid of so many servers."""

    async def run() -> None:
        async with grid(path, count) as there:
            client, book = there.client(), Book(path / "kept.sqlite")
            try:
                await work(there, client, book)
            finally:
                await client.close()
                book.close()

    asyncio.run(run())


def test_a_set_is_kept_and_read_back_by_another_client_who_knows_its_seed_alone(tmp_path: Path) -> None:
    have = blocks(1, 1 << 20, 5, 70_000, 2 << 20, 0)

    async def work(there: Grid, client: Client, book: Book) -> None:
        await kept(there, client, book, have)
        other = there.client("bob")
        await read(there, other, have)
        await other.close()

    on_grid(tmp_path, 5, work)


def test_what_goes_to_each_server_is_told(tmp_path: Path) -> None:
    have = blocks(1, 1 << 20, 70_000)

    async def work(there: Grid, client: Client, book: Book) -> None:
        told: Counter[SpkiPin] = Counter()

        def sent(server: SpkiPin, count: int) -> None:
            told[server] += count

        keeping = Keeping(client, book, there.tools, SECRET, now, sent)
        await keeping.keep(wanted(have), have.__getitem__, nothing_told)
        assert len(told) == 5
        for server in there.servers:
            assert told[server.pin] == sum(path.stat().st_size for path in server.files) > 0

    on_grid(tmp_path, 5, work)


def test_with_two_of_five_servers_dead_everything_is_read(tmp_path: Path) -> None:
    have = blocks(2, *[300_000] * 20)

    async def work(there: Grid, client: Client, book: Book) -> None:
        await kept(there, client, book, have)
        await there.kill(0)
        await there.kill(3)
        await read(there, there.client("bob"), have)

    on_grid(tmp_path, 5, work)


def test_with_three_of_five_dead_it_is_said_who_does_not_answer(tmp_path: Path) -> None:
    have = blocks(3, 1000)

    async def work(there: Grid, client: Client, book: Book) -> None:
        await kept(there, client, book, have)
        servers = await client.all()
        for number in range(3):
            await there.kill(number)
        with pytest.raises(HoldError) as caught:
            await find_inventory(SEED, servers, there.tools)
        assert caught.value.kind is Kind.NOT_FOUND

    on_grid(tmp_path, 5, work)


def test_where_a_server_is_dead_the_next_one_takes_its_place(tmp_path: Path) -> None:
    have = blocks(4, 100_000)

    async def work(there: Grid, client: Client, book: Book) -> None:
        await there.kill(2)
        await kept(there, client, book, have)
        assert [len(server.files) for server in there.servers] == [2, 2, 0, 2, 2, 2]

    on_grid(tmp_path, 6, work)


def test_too_few_servers_are_an_error_that_names_each_and_why(tmp_path: Path) -> None:
    async def work(there: Grid, client: Client, book: Book) -> None:
        await there.kill(1)
        client.refused[there.servers[4].pin] = "not blessed"
        with pytest.raises(NotKept) as caught:
            await kept(there, client, book, blocks(5, 1000))
        said = "\n".join(caught.value.lines)
        assert "3 servers can have a share" in said
        assert str(there.servers[1].pin) in said and f"{there.servers[4].pin}: not blessed" in said

    on_grid(tmp_path, 5, work)


class _Poor(Client):
    """An account that may keep next to nothing."""

    def badge(self, pin: SpkiPin, quota: int = 1000) -> Badge:
        return super().badge(pin, quota)


def test_where_nobody_takes_more_of_the_account_it_is_the_quota_and_else_it_is_not(tmp_path: Path) -> None:
    async def work(there: Grid, client: Client, book: Book) -> None:
        poor, have = _Poor(there.servers), blocks(5, 100_000)
        try:
            with pytest.raises(NotKept) as caught:
                await kept(there, poor, book, have)
            assert caught.value.kind is Kind.QUOTA and "hold quota" in caught.value.hint
            assert "store share: it says: " in str(caught.value)
            await there.kill(1)
            with pytest.raises(NotKept) as caught:
                await kept(there, poor, book, have)
            assert caught.value.kind is Kind.UNREACHABLE and "hold doctor" in caught.value.hint
        finally:
            await poor.close()

    on_grid(tmp_path, 5, work)


def test_what_a_pack_has_already_is_not_sent_again(tmp_path: Path) -> None:
    first, more = blocks(6, *[200_000] * 5), blocks(7, 1000)

    async def work(there: Grid, client: Client, book: Book) -> None:
        await kept(there, client, book, first)
        before = sum(path.stat().st_size for server in there.servers for path in server.files)
        await kept(there, client, book, {**first, **more}, name="next", seed=b"u" * 32)
        after = sum(path.stat().st_size for server in there.servers for path in server.files)
        assert after - before < 200_000
        await read(there, there.client("bob"), {**first, **more}, b"u" * 32)

    on_grid(tmp_path, 5, work)


def test_a_damaged_share_costs_nothing_but_another_server_s_answer(tmp_path: Path) -> None:
    have = blocks(8, *[500_000] * 4)

    async def work(there: Grid, client: Client, book: Book) -> None:
        await kept(there, client, book, have)
        for path in there.servers[0].files:
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 1
            path.write_bytes(data)
        await read(there, client, have)

    on_grid(tmp_path, 5, work)


class Counted:
    """Servers that are as they are when a moment has come for each: opened, and counted."""

    def __init__(self, client: Client, opened: Callable[[StorageServer], Awaitable[None]]) -> None:
        self._client = client
        self._opened = opened
        self.count = 0

    def verdicts(self) -> Mapping[SpkiPin, Verdict]:
        return self._client.verdicts()

    async def open(self, server: SpkiPin) -> StorageServer:
        self.count += 1
        there = await self._client.open(server)
        await self._opened(there)
        return there


async def _keep(there: Grid, servers: Servers, book: Book, have: dict[Multihash, bytes]) -> None:
    await Keeping(servers, book, there.tools, SECRET, now).keep(wanted(have), have.__getitem__, nothing_told)


def test_one_entry_at_each_door_does_for_all_packs_of_a_set(tmp_path: Path) -> None:
    """A pack and the inventory, which is one, too."""

    async def nothing(server: StorageServer) -> None:
        pass

    async def work(there: Grid, client: Client, book: Book) -> None:
        servers = Counted(client, nothing)
        await _keep(there, servers, book, blocks(13, 1000))
        assert servers.count == 5
        assert [len(server.gate._facets) for server in there.servers] == [1] * 5

    on_grid(tmp_path, 5, work)


def test_whose_facet_had_to_go_for_others_of_the_account_enters_again(tmp_path: Path) -> None:
    have = blocks(14, 100_000)

    async def work(there: Grid, client: Client, book: Book) -> None:
        async def pushed_out(server: StorageServer) -> None:
            await server.use()
            for _ in range(facets.OF_ACCOUNT):
                await (await client.open(server.pin)).use()

        await _keep(there, Counted(client, pushed_out), book, have)
        await read(there, client, have)

    on_grid(tmp_path, 5, work)


def test_what_too_few_have_is_one_error_however_many_packs_are_read_at_once(tmp_path: Path) -> None:
    first, more = blocks(15, *[1000] * 3), blocks(16, *[2000] * 3)

    async def work(there: Grid, client: Client, book: Book) -> None:
        await kept(there, client, book, first)
        await kept(there, client, book, {**first, **more}, name="next", seed=b"u" * 32)
        servers = await client.all()
        reader = SetReader(await find_inventory(b"u" * 32, servers, there.tools), servers, there.tools)
        for number in range(3):
            await there.kill(number)
        with pytest.raises(HoldError) as caught:
            await reader.read([*first, *more])
        assert caught.value.kind is Kind.NOT_FOUND

    on_grid(tmp_path, 5, work)


def test_two_servers_have_nothing_in_common(tmp_path: Path) -> None:
    """D18, D21: names, sizes and bytes."""
    have = blocks(9, *[100_000] * 6)

    async def work(there: Grid, client: Client, book: Book) -> None:
        await kept(there, client, book, have)
        seen: list[set[bytes]] = []
        for server in there.servers:
            row = {hashlib.sha256(b"%d" % path.stat().st_size).digest() for path in server.files}
            for path in server.files:
                data = path.read_bytes()
                row |= {path.name.encode()} | {data[at : at + 16] for at in range(len(data) - 16)}
            seen.append(row)
        assert not seen[0] & seen[1] and not seen[2] & seen[3]

    on_grid(tmp_path, 5, work)


async def _health(there: Grid, client: Client, deep: bool) -> list[Health]:
    servers = await client.all()
    found = await find_inventory(SEED, servers, there.tools)
    return [await look(one, servers, deep=deep, tools=there.tools) for one in packs_of(SEED, DEFAULT, found)]


def test_a_look_tells_who_has_what_and_a_deep_one_whose_share_is_damaged(tmp_path: Path) -> None:
    async def work(there: Grid, client: Client, book: Book) -> None:
        await kept(there, client, book, blocks(10, 700_000))
        assert all(one.whole and not one.damaged for one in await _health(there, client, False))
        for path in there.servers[1].files:
            data = bytearray(path.read_bytes())
            data[-1] ^= 1
            path.write_bytes(data)
        assert all(one.whole for one in await _health(there, client, False))
        for one in await _health(there, client, True):
            assert not one.whole and one.readable and list(one.damaged) == [there.servers[1].pin]

    on_grid(tmp_path, 5, work)


def test_what_dead_servers_had_is_kept_by_others_after_mending(tmp_path: Path) -> None:
    have = blocks(11, 700_000, 10)

    async def work(there: Grid, client: Client, book: Book) -> None:
        await kept(there, client, book, have)
        holding = [number for number, server in enumerate(there.servers) if server.files]
        for number in holding[:2]:
            await there.kill(number)
        servers = await client.all()
        found = await find_inventory(SEED, servers, there.tools)
        for one in packs_of(SEED, DEFAULT, found):
            health = await look(one, servers, deep=True, tools=there.tools)
            await mend(one, health, client, now() + 1000, there.tools)
        assert all(one.whole for one in await _health(there, client, True))
        for number in holding[2:4]:
            await there.kill(number)
        await read(there, client, have)

    on_grid(tmp_path, 8, work)


def test_a_damaged_share_of_one_s_own_is_replaced_by_mending(tmp_path: Path) -> None:
    async def work(there: Grid, client: Client, book: Book) -> None:
        await kept(there, client, book, blocks(12, 700_000))
        for server in there.servers[:2]:
            for path in server.files:
                data = bytearray(path.read_bytes())
                data[100] ^= 1
                path.write_bytes(data)
        servers = await client.all()
        found = await find_inventory(SEED, servers, there.tools)
        for _ in range(10):  # a server of a busy machine may answer too late to be counted, once
            for one in packs_of(SEED, DEFAULT, found):
                health = await look(one, servers, deep=True, tools=there.tools)
                await mend(one, health, client, now() + 1000, there.tools)
            if all(one.whole for one in await _health(there, client, True)):
                return
        pytest.fail("not mended")

    on_grid(tmp_path, 5, work)
