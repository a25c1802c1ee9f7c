"""Servers that answer what is not so: the client names them, and reads from others.

REQUIREMENTS B3, note 6. docs/spec/keeping.md, "Reading".
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiohttp import web

from commonhold.erasure.values import DEFAULT, PackSeed
from commonhold.errors import HoldError, Kind
from commonhold.exchange.book import Book
from commonhold.exchange.checking import look, packs_of
from commonhold.exchange.fetching import PackSource
from commonhold.exchange.finding import find_inventory
from commonhold.exchange.locating import by_layout, locate
from commonhold.exchange.server import StorageServer
from commonhold.formats.inventory import Packed
from commonhold.formats.shareindex import ShareIndex
from tests.exchange.attackers import MALLORY, line, on_grid
from tests.exchange.grids import Client, Grid, Server, now
from tests.exchange.test_keeping import SEED, blocks, kept, read
from tests.exchange.wicked import Lie, Wicked, lying
from tests.transport.ends import dialled, run, serving

HAVE = blocks(40, 300_000, 50_000)
OTHER_HAVE = blocks(41, 300_000, 50_000)
OTHER_SEED = b"o" * 32
WAITS = (Lie.NO_ANSWER, Lie.MUTE)
SAID = {
    Lie.ENDLESS_SIZES: "an answer of more than",
    Lie.MORE_SIZES: "it answers what cannot be",
    Lie.LARGER: "bytes, not",
    Lie.MOVED: "status 302",
    Lie.SHORT: "were asked for",
    Lie.ENDLESS: "more bytes than were asked for",
}  # and in which words, where others could come of it by luck


@contextlib.contextmanager
def hurried(lie: Lie) -> Iterator[None]:
    """Who says nothing is not waited for as long as they are in earnest; the others may be slow."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("commonhold.exchange.fetching._FIRST_GUESS", 0.1)
        if lie in WAITS:
            patch.setattr("commonhold.exchange.locating._PATIENCE", 4.0)
            patch.setattr("commonhold.transport.connection.STALL_SECONDS", 4.0)
        yield


class Scene:
    """Two sets on five servers, the first of which then begins to lie; what it had and what others had."""

    def __init__(self, there: Grid, client: Client) -> None:
        self.there = there
        self.client = client
        self.packs: list[Packed] = []
        self.others: list[Packed] = []
        self.lying: Server = there.servers[0]

    async def begin(self, book: Book) -> None:
        await kept(self.there, self.client, book, HAVE)
        await kept(self.there, self.client, book, OTHER_HAVE, name="other", seed=OTHER_SEED)
        self.packs, self.others = [await self._packs(seed) for seed in (SEED, OTHER_SEED)]

    async def _packs(self, seed: bytes) -> list[Packed]:
        found = await find_inventory(seed, await self.client.all(), self.there.tools)
        return list(packs_of(seed, DEFAULT, found))

    def wicked(self, lie: Lie) -> Wicked:
        own = self._shares(self.lying, self.packs)
        source = self.there.servers[1] if lie is Lie.OTHERS_SHARE else self.lying
        others = self._shares(source, self.others if lie is Lie.OTHER_PACK else self.packs)
        return Wicked(lie, own, dict(zip(own, others.values(), strict=True)))

    @staticmethod
    def _shares(server: Server, packs: list[Packed]) -> dict[ShareIndex, bytes]:
        found = {}
        for packed in packs:
            index = PackSeed(packed.seed).index(server.pin)
            file, _ = server.keeper.open(index)
            with file:
                found[index] = file.read()
        return found


@contextlib.asynccontextmanager
async def scene(there: Grid, path: Path, lie: Lie) -> AsyncIterator[tuple[Scene, Wicked]]:
    """The lie is being told from here on."""
    client, book = there.client(), Book(path / "kept.sqlite")
    try:
        found = Scene(there, client)
        await found.begin(book)
        wicked = found.wicked(lie)
        await client.close()
        await there.kill(0)
        async with lying(wicked, found.lying.seed) as hint:
            client.known[found.lying.pin] = hint
            with hurried(lie):
                yield found, wicked
            await client.close()
    finally:
        await client.close()
        book.close()


@pytest.mark.parametrize("lie", [pytest.param(lie, marks=[pytest.mark.slow] * (lie in WAITS)) for lie in Lie])
def test_with_one_liar_all_is_read_from_the_others_and_it_is_named(tmp_path: Path, lie: Lie) -> None:
    """Three of five shares are needed: there are three honest servers, then two."""

    async def work(there: Grid) -> None:
        async with scene(there, tmp_path, lie) as (found, _):
            await there.kill(4)
            await read(there, found.client, HAVE)
            servers = await found.client.all()
            whys: list[str] = []
            for packed in found.packs:
                health = await look(packed, servers, deep=True, tools=there.tools)
                ((pin, why),) = [*health.damaged.items(), *health.failed.items()]
                assert pin == found.lying.pin
                whys.append(why)
                assert len(health.shares) == DEFAULT.k
            assert any(SAID.get(lie, "") in why for why in whys)
            await there.kill(3)
            with pytest.raises(HoldError) as caught:
                await find_inventory(SEED, await found.client.all(), there.tools)
            assert caught.value.kind is Kind.NOT_FOUND and str(found.lying.pin) in caught.value.why

    on_grid(tmp_path, 5, work)


@pytest.mark.slow
@pytest.mark.parametrize("lie", [lie for lie in Lie if lie.in_pieces])
def test_a_liar_that_is_asked_first_costs_nothing_but_another_server_s_answer(tmp_path: Path, lie: Lie) -> None:
    async def work(there: Grid) -> None:
        async with scene(there, tmp_path, lie) as (found, wicked):
            servers = await found.client.all()
            for packed in found.packs[1:]:
                located = await locate(PackSeed(packed.seed), servers)
                ((layout, holders),) = by_layout(located.holders)
                holders.sort(key=lambda holder: holder.server.pin != found.lying.pin)
                source = PackSource(layout, holders, there.tools.code, there.tools.threads)
                before = wicked.asked
                data = await source.read(0, packed.length)
                assert {block.key: bytes(data[block.start : block.stop]) for block in packed.blocks()} == HAVE
                assert wicked.asked > before
                assert {holder.server.pin for holder in source.bad} == (set() if lie is Lie.MUTE else {found.lying.pin})

    on_grid(tmp_path, 5, work)


def test_garbage_that_another_account_puts_under_a_share_s_index_hides_nothing(tmp_path: Path) -> None:
    """B26: by a reader of the set, who knows the indexes, at every server, and whose account is the older one."""

    async def work(there: Grid) -> None:
        client, book = there.client(), Book(tmp_path / "kept.sqlite")
        facets = {}
        async with contextlib.AsyncExitStack() as lines:
            for server in there.servers:
                mallory = await lines.enter_async_context(line(server))
                facets[server.pin] = mallory, await mallory.facet(MALLORY)
            await kept(there, client, book, HAVE)
            found = await find_inventory(SEED, await client.all(), there.tools)
            for packed in packs_of(SEED, DEFAULT, found):
                for server in there.servers:
                    mallory, facet = facets[server.pin]
                    index = PackSeed(packed.seed).index(server.pin)
                    await mallory.store(facet, index, b"garbage" * 1000)
                    assert await mallory.read(index) == b"garbage" * 1000
            await read(there, client, HAVE)
            servers = await client.all()
            for packed in packs_of(SEED, DEFAULT, found):
                health = await look(packed, servers, deep=True, tools=there.tools)
                assert health.whole and not health.damaged
        await client.close()
        book.close()

    on_grid(tmp_path, 5, work)


def test_a_line_that_breaks_is_no_damage(tmp_path: Path) -> None:
    """What may be sound is not dropped by mending."""

    async def work(there: Grid) -> None:
        async with scene(there, tmp_path, Lie.CUT) as (found, _):
            for packed in found.packs:
                health = await look(packed, await found.client.all(), deep=True, tools=there.tools)
                assert not health.damaged and list(health.failed) == [found.lying.pin] and health.placed == 4

    on_grid(tmp_path, 5, work)


def test_a_server_that_answers_without_end_but_slowly_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would hold up all that is looked after, until leases end."""
    monkeypatch.setattr("commonhold.exchange.server._SECONDS", 0.2)

    async def slowly(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(status=200 if request.method == "POST" else 206)
        await answer.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await answer.write(b"x")
                await asyncio.sleep(0.05)
        return answer

    async def work() -> None:
        app, index = web.Application(), ShareIndex(bytes(32))
        app.router.add_route("*", "/{any:.*}", slowly)
        async with serving(app) as (hint, _):
            for reading in (False, True):
                async with dialled(hint) as connection:
                    server, room = StorageServer(connection, None, now), memoryview(bytearray(800))
                    with pytest.raises(HoldError) as caught:
                        async with asyncio.timeout(60):
                            await (server.read(index, 0, room) if reading else server.find([index]))
                assert caught.value.kind is Kind.UNREACHABLE and "not done" in caught.value.why

    run(work())


def test_errors_do_not_repeat_the_right_to_a_share() -> None:
    async def work() -> None:
        async with serving() as (hint, _), dialled(hint) as connection:
            server, index = StorageServer(connection, None, now), ShareIndex(b"i" * 32)
            await connection.close()
            with pytest.raises(HoldError) as caught:
                await server.read(index, 0, memoryview(bytearray(10)))
            assert str(index) not in str(caught.value) and "/v1/shares/…" in str(caught.value)

    run(work())
