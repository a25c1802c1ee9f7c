"""The fake passes the suite of the real one."""

import pytest

from tests.fakes.vault import MemoryVault
from tests.suites.vault import *  # noqa: F403


@pytest.fixture
def vault() -> MemoryVault:
    return MemoryVault()
