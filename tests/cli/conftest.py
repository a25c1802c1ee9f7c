"""No daemon outlives the test that started it, however that ended."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.running import end_daemons


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Ends what a test's own directory still has at work."""
    yield
    place = request.node.funcargs.get("tmp_path")
    if isinstance(place, Path):
        end_daemons(place)
