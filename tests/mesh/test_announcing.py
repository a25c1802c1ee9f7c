"""A server's own announcements: at once when something has changed, in good time otherwise, with numbers that grow."""

import random
from collections.abc import Iterable
from pathlib import Path

import pytest

from commonhold.crypto.statements import verified
from commonhold.errors import HoldError, Kind
from commonhold.formats import announcement, statement
from commonhold.formats.announcement import Announcement
from commonhold.formats.blessing import INTRODUCER, STORAGE
from commonhold.gossip.values import Config
from commonhold.mesh.announcing import LIFE, Announcer, Notice, Numbers
from commonhold.mesh.mesh import Mesh
from tests.gossip.statements import EPOCH, GRID, blessing, pin, seed
from tests.mesh.meshes import Meshes

HERE = ("tcp:198.51.100.1:1",)
PLAIN = Notice(GRID, STORAGE, HERE)


class Server:
    """An announcer whose time is the test's. Nothing here is connected."""

    def __init__(self, path: Path, *notices: Notice, now: float = EPOCH) -> None:
        self.here = Meshes(0.0, now)
        self.mesh = Mesh(Config(frozenset((GRID,)), False), self.here.setting(()))
        self.notices: Iterable[Notice] = notices
        self.warned: list[str] = []
        self.announcer = Announcer(
            self.mesh, seed("me"), pin("me"), Numbers(path / "announced"), lambda: self.notices,
            self.here.clock.time, random.Random(1).random, self.warned.append,
        )  # fmt: skip

    def look(self, seconds: float = 0.0) -> list[Announcement]:
        """Let time pass, and look; all that is announced then."""
        self.here.clock.set(self.here.clock.now() + seconds)
        self.announcer.look()
        return [_read(record.data) for record in self.mesh.machine.own()]


def _read(data: bytes) -> Announcement:
    return announcement.parse(verified(statement.Kind.ANNOUNCEMENT, data))


def test_what_is_announced_says_who_where_and_by_whose_word(tmp_path: Path) -> None:
    notice = Notice(GRID, STORAGE, HERE, (blessing("me"),), "attic")
    (said,) = Server(tmp_path, notice).look()
    assert said == Announcement(GRID, STORAGE, pin("me"), HERE, EPOCH, EPOCH + LIFE, (blessing("me"),), "attic")


def test_without_a_change_the_next_comes_long_before_the_end_and_not_sooner(tmp_path: Path) -> None:
    server = Server(tmp_path, PLAIN)
    (first,) = server.look()
    for _ in range(int(0.29 * LIFE) // 3600):
        assert server.look(3600) == [first]
    assert server.look(0.12 * LIFE) != [first]


def test_a_change_goes_out_at_once(tmp_path: Path) -> None:
    server = Server(tmp_path, PLAIN)
    numbers = [server.look()[0].sequence]
    for notice in (
        PLAIN._replace(addresses=("tcp:198.51.100.2:1",)),
        PLAIN._replace(blessings=(blessing("me"),)),
        PLAIN._replace(name="attic"),
    ):
        server.notices = [notice]
        (said,) = server.look()
        assert (said.addresses, said.blessings, said.name) == (notice.addresses, notice.blessings, notice.name)
        numbers.append(said.sequence)
    assert numbers == sorted(set(numbers))


def test_changes_without_end_are_announced_now_and_then(tmp_path: Path) -> None:
    server = Server(tmp_path)
    seen = set()
    for number in range(720):
        server.notices = [PLAIN._replace(name=f"n{number}")]
        seen.add(server.look(5)[0].sequence)
    assert len(seen) <= 8 + 720 * 5 / 60  # what introducers take
    assert len(seen) >= 30


def test_who_has_no_address_announces_nothing(tmp_path: Path) -> None:
    assert Server(tmp_path, PLAIN._replace(addresses=())).look() == []
    assert not (tmp_path / "announced").exists()


def test_each_purpose_is_announced(tmp_path: Path) -> None:
    found = Server(tmp_path, PLAIN, PLAIN._replace(purpose=INTRODUCER)).look()
    assert {said.purpose for said in found} == {STORAGE, INTRODUCER}


def test_numbers_grow_over_restarts_also_where_the_clock_was_set_back(tmp_path: Path) -> None:
    (first,) = Server(tmp_path, PLAIN).look()
    (second,) = Server(tmp_path, PLAIN, now=EPOCH - 5000).look()
    (third,) = Server(tmp_path, PLAIN, now=EPOCH + 5000).look()
    assert (first.sequence, second.sequence, third.sequence) == (EPOCH, EPOCH + 1, EPOCH + 5000)


def test_where_the_clock_is_set_back_while_it_runs_it_is_announced_anew(tmp_path: Path) -> None:
    server = Server(tmp_path, PLAIN)
    (first,) = server.look()
    (second,) = server.look(-3 * 86400)
    assert second.sequence > first.sequence and second.not_after < first.not_after


def test_what_cannot_be_announced_is_said_and_tried_again(tmp_path: Path) -> None:
    server = Server(tmp_path, PLAIN._replace(blessings=(bytes(4096),) * 8))
    assert server.look() == [] and len(server.warned) == 1
    server.notices = [PLAIN]
    assert len(server.look()) == 1


def test_a_file_of_numbers_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "announced").write_text("seven")
    with pytest.raises(HoldError) as caught:
        Numbers(tmp_path / "announced")
    assert caught.value.kind is Kind.CORRUPT
