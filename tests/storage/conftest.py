"""A place for shares."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.storage.keeping import Place, place


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Place]:
    with place(tmp_path) as made:
        yield made
