"""The local store passes the suite, also after it was closed and opened again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from commonhold.blockstore.store import Store, create
from tests.suites.blockstore import *  # noqa: F403


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    create(tmp_path / "store")
    with Store(tmp_path / "store") as opened:
        yield opened
