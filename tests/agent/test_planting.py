"""When an agent commits: a while after a change, at once when that presses, and what a process that died has left."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from commonhold.agent import planting
from commonhold.agent.opened import Served
from commonhold.agent.planting import Plants
from commonhold.blockstore.store import Store, create
from commonhold.volume import journal
from commonhold.volume.volume import Volume
from tests.agent.owning import ME
from tests.volume.volumes import make, write


@pytest.fixture
def state(tmp_path: Path) -> Path:
    create(tmp_path / "store")
    (tmp_path / "state").mkdir(mode=0o700)
    return tmp_path / "state"


def plants_of(state: Path) -> Plants:
    store: Any = Store(state.with_name("store"))
    return Plants(Served(state, store, os.geteuid()), Path("/node"))


@pytest.fixture
def plants(state: Path) -> Iterator[Plants]:
    found = plants_of(state)
    yield found
    found.close()


def committed(volume: Volume, seconds: float) -> bool:
    stop = time.monotonic() + seconds
    while volume.dirty_since is not None and time.monotonic() < stop:
        time.sleep(0.01)
    return volume.dirty_since is None


def test_a_long_journal_is_committed_without_waiting(plants: Plants, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planting, "_COMMIT_SECONDS", 60.0)
    monkeypatch.setattr(journal, "LONG", 10_000)
    volume = plants.own.volume(ME.owner)
    file = make(volume, b"f").number
    plants.touched()
    assert not committed(volume, 0.2)
    write(volume, file, 0, bytes(20_000))
    plants.touched()
    assert committed(volume, 20)


def test_what_a_process_that_died_has_left_is_committed_soon(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planting, "_COMMIT_SECONDS", 60.0)
    dead = plants_of(state)
    make(dead.own.volume(ME.owner), b"f")
    left = make(dead.own.volume(), b"").number
    cast(Volume, dead.own.opened).abandon()
    dead.close()
    monkeypatch.setattr(planting, "_COMMIT_SECONDS", 0.01)
    plants = plants_of(state)
    try:
        volume = plants.own.volume()
        assert committed(volume, 20) and volume.lookup(1, b"f").links == 1
        make(volume, b"")
        assert plants.own.orphans == [left]  # and nothing that somebody is about to make
    finally:
        plants.close()
