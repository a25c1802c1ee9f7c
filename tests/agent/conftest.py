"""What tests of a user's own tree share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.owning import Home


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    found = Home(tmp_path)
    yield found
    found.close()
