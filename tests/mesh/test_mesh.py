"""Meshes of real connections: who does wrong or is slow is left, who is gone is replaced, and all end cleanly."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from aiohttp import web

from commonhold.formats import gossip as wire
from commonhold.formats.address import Address
from commonhold.formats.blessing import STORAGE
from commonhold.formats.gossip import Have, Hello, Listing, Ranges, Subscribe, Subscription, Want
from commonhold.formats.statement import Kind
from commonhold.gossip.reconcile import Ids
from commonhold.gossip.values import Config, Send
from commonhold.mesh import service
from commonhold.mesh.framing import framed
from commonhold.mesh.mesh import PATH
from commonhold.transport import listen
from commonhold.transport.visitors import Limits, Visitors
from tests.gossip.statements import DAY, GRID, announced, grid_of, key, pin, revoked, seed
from tests.mesh.meshes import Meshes, meshes, stranger
from tests.transport import ends
from tests.transport.ends import run
from tests.transport.test_listen import raw
from tests.transport.wire import relay

ASKS = (Subscription(GRID, STORAGE, frozenset((key("blesser"),))),)
ME = Hello(False, (GRID,))


def _announced(here: Meshes, name: str, number: int = 1) -> bytes:
    return announced(name, number, until=int(here.clock.now()) + DAY)


def test_it_is_known_which_introducer_gave_a_statement_and_what_each_shows() -> None:
    async def work() -> None:
        async with meshes(pace=10.0) as here:
            first = here.introducer("i0")
            second = here.introducer("i1", [first.address])
            client = here.subscriber("client", [first.address], ASKS)
            data = _announced(here, "server")
            second.mesh.publish(Kind.ANNOUNCEMENT, data)
            found = here.reader.read(Kind.ANNOUNCEMENT, data).id
            both = {pin("i0"), pin("i1")}
            await here.until(lambda: client.has(found) and set(client.mesh.shown()) == both)
            assert [who in both for record, who in client.learned if record.id == found] == [True]
            await here.until(lambda: all(found in {one.id for one in shown} for shown in client.mesh.shown().values()))
            assert {one.server for one in client.mesh.neighbours()} == both and client.mesh.findings() == []
            client.mesh.publish(Kind.REVOCATIONS, revoked("other", until=int(here.clock.now()) + DAY))
            client.mesh.publish(Kind.REVOCATIONS, revoked("blesser", until=int(here.clock.now()) + DAY))
            (own,) = [who for record, who in client.learned if record.kind is Kind.REVOCATIONS]
            assert own is None

    run(work())


def test_a_key_that_signs_two_of_one_number_is_told() -> None:
    async def work() -> None:
        async with meshes(pace=10.0) as here:
            first = here.introducer("i0")
            client = here.subscriber("client", [first.address], ASKS)
            until = int(here.clock.now()) + DAY
            for label in ("one", "other"):
                first.mesh.publish(Kind.ANNOUNCEMENT, announced("server", 1, until=until, label=label))
                await here.until(lambda: any(record.key == key("server") for record, _ in client.learned))
            assert len(first.contradicted) == 1

    run(work())


@pytest.mark.slow
def test_a_lost_introducer_is_dialled_again() -> None:
    async def work() -> None:
        async with meshes(pace=25.0) as here:
            first = here.introducer("i0")
            port = first.hint.port
            client = here.subscriber("client", [first.address], ASKS)
            await here.until(lambda: len(client.mesh.shown()) == 1)
            await here.stop(first)
            await here.until(lambda: not client.mesh.neighbours() and pin("i0") in client.mesh.failures())
            data = _announced(here, "server")
            here.introducer("i0", port=port).mesh.publish(Kind.ANNOUNCEMENT, data)
            await here.until(lambda: client.has(here.reader.read(Kind.ANNOUNCEMENT, data).id))
            assert client.mesh.failures() == {}

    run(work())


# ── strangers ──


@pytest.mark.parametrize(
    "words",
    [
        [b"\xff\xff\xff\xff"],
        [framed(b"no message")],
        [ME, framed(b"no message")],
        [ME, ME],
        [Subscribe(ASKS)],
        [ME, *[Subscribe(ASKS)] * 9],
        [ME, *[Want(())] * 401],
        [ME, bytes(4 * 20)],
        [ME, framed(bytes(wire.MAX_MESSAGE + 1))],
        [Hello(False, (grid_of("other"),))],
        [b""],
    ],
    ids=[
        "too long", "garbage", "garbage after hello", "two hellos", "no hello", "subscribing without end", "a flood",
        "signs of life without end", "too large", "another grid", "nothing",
    ],
)  # fmt: skip
def test_who_does_wrong_is_hung_up_on(words: list[wire.Message | bytes]) -> None:
    async def work() -> None:
        async with meshes(pace=100.0 if words == [b""] else 1.0) as here:
            node = here.introducer("i0")
            async with stranger(node, *words) as other:
                await here.until(lambda: other.gone)
            await here.until(lambda: not node.mesh.neighbours() and not here.visitors["i0"])

    run(work())


def test_who_is_hung_up_on_is_gone_though_they_would_say_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("commonhold.transport.listen._LINGER_SECONDS", 600.0)

    async def work() -> None:
        async with meshes() as here:
            node = here.introducer("i0")
            async with raw(node.hint, server=pin("i0")) as other:
                head = f"POST {PATH} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                other.writer.write(head.encode() + b"4\r\n\xff\xff\xff\xff\r\n")
                async with asyncio.timeout(60):  # less than the rest of a body would be read for
                    assert await other.ended()

    run(work())


def test_a_stranger_who_keeps_to_the_rules_is_served() -> None:
    async def work() -> None:
        async with meshes() as here:
            node = here.introducer("i0")
            async with stranger(node, ME, Subscribe(ASKS), Ranges((Ids().whole(),))) as other:
                await here.until(lambda: bool(other.said(Listing)))
                node.mesh.publish(Kind.ANNOUNCEMENT, _announced(here, "server"))
                await here.until(lambda: bool(other.said(Have)))
                assert other.said(Hello) == [Hello(True, (GRID,))] and not other.gone
                (who,) = node.mesh.neighbours()
                assert who.hint is None and who.server not in {pin("i0"), pin("server")}

    run(work())


def test_of_a_flood_of_sound_statements_a_little_is_asked_for() -> None:
    async def work() -> None:
        async with meshes() as here:
            node = here.introducer("i0")
            until = int(here.clock.now()) + DAY
            flood = [
                here.reader.read(Kind.ANNOUNCEMENT, announced(f"s{n}", blessers=(), until=until)) for n in range(300)
            ]
            async with stranger(node, ME, Have(tuple((one.id, 0) for one in flood))) as other:
                await here.until(lambda: bool(other.said(Want)))
                assert sum(len(want.ids) for want in other.said(Want)) <= 66

    run(work())


def test_there_are_so_many_connections_of_one_key_and_guests_and_no_more() -> None:
    async def work() -> None:
        async with meshes() as here:
            node = here.introducer("i0", limits=Limits(of_peer=2), guests=3, subscribers=4)
            async with stranger(node, ME) as one, stranger(node, ME) as two:
                await here.until(lambda: len(node.mesh.neighbours()) == 2)
                assert not one.gone and not two.gone
            async with AsyncExitStack() as stack:
                crowd = [await stack.enter_async_context(stranger(node, ME)) for _ in range(12)]
                await here.until(lambda: sum(one.gone for one in crowd) >= 12 - 7)
                assert len(node.mesh.neighbours()) <= 7

    run(work())


@pytest.mark.slow
def test_whoever_does_not_read_is_left_and_nobody_waits_for_them() -> None:
    async def work() -> None:
        async with meshes(pace=20.0) as here:
            node = here.introducer("i0")
            many = revoked(
                "blesser", serials=tuple(range(1 << 40, (1 << 40) + 100_000)), until=int(here.clock.now()) + DAY
            )
            node.mesh.publish(Kind.REVOCATIONS, many)
            found = here.reader.read(Kind.REVOCATIONS, many).id
            async with stranger(node, Hello(True, (GRID,))) as other:
                await here.until(lambda: bool(other.said(Ranges) or other.said(Have)))
                other.reads.clear()
                while not other.gone and len(node.mesh.neighbours()) == 1:
                    other.say(Want((found,)))
                    await asyncio.sleep(0.02)
                client = here.subscriber("client", [node.address], ASKS)
                await here.until(lambda: client.has(found))
                assert len(node.mesh.neighbours()) == 1 and node.mesh._room.used == 0

    run(work())


def test_where_too_much_waits_for_all_whoever_has_the_most_goes() -> None:
    async def work() -> None:
        async with meshes() as here:
            node = here.introducer("i0")
            async with stranger(node, ME) as one, stranger(node, ME) as two:
                await here.until(lambda: bool(one.said(Hello) and two.said(Hello)))
                node.mesh._room._most = 1000
                links = list(node.mesh._links.items())
                for (_, link), size in zip(links, (300, 600), strict=True):
                    link.conversation.send(bytes(size))
                node.mesh._send(Send(links[0][0], bytes(200)))
                await here.until(lambda: one.gone != two.gone)
                assert list(node.mesh._links) == [links[0][0]]

    run(work())


@pytest.mark.slow
def test_who_answers_with_no_stream_of_messages_is_left_alone_for_long() -> None:
    async def work() -> None:
        asked: list[float] = []
        async with meshes(pace=400.0) as here:

            async def answer(request: web.Request) -> web.StreamResponse:
                asked.append(here.clock.now())
                found = web.StreamResponse()
                await found.prepare(request)
                await found.write(b"\xff" * 8)
                return found

            app = web.Application()
            app.router.add_post(PATH, answer)
            async with ends.serving(app) as (hint, _):
                node = here.subscriber("client", [Address(ends.PIN, (hint,))], ASKS)
                await here.until(lambda: bool(asked))
                await here.clock.sleep(550)
                assert len(asked) == 1
                await here.until(lambda: len(asked) == 2)
                await here.stop(node)

    run(work())


@pytest.mark.slow
def test_a_connection_on_which_nothing_is_said_is_not_cut_off_for_that() -> None:
    async def work() -> None:
        async with meshes() as here:
            node = here.introducer("i0", limits=Limits(stall_seconds=0.2, idle_seconds=0.2))
            client = here.subscriber("client", [node.address], ASKS)
            await here.until(lambda: len(client.mesh.shown()) == 1)
            (before,) = node.mesh.neighbours()
            await asyncio.sleep(1.5)
            assert node.mesh.neighbours() == [before]

    run(work())


@pytest.mark.slow
def test_a_server_that_is_no_introducer_is_left_alone_for_a_while() -> None:
    async def work() -> None:
        asked: list[str] = []

        async def answer(request: web.Request) -> web.Response:
            asked.append(request.path)
            return web.Response(status=404)

        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", answer)
        async with ends.serving(app) as (hint, _), meshes(pace=25.0) as here:
            node = here.subscriber("client", [Address(ends.PIN, (hint,))], ASKS)
            await here.until(lambda: bool(asked))
            await here.clock.sleep(30.0)
            assert asked.count(PATH) <= 4 and node.mesh.neighbours() == []

    run(work())


def test_a_mesh_that_does_not_run_lets_nobody_in() -> None:
    async def work() -> None:
        here = Meshes()
        node = here._node("i0", _config(), (), listen.bind("127.0.0.1", 0))
        stop, visitors = asyncio.Event(), Visitors()
        assert node.socket is not None
        serving = asyncio.create_task(
            listen.serve(service.app(PATH, node.mesh.attend), seed("i0"), [node.socket], visitors, stop)
        )
        async with stranger(node, ME) as other:
            await here.until(lambda: other.gone)
            assert other.heard == []
        stop.set()
        await serving

    run(work())


def _config() -> Config:
    return Config(frozenset((GRID,)), True, pin("i0"))


# ── time ──


@pytest.mark.slow
def test_an_idle_connection_sends_less_than_a_packet_a_minute_each_way() -> None:
    async def work() -> None:
        async with meshes(pace=20.0) as here:
            first = here.introducer("i0")
            async with relay(first.hint) as (hint, seen):
                for name in ("one", "other"):
                    here.subscriber(name, [Address(pin("i0"), (hint,))], ASKS, outbound=1)
                await here.until(lambda: len(seen) == 2 and len(first.mesh.neighbours()) == 2)
                here.clock.run(400.0)
                await here.clock.sleep(400)  # comparisons are rare by then
                before = [(len(one.up), len(one.down)) for one in seen]
                await here.clock.sleep(3600)
                assert len(seen) == 2 and len(first.mesh.neighbours()) == 2
                for one, (up, down) in zip(seen, before, strict=True):
                    assert 20 < _records(one.up, up) <= 60 and 20 < _records(one.down, down) <= 60

    run(work())


def _records(data: bytearray, start: int) -> int:
    """The TLS records of a direction that begin after so many bytes."""
    at = count = 0
    while at < len(data):
        count += at >= start
        at += 5 + int.from_bytes(data[at + 3 : at + 5], "big")
    return count


def test_after_the_clock_was_set_back_it_goes_on() -> None:
    async def work() -> None:
        async with meshes(pace=25.0) as here:
            first = here.introducer("i0")
            client = here.subscriber("client", [first.address], ASKS)
            await here.until(lambda: len(client.mesh.shown()) == 1)
            before = client.mesh.machine
            here.clock.set(here.clock.now() - 8 * 3600)
            data = _announced(here, "server")
            first.mesh.publish(Kind.ANNOUNCEMENT, data)
            found = here.reader.read(Kind.ANNOUNCEMENT, data).id
            await here.until(lambda: client.mesh.machine is not before)
            await here.until(lambda: client.has(found) and len(first.mesh.machine) == 2)

    run(work())


def test_news_after_a_quiet_time_waits_for_no_other_moment() -> None:
    async def work() -> None:
        async with meshes(pace=200.0) as here:
            first = here.introducer("i0", outbound=0)  # so that it does not look for others
            client = here.subscriber("client", [first.address], ASKS, outbound=1)
            await here.until(lambda: len(client.mesh.shown()) == 1)
            both = (first.mesh.machine, client.mesh.machine)
            await here.until(lambda: min(one.wakes for one in both) - here.clock.now() > 20)
            here.clock.run(1.0)
            data = _announced(here, "server")
            first.mesh.publish(Kind.ANNOUNCEMENT, data)
            found = here.reader.read(Kind.ANNOUNCEMENT, data).id
            await here.until(lambda: client.has(found))

    run(work())


@pytest.mark.slow
def test_connections_are_dialled_at_random_moments() -> None:
    async def work() -> None:
        async with meshes(pace=100.0) as here:
            first = here.introducer("i0")
            begun = here.clock.now()
            clients = [here.subscriber(f"c{n}", [first.address], ASKS, spread=120.0) for n in range(12)]
            await here.until(lambda: len(first.mesh.neighbours()) == 12)
            times = sorted(one.since - begun for one in first.mesh.neighbours())
            assert times[-1] < 240 and times[-1] - times[0] > 30
            assert len(clients) == 12

    run(work())


def test_it_ends_at_once_whatever_is_under_way() -> None:
    async def work() -> None:
        deaf = listen.bind("127.0.0.1", 0)  # nobody answers there
        async with meshes() as here:
            first = here.introducer("i0")
            here.subscriber("client", [first.address], ASKS)
            here.subscriber("waiting", [Address(pin("i9"), (listen.address(deaf),))])
            here.subscriber("jittery", [first.address], spread=1000.0)
            async with stranger(first, ME):
                await here.until(lambda: len(first.mesh.neighbours()) == 2)
                async with asyncio.timeout(30):
                    await here.stop_all()
        deaf.close()

    run(work())
