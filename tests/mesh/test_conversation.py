"""One connection: what ends it, and whose fault that is. The other end is a test; time passes when the test says so."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.mesh.conversation import LARGE, Conversation, Turns
from commonhold.mesh.framing import ALIVE, framed
from commonhold.mesh.outbox import Room
from commonhold.mesh.pulse import SILENCE, TAKING, WHOLE, Beat
from commonhold.transport.kept import Time
from tests.transport.ends import run
from tests.waiting import SECONDS


class Talk:
    """A conversation that a test is the other end of."""

    def __init__(self, turns: Turns | None = None) -> None:
        self.heard: list[bytes] = []
        self.sent: list[bytes] = []
        self.takes = asyncio.Event()
        self.takes.set()
        self._now = 0.0
        self._sleeping: list[tuple[float, asyncio.Future[None]]] = []
        self._coming: asyncio.Queue[bytes | Exception] = asyncio.Queue()
        self.room = Room()
        time = Time(lambda: self._now, self._sleep)
        self.talk = Conversation(time, lambda: 0.5, self.room, turns, self.heard.append)
        self.task = asyncio.create_task(self.talk.hold(self._stream(), self._write))

    async def say(self, data: bytes | Exception) -> None:
        """Have something come, and let it be heard."""
        self._coming.put_nowait(data)
        await self.settle()

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    async def wait(self, seconds: float) -> None:
        """Let time pass, in steps of at most so much as is slept."""
        end = self._now + seconds
        while not self.task.done() and self._now < end:
            await self.settle()
            self._now = min([end, *(at for at, _ in self._sleeping)])
            for entry in [entry for entry in self._sleeping if entry[0] <= self._now]:
                self._sleeping.remove(entry)
                if not entry[1].done():
                    entry[1].set_result(None)
        await self.settle()

    async def over(self) -> tuple[str, bool]:
        """Why it has ended, and whether that is the other end's fault."""
        async with asyncio.timeout(SECONDS):
            await self.task
        return self.talk.why, self.talk.fault

    async def _sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleeping.append((self._now + seconds, future))
        await future

    async def _stream(self) -> AsyncIterator[bytes]:
        while True:
            found = await self._coming.get()
            if isinstance(found, Exception):
                raise found
            if not found:
                return
            yield found

    async def _write(self, data: bytes) -> None:
        await self.takes.wait()
        self.sent.append(data)


def talking(work: Any) -> None:
    run(work())


def test_messages_go_both_ways_at_once() -> None:
    async def work() -> None:
        other = Talk()
        other.talk.send(b"hello")
        await other.say(framed(b"one") + framed(b"two")[:3])
        await other.say(framed(b"two")[3:] + ALIVE)
        assert other.heard == [b"one", b"two"] and other.sent == [framed(b"hello")]
        await other.say(b"")
        assert await other.over() == ("it has hung up", False)

    talking(work)


@pytest.mark.parametrize("error", [ConnectionResetError(), HoldError("x", Kind.UNREACHABLE, "y", "gone")])
def test_a_connection_that_breaks_is_nobodys_fault(error: Exception) -> None:
    async def work() -> None:
        other = Talk()
        await other.say(error)
        assert (await other.over())[1] is False

    talking(work)


def test_what_is_no_stream_of_messages_is_the_other_ends_fault() -> None:
    async def work() -> None:
        other = Talk()
        await other.say(framed(b"one") + b"\xff\xff\xff\xff" + framed(b"two"))
        assert (await other.over())[1] is True and other.heard == [b"one"]

    talking(work)


def test_signs_of_life_without_end_are_a_fault_and_rare_ones_are_none() -> None:
    async def work() -> None:
        other = Talk()
        for _ in range(30):
            await other.wait(70)
            await other.say(ALIVE)
        assert not other.task.done() and set(other.sent) == {ALIVE}
        await other.say(ALIVE * 20)
        assert (await other.over())[1] is True

    talking(work)


def test_an_idle_end_gives_signs_of_life_and_gives_up_on_one_that_gives_none() -> None:
    async def work() -> None:
        other = Talk()
        await other.wait(SILENCE - 1)
        assert other.sent == [ALIVE] and not other.task.done()
        await other.wait(12)
        assert await other.over() == (Beat.SILENT.value, False)

    talking(work)


def test_a_message_that_does_not_come_to_its_end_ends_it() -> None:
    async def work() -> None:
        other = Talk()
        drip = iter(framed(bytes(4000)))
        while not other.task.done():
            await other.say(bytes((next(drip),)))
            await other.wait(5)
            assert other._now < WHOLE + 20
        assert await other.over() == (Beat.HALTING.value, False)

    talking(work)


def test_whoever_takes_nothing_is_hung_up_on() -> None:
    async def work() -> None:
        other = Talk()
        other.takes.clear()
        assert other.talk.send(b"one") and other.talk.send(b"two")
        for _ in range(int(TAKING) // 10 + 2):
            await other.wait(10)
            if not other.task.done():
                await other.say(framed(b"still here"))
        assert await other.over() == (Beat.SLOW.value, False)
        assert other.room.used == 0

    talking(work)


def test_so_many_large_messages_come_at_once_and_no_more() -> None:
    async def work() -> None:
        turns = Turns(2)
        others = [Talk(turns) for _ in range(3)]
        for one in others:
            await one.say(framed(b"hello"))
        for one in others[:2]:
            await one.say(framed(bytes(LARGE + 1))[:-1])
        await others[2].say(framed(bytes(LARGE)))
        assert turns.left == 0 and len(others[2].heard) == 2
        await others[2].say(framed(bytes(LARGE + 1))[:-1])
        assert await others[2].over() == ("too many send much at once", False)
        await others[0].say(b"\0")
        assert turns.left == 1 and len(others[0].heard) == 2
        for one in others[:2]:
            one.talk.end("enough")
            await one.over()
        assert turns.left == 2

    talking(work)


def test_the_first_reason_counts_and_nothing_is_heard_after_the_end() -> None:
    async def work() -> None:
        other = Talk()
        other.talk.end("first")
        other.talk.end("second", fault=True)
        await other.say(framed(b"late"))
        assert await other.over() == ("first", False) and other.heard == []
        other.talk.send(b"late")
        assert other.room.used == 0

    talking(work)


def test_what_fails_here_is_no_end_of_the_connection() -> None:
    async def work() -> None:
        other = Talk()

        def fail(data: bytes) -> None:
            raise HoldError("x", Kind.DISK_FULL, "y", "z")

        other.talk._heard = fail
        await other.say(framed(b"one"))
        with pytest.raises(BaseExceptionGroup):
            await other.task

    talking(work)
