"""What a client knows of its grid lies in files, which are read again after seconds, and not for each server."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from commonhold.exchange.badge import Badge
from commonhold.formats.keys import Seed
from commonhold.formats.pin import SpkiPin
from commonhold.grids.client import GridClient
from commonhold.grids.member import Member
from tests.exchange import grids
from tests.exchange.grids import Server
from tests.exchange.members import KnownGrid


class Counted(KnownGrid):
    """How often badges were made, and whether there are any."""

    def __init__(self, directory: Path, servers: Sequence[Server]) -> None:
        super().__init__(directory, servers)
        self.asked: Counter[SpkiPin] = Counter()
        self.let_in = True

    def badge(self, server: SpkiPin) -> Badge | None:
        self.asked[server] += 1
        return super().badge(server) if self.let_in else None

    def standing_at(self, server: SpkiPin) -> str:
        return "nobody there"


class Clock:
    """Seconds since 1970, that go by when the test says so."""

    def __init__(self) -> None:
        self.now = grids.now()

    def __call__(self) -> int:
        return self.now


def made(directory: Path, count: int) -> tuple[Counted, GridClient, Clock]:
    servers = [Server(Seed(bytes([number]) * 32), directory, *[cast(Any, None)] * 5) for number in range(1, count + 1)]
    known, clock = Counted(directory / "family", servers), Clock()
    known.reached({})
    known.shown({})
    return known, GridClient(cast(Member, known), os.getuid(), clock, os.urandom), clock


def test_a_badge_is_made_once_for_each_server_until_the_files_are_read_again(tmp_path: Path) -> None:
    known, client, clock = made(tmp_path, 3)
    for _ in range(4):
        assert all(verdict.allowed for verdict in client.verdicts().values()) and len(client.verdicts()) == 3
    assert set(known.asked.values()) == {1}
    client.forget()
    client.verdicts()
    assert set(known.asked.values()) == {2}
    clock.now += 10
    client.verdicts()
    assert set(known.asked.values()) == {3}


def test_that_there_is_no_badge_is_not_remembered(tmp_path: Path) -> None:
    known, client, _ = made(tmp_path, 2)
    known.let_in = False
    assert [verdict.said for verdict in client.verdicts().values()] == ["nobody there"] * 2
    known.let_in = True
    assert all(verdict.allowed for verdict in client.verdicts().values())
