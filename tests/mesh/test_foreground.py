"""A server in the foreground: it says where it listens and that it is ready, and ends when it is told to."""

import asyncio
import os
import signal
import socket
from pathlib import Path

import pytest

from commonhold.formats.hint import TcpHint, UnixHint
from commonhold.mesh import foreground
from tests.transport.ends import run
from tests.waiting import SECONDS


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_listens_and_ends_when_it_is_told(
    number: signal.Signals, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def work() -> list[bytes]:
        path = tmp_path / "socket"
        wanted: list[TcpHint | UnixHint] = [TcpHint("127.0.0.1", _free()), UnixHint(str(path))]
        listening = foreground.sockets(wanted)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(tmp_path / "notify"))
            environment = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
            async with foreground.until_told(wanted, environment) as stop:
                os.kill(os.getpid(), number)
                async with asyncio.timeout(SECONDS):
                    await stop.wait()
            said = [manager.recv(100), manager.recv(100)]
        where = [f"tcp:127.0.0.1:{listening[0].getsockname()[1]}", f"unix:{path}"]
        assert capsys.readouterr().err.splitlines() == [f"listening at {one}" for one in where]
        for one in listening:
            one.close()
        return said

    assert run(work()) == [b"READY=1", b"STOPPING=1"]


def _free() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
