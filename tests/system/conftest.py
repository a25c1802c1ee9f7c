"""What the tests of a mount share: a host with people, a mount of it, and a place for one test. See `mounts`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.mounts import Dweller, Host, Mount, host, mount


@pytest.fixture(scope="module")
def machine() -> Iterator[Host]:
    with host() as one:
        yield one


@pytest.fixture(scope="module")
def mounted(machine: Host) -> Iterator[Mount]:
    with mount(machine) as one:
        yield one


@pytest.fixture
def watched(machine: Host) -> Iterator[None]:
    with machine.watched():
        yield


@pytest.fixture
def alice(machine: Host) -> Dweller:
    return machine.alice


@pytest.fixture
def bob(machine: Host) -> Dweller:
    return machine.bob


@pytest.fixture
def spot(mounted: Mount, alice: Dweller, request: pytest.FixtureRequest) -> Path:
    """A directory of alice's, for one test."""
    return mounted.spot(alice, request.node.name)
