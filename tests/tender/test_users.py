"""Two users of a host at one tender's socket: who calls is what the kernel says."""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from commonhold.ipc import endpoint
from commonhold.tender.main import serve
from tests.exchange.grids import GRID
from tests.tender.parties import ALICE, BOB, Clock, setting, wards
from tests.transport.ends import run
from tests.waiting import SECONDS

_AS = """
import http.client, os, socket, sys
os.setgroups([]); os.setgid(int(sys.argv[1])); os.setuid(int(sys.argv[1]))
made = http.client.HTTPConnection("tender")
made.sock = socket.socket(socket.AF_UNIX)
made.sock.connect(sys.argv[2])
made.request(sys.argv[3], sys.argv[4], sys.argv[5].encode())
print(made.getresponse().read().decode())
"""

pytestmark = pytest.mark.root


async def call(uid: int, path: Path, method: str, where: str, said: object = None) -> Any:
    words = [sys.executable, "-c", _AS, str(uid), str(path), method, where, json.dumps(said)]
    done = await asyncio.to_thread(subprocess.run, words, capture_output=True, text=True, check=True, timeout=SECONDS)
    return json.loads(done.stdout)


def test_each_has_keys_and_wards_of_their_own(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to be somebody else")

    async def work() -> None:
        there, stop = wards(tmp_path, Clock()), asyncio.Event()
        for uid in (ALICE, BOB):
            (tmp_path / "tender" / "wards" / str(uid) / str(GRID)[:32]).mkdir(parents=True)
        with tempfile.TemporaryDirectory(prefix="hold-") as short, ThreadPoolExecutor(2) as threads:
            Path(short).chmod(0o755)
            path = Path(short) / "run" / "tender.sock"
            listening: list[socket.socket] = [endpoint.listen(path, 0o666, 0o755)]
            task = asyncio.create_task(serve(there, setting(Clock()), listening, threads, {}, stop))
            asked = {"grid": GRID.hex(), "servers": [bytes(32).hex()]}
            keys = [await call(uid, path, "POST", "/v1/keys", asked) for uid in (ALICE, BOB)]
            assert keys[0] != keys[1] and keys[0] == await call(ALICE, path, "POST", "/v1/keys", asked)
            assert await call(ALICE, path, "POST", "/v1/forget", {"grid": GRID.hex()}) == {}
            left = [list((tmp_path / "tender" / "wards" / str(uid)).iterdir()) for uid in (ALICE, BOB)]
            assert [len(one) for one in left] == [0, 1]
            wrong: tuple[object, ...] = ([], {"grid": "x"}, {"grid": GRID.hex()[2:]}, None)
            for said in wrong:
                assert "why" in await call(BOB, path, "POST", "/v1/forget", said)
            assert "why" in await call(BOB, path, "PUT", "/v1/charge", "no charge")
            stop.set()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    run(work())
