"""A node behind its socket is a block store like any other, whether it shares memory with its callers or cannot."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from commonhold.api import BlockStore
from commonhold.ipc.nodeclient import NodeStore
from tests.node.serving import serving
from tests.suites.blockstore import *  # noqa: F403


def no_memory(*given: object) -> int:
    raise PermissionError


@pytest.fixture(params=["memory", "archives"])
def store(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[BlockStore]:
    if request.param == "archives":
        monkeypatch.setattr(os, "memfd_create", no_memory)
    with serving(tmp_path) as (config, _):
        opened = NodeStore(config.socket)
        yield opened
        opened.close()
