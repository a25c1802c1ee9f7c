"""Lanes in a loop: work of one who has used more waits, in pieces, and never for long."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

from commonhold.node.lanes import Lane, Lanes
from commonhold.node.main import threads
from commonhold.node.shares import FRESH
from tests.waiting import SECONDS

ALICE, BOB = 1001, 1002


class Stage:
    """Lanes whose clock stands still until it is told otherwise. Bob has used more than alice."""

    def __init__(self, lanes: Lanes, now: list[float]) -> None:
        self.lanes = lanes
        self.now = now

    @property
    def bob(self) -> Lane:
        return self.lanes.of(BOB)

    async def work(self, work: Callable[[], Any]) -> Any:
        """Have something done in a thread for bob."""
        return await asyncio.get_running_loop().run_in_executor(self.bob.threads.reading, work)


def on_stage(play: Callable[[Stage], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        now = [100.0]
        with threads() as workers:
            stage = Stage(Lanes(workers, lambda: now[0]), now)
            async with stage.lanes.request(BOB):
                stage.bob.spent.append(1.0)
            async with asyncio.timeout(SECONDS):
                await play(stage)

    asyncio.run(whole())


def test_one_who_is_alone_does_several_things_at_once() -> None:
    async def play(stage: Stage) -> None:
        together = threading.Barrier(4)
        async with stage.lanes.request(BOB):
            await asyncio.gather(*[stage.work(lambda: together.wait(SECONDS)) for _ in range(4)])

    on_stage(play)


def test_what_begins_waits_while_a_request_of_one_who_used_less_is_under_way() -> None:
    async def play(stage: Stage) -> None:
        done: list[str] = []

        async def flood() -> None:
            async with stage.lanes.request(BOB):
                done.append(await stage.work(lambda: "bob"))

        async with stage.lanes.request(ALICE):
            flooding = asyncio.create_task(flood())
            await asyncio.sleep(0.05)
            assert not done
        await flooding
        assert done == ["bob"]

    on_stage(play)


def test_a_request_that_takes_long_holds_nobody_for_long() -> None:
    async def play(stage: Stage) -> None:
        async with stage.lanes.request(ALICE), asyncio.TaskGroup() as tasks:

            async def flood() -> None:
                async with stage.lanes.request(BOB):
                    await stage.work(lambda: None)

            tasks.create_task(flood())
            await asyncio.sleep(0.01)
            stage.now[0] += 2 * FRESH

    on_stage(play)


def test_while_others_are_here_one_thing_is_done_at_a_time() -> None:
    async def play(stage: Stage) -> None:
        at_once: list[int] = []
        most: list[int] = []

        def work() -> None:
            at_once.append(1)
            most.append(len(at_once))
            time.sleep(0.01)
            at_once.pop()

        async with stage.lanes.request(ALICE):
            pass
        async with stage.lanes.request(BOB):
            await asyncio.gather(*[stage.work(work) for _ in range(5)])
        assert most == [1] * 5

    on_stage(play)


def test_long_work_pauses_while_another_has_something_begun_and_goes_on_though_that_never_ends() -> None:
    async def play(stage: Stage) -> None:
        steps: list[int] = []
        begun, go = threading.Event(), threading.Event()

        def work() -> None:
            begun.set()
            go.wait(SECONDS)
            for step in range(3):
                stage.now[0] += 0.001
                stage.bob.pause()
                steps.append(step)

        async with stage.lanes.request(BOB):
            working = asyncio.ensure_future(stage.work(work))
            await asyncio.to_thread(begun.wait, 5)
            async with stage.lanes.request(ALICE):
                go.set()
                await asyncio.sleep(0.005)
                assert not steps
                await working
        assert steps == [0, 1, 2]

    on_stage(play)


def test_work_for_one_who_asked_for_nothing_is_done_when_others_are_through() -> None:
    async def play(stage: Stage) -> None:
        nobody = stage.lanes.of(1)
        loop = asyncio.get_running_loop()
        async with stage.lanes.request(ALICE):
            working = loop.run_in_executor(nobody.threads.writing, lambda: "done")
            await asyncio.sleep(0.01)
            assert not working.done()
        assert await working == "done"

    on_stage(play)


def test_what_goes_wrong_in_work_that_waited_is_raised_where_it_is_waited_for() -> None:
    async def play(stage: Stage) -> None:
        async def flood() -> None:
            async with stage.lanes.request(BOB):
                await stage.work(lambda: 1 // 0)

        async with stage.lanes.request(ALICE):
            flooding = asyncio.create_task(flood())
            await asyncio.sleep(0.01)
        done, _ = await asyncio.wait([flooding])
        assert isinstance(done.pop().exception(), ZeroDivisionError)

    on_stage(play)
