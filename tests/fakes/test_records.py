"""The fake passes the suite of the real one."""

import pytest

from tests.fakes.records import MemoryRecords
from tests.suites.records import *  # noqa: F403


@pytest.fixture
def records() -> MemoryRecords:
    return MemoryRecords()
