"""A node behind its socket is a block store like any other."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from commonhold.api import BlockStore
from commonhold.ipc.nodeclient import NodeStore
from tests.node.serving import serving
from tests.suites.blockstore import *  # noqa: F403


@pytest.fixture
def store(tmp_path: Path) -> Iterator[BlockStore]:
    with serving(tmp_path) as (config, _):
        opened = NodeStore(config.socket)
        yield opened
        opened.close()
