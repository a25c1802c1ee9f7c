"""What waits to be sent: in order, together if it is small, and bounded for each and for all."""

import asyncio
from collections.abc import AsyncIterator

from commonhold.mesh.framing import ALIVE, framed
from commonhold.mesh.outbox import ALL, MOST, Outbox, Room
from tests.transport.ends import run
from tests.waiting import SECONDS


async def _next(pieces: AsyncIterator[bytes]) -> bytes:
    async with asyncio.timeout(SECONDS):
        return await anext(pieces)


def test_what_waits_goes_out_in_order_small_ones_together() -> None:
    async def work() -> None:
        told: list[bool] = []
        outbox = Outbox(Room(), told.append)
        pieces = outbox.pieces()
        for message in (b"a", b"b", bytes(70_000), b"c"):
            assert outbox.put(message)
        assert await _next(pieces) == framed(b"a") + framed(b"b")
        assert await _next(pieces) == framed(bytes(70_000)) and told == [True]
        assert await _next(pieces) == framed(b"c") and told == [True, True]
        outbox.close()
        assert [piece async for piece in pieces] == [] and told == [True, True, False]

    run(work())


def test_no_more_waits_for_one_than_may_and_what_all_have_is_known() -> None:
    room = Room()
    outboxes = [Outbox(room, lambda more: None) for _ in range(9)]
    for outbox in outboxes:
        while outbox.put(bytes(1 << 20)):
            assert outbox.waiting <= MOST + 4 * 12
        assert not outbox.put(bytes(1 << 20)) and outbox.waiting > MOST - (1 << 20)
        if room.over:
            break
    assert room.over and room.used > ALL
    for outbox in outboxes:
        outbox.close()
    assert room.used == 0 and not room.over


def test_a_sign_of_life_is_sent_where_nothing_else_is() -> None:
    async def work() -> None:
        outbox = Outbox(Room(), lambda more: None)
        outbox.sign()
        outbox.sign()
        pieces = outbox.pieces()
        assert await _next(pieces) == ALIVE
        outbox.put(b"a")
        outbox.sign()
        assert await _next(pieces) == framed(b"a")
        outbox.close()
        outbox.put(b"late")
        assert [piece async for piece in pieces] == [] and outbox.waiting == 0

    run(work())
