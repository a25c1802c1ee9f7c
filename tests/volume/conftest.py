"""A place for a volume, and the volume."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from commonhold.volume.volume import Volume
from tests.volume.volumes import Place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    (tmp_path / "volume").mkdir()
    with contextlib.closing(Place(tmp_path / "volume")) as place:
        yield place


@pytest.fixture
def volume(place: Place) -> Volume:
    return place.open()
