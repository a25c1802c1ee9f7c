"""Rounds of policies over a real tree, real books and real servers."""

import asyncio
import contextlib
import os
import random
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from commonhold.agent.duty import REST, Duty
from commonhold.agent.ongrid import OnGrid
from commonhold.agent.own import Own
from commonhold.agent.tending import Tending
from commonhold.agent.upkeep import Setting, Upkeep
from commonhold.errors import HoldError, Kind
from commonhold.grids import policies
from commonhold.grids.policies import Policy, PolicyBook
from commonhold.host import sidebyside
from commonhold.sealing.seal import verify_capability
from commonhold.trees import ROOT
from tests.agent.answering import Noting
from tests.agent.owning import ME, Home
from tests.exchange.grids import DAY, Grid
from tests.exchange.grids import now as right_now
from tests.grids.members import Member, home
from tests.transport.ends import run
from tests.waiting import until


@dataclass
class Place:
    """A user's tree and grid, with a policy for all of the tree."""

    home: Home
    member: Member
    there: Grid
    later: int = 0
    draw: Callable[[], float] = field(default_factory=lambda: random.Random(1).random)

    def now(self) -> int:
        return right_now() + self.later

    @property
    def setting(self) -> Setting:
        return Setting(self.now, self.draw)

    def put(self, name: str, data: bytes) -> None:
        volume = self.home.volume
        try:
            number = volume.lookup(ROOT, name.encode()).number
        except FileNotFoundError:
            number = volume.make(ROOT, name.encode(), 0o100644, 0, b"", ME, True).number
        volume.write(number, 0, memoryview(data), False, False)

    @contextlib.contextmanager
    def book(self) -> Iterator[PolicyBook]:
        with contextlib.closing(PolicyBook(self.member.directory / policies.FILE)) as book:
            yield book

    def policy(self) -> Policy:
        with self.book() as book:
            found = book.find("me")
            assert found is not None
            return found

    @contextlib.contextmanager
    def upkeep(self) -> Iterator[tuple[Upkeep, OnGrid, PolicyBook]]:
        load = OnGrid.load(self.member.directory)
        with contextlib.closing(OnGrid(load, os.geteuid(), self.home.store)) as on, self.book() as book:
            yield Upkeep(self.home.own, on, book, self.setting), on, book

    def round(self) -> HoldError | None:
        with self.upkeep() as (upkeep, _, _):
            return upkeep.attempt(self.policy(), Noting())

    def sets(self) -> list[str]:
        with self.upkeep() as (_, on, _):
            return [one.name for one in on.sets()]

    def roots(self) -> list[str]:
        with self.book() as book:
            return [one.root for one in book.generations("me") if one.root is not None]

    def used(self) -> int:
        return sum(path.stat().st_size for one in self.there.servers for path in one.files)

    def duty(self, own: Callable[[Path], Own] | None = None) -> Duty:
        return Duty(self.home.directory / "state", os.geteuid(), own or (lambda _: self.home.own), self.setting)


def placed(path: Path, work: Callable[[Place], None], count: int = 2, generations: int = 2) -> None:
    """Run something, in a thread of its own, where there is a policy."""

    user = Home(path)

    async def inside() -> None:
        with contextlib.closing(user):
            async with home(path / "state", count) as (there, member):
                place = Place(user, member, there)
                with place.book() as book:
                    book.put(Policy("me", (), "/node", DAY, generations, right_now(), right_now()))
                await asyncio.to_thread(work, place)

    run(inside())


def test_each_round_keeps_what_there_is_and_ends_what_is_beyond_the_generations(tmp_path: Path) -> None:
    def work(place: Place) -> None:
        for number in range(4):
            place.put("letter", b"%d" % number * 50_000)
            assert place.round() is None
            place.later += DAY
            assert len(place.sets()) == min(number + 1, 2) and place.sets() == place.home.names() == place.home.pins()
        assert len(set(place.roots())) == 2
        with place.upkeep() as (_, on, _):
            made = place.home.opened.named(place.roots()[-1]).root
            assert on.keeps(verify_capability(made))  # type: ignore[arg-type]
        policy = place.policy()
        assert policy.done is not None and policy.done + DAY * 0.89 < policy.next < policy.done + DAY * 1.11

    placed(tmp_path, work)


def test_where_nothing_has_changed_nothing_is_kept_anew(tmp_path: Path) -> None:
    def work(place: Place) -> None:
        place.put("letter", b"a" * 50_000)
        assert place.round() is None
        sets, used, roots = place.sets(), place.used(), place.roots()
        place.later += DAY
        assert place.round() is None
        assert (place.sets(), place.used(), place.roots()) == (sets, used, roots)
        assert place.home.names() == sets and (place.policy().done or 0) >= right_now() + DAY - 60

    placed(tmp_path, work)


def test_what_did_not_change_is_not_sent_again(tmp_path: Path) -> None:
    def work(place: Place) -> None:
        place.put("large", random.Random(1).randbytes(2_000_000))
        assert place.round() is None
        used = place.used()
        place.put("small", b"b" * 10_000)
        assert place.round() is None
        assert place.used() - used < 200_000 < used

    placed(tmp_path, work, generations=3)


def test_whoever_failed_goes_on_with_the_same_snapshot_and_says_why(tmp_path: Path) -> None:
    def work(place: Place) -> None:
        place.put("letter", b"a" * 50_000)
        hints = {one.pin: one.hint for one in place.there.servers}
        place.member.override({})
        error = place.round()
        assert error is not None and not place.sets() and place.roots() == []
        policy, names = place.policy(), place.home.names()
        assert policy.failures == 1 and policy.said == str(error) and policy.done is None and len(names) == 1
        assert right_now() + 400 < policy.next < right_now() + 1400
        place.member.override(hints)
        place.put("letter", b"b" * 50_000)
        assert place.round() is None
        assert place.home.names() == names == place.sets() and place.policy().said == ""

    placed(tmp_path, work)


def test_a_snapshot_that_waited_for_a_period_is_made_anew(tmp_path: Path) -> None:
    def work(place: Place) -> None:
        place.put("letter", b"a" * 50_000)
        hints = {one.pin: one.hint for one in place.there.servers}
        place.member.override({})
        assert place.round() is not None
        (old,) = place.home.names()
        place.later += DAY
        place.member.override(hints)
        assert place.round() is None
        assert old not in place.home.names() and place.sets() == place.home.names()

    placed(tmp_path, work)


class Died(BaseException):
    """The process has ended here."""


@pytest.mark.slow
def test_whoever_died_at_any_step_leaves_nothing_behind_after_the_next_rounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before and after each write of the book, each keep and each end."""
    steps = [(PolicyBook, "begin"), (OnGrid, "keep"), (PolicyBook, "whole"), (PolicyBook, "succeeded"), (OnGrid, "end"),
             (PolicyBook, "strike")]  # fmt: skip

    def work(place: Place) -> None:
        number = 0
        for room, name in steps:
            for after in (False, True):
                real = getattr(room, name)

                def dying(*given: object, _real: Callable[..., object] = real, _after: bool = after) -> object:
                    if _after:
                        _real(*given)
                    raise Died

                number += 1
                place.put("letter", b"%d" % number * 30_000)
                with monkeypatch.context() as patch:
                    patch.setattr(room, name, dying)
                    with contextlib.suppress(Died):
                        place.round()
                place.later += DAY * 2
                number += 1
                place.put("letter", b"%d" % number * 30_000)
                assert place.round() is None
                with place.book() as book:
                    there = [one.name for one in book.generations("me")]
                assert there == place.sets() == place.home.names() == place.home.pins() and 1 <= len(there) <= 2
                place.later += DAY * 2

    placed(tmp_path, work)


def test_what_was_kept_before_somebody_died_stays_kept_however_late_that_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dying(*_given: object) -> None:
        raise Died

    def work(place: Place) -> None:
        place.put("letter", b"a" * 50_000)
        with monkeypatch.context() as patch, contextlib.suppress(Died):
            patch.setattr(PolicyBook, "whole", dying)
            place.round()
        sets = place.sets()
        place.later += DAY * 3
        assert place.round() is None
        assert len(sets) == 1 and place.sets() == sets == place.home.names() and len(place.roots()) == 1

    placed(tmp_path, work)


def test_a_policy_that_is_to_end_takes_its_sets_with_it_and_leaves_the_history(tmp_path: Path) -> None:
    def work(place: Place) -> None:
        place.put("letter", b"a" * 50_000)
        assert place.round() is None
        with place.book() as book:
            book.end("me")
        assert place.duty().once() == 1.0
        with place.book() as book:
            assert not book.all() and not book.generations("me")
        assert not place.sets() and place.used() == 0 and len(place.home.names()) == 1
        assert place.duty().once() == REST

    placed(tmp_path, work)


def test_what_is_lost_on_the_grid_is_kept_anew_though_nothing_has_changed(tmp_path: Path) -> None:
    def work(place: Place) -> None:
        place.put("letter", b"a" * 50_000)
        assert place.round() is None
        with place.upkeep() as (_, on, _):
            on.end(on.sets()[0].name)
        place.later += DAY
        assert place.round() is None
        assert len(place.sets()) == 1 and place.used() > 0

    placed(tmp_path, work)


def test_the_duty_waits_for_what_is_due_and_for_who_is_at_work(tmp_path: Path) -> None:
    def work(place: Place) -> None:
        with sidebyside.alone(place.member.directory / policies.TURNS, 0):
            assert place.duty().once() == 300 and not place.sets()
        assert place.duty().once() == 1.0 and len(place.sets()) == 1
        assert place.duty().once() == REST
        place.later = place.policy().next - right_now() - 50
        assert 40 < place.duty().once() <= 50

    placed(tmp_path, work)


def test_a_node_that_is_not_there_is_a_failure_that_is_noted(tmp_path: Path) -> None:
    def gone(_node: Path) -> Own:
        raise HoldError("call", Kind.UNREACHABLE, "/node", "nobody listens")

    def work(place: Place) -> None:
        place.duty(gone).once()
        assert "nobody listens" in place.policy().said and place.policy().failures == 1

    placed(tmp_path, work)


def test_a_book_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    def work(place: Place) -> None:
        (place.member.directory / policies.FILE).write_bytes(b"no book at all")
        assert place.duty().once() == REST

    placed(tmp_path, work)


def test_who_is_told_to_stop_ends_at_once_and_the_next_goes_on(tmp_path: Path) -> None:
    def work(place: Place) -> None:
        place.put("letter", b"a" * 50_000)
        duty = place.duty()
        duty.cancel()
        with pytest.raises(CancelledError):
            duty.once()
        assert not duty.busy and place.policy().failures == 0
        assert place.duty().once() == 1.0 and len(place.home.names()) == 1 == len(place.sets())

    placed(tmp_path, work)


@pytest.mark.slow
def test_the_agent_s_thread_does_what_is_due(tmp_path: Path) -> None:
    def work(place: Place) -> None:
        with Tending(tmp_path / "state", os.geteuid(), (0, 0), place.duty()):
            until(lambda: place.policy().done is not None, 0.05)
        assert len(place.sets()) == 1

    placed(tmp_path, work)
