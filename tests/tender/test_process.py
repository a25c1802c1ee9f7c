"""A tender as a process, and an agent's thread that finds it: one has its directory, and it ends when told."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from commonhold.agent.tending import Tending
from commonhold.erasure.values import Shape
from commonhold.ipc import endpoint
from commonhold.ipc.tenderclient import Tender
from tests.exchange.grids import GRID
from tests.grids.members import home
from tests.tender.parties import keep
from tests.transport.ends import run
from tests.waiting import SECONDS

_RUN = """
import os, sys
from pathlib import Path
from commonhold.tender import main
main.run(main.Config(Path(sys.argv[1]), Path(sys.argv[2])), os.environ)
"""

pytestmark = pytest.mark.slow


@contextmanager
def process(state: Path) -> Iterator[tuple["subprocess.Popen[str]", Path]]:
    """A tender that answers."""
    with tempfile.TemporaryDirectory(prefix="hold-") as short:
        socket = Path(short) / "run" / "tender.sock"
        command = [sys.executable, "-c", _RUN, str(state), str(socket)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as made:
            try:
                until = time.monotonic() + SECONDS
                while not (socket.exists() and endpoint.answers(socket)):
                    assert made.poll() is None and time.monotonic() < until
                    time.sleep(0.02)
                yield made, socket
            finally:
                made.kill()


def test_an_agent_s_thread_hands_over_what_is_kept_and_a_tender_that_comes_back_has_it(tmp_path: Path) -> None:
    def grids(socket: Path) -> list[object]:
        with closing(Tender(socket, os.geteuid())) as tender:
            return list(tender.grids())

    async def work() -> None:
        async with home(tmp_path, 2) as (there, member):
            await keep(there, member, 1, shape=Shape(1, 2))
            state = tmp_path / "tender"
            with process(state) as (made, socket):
                with Tending(tmp_path, os.geteuid(), (0, 0), tender=socket):
                    while not await asyncio.to_thread(grids, socket):
                        await asyncio.sleep(0.05)
                made.send_signal(signal.SIGTERM)
                assert await asyncio.to_thread(made.wait, 30) == 0
                assert not socket.exists()
            with process(state) as (_, socket):
                assert await asyncio.to_thread(grids, socket) == [GRID]

    run(work())


def test_a_directory_has_one_tender_and_is_its_own(tmp_path: Path) -> None:
    state = tmp_path / "tender"
    with process(state):
        assert state.stat().st_mode & 0o777 == 0o700
        assert all(one.stat().st_mode & 0o077 == 0 for one in state.iterdir())
        second = [sys.executable, "-c", _RUN, str(state), str(tmp_path / "other.sock")]
        done = subprocess.run(second, capture_output=True, text=True, check=False, timeout=SECONDS)
        assert done.returncode and "in use by" in done.stderr
