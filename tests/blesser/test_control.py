"""The control socket hears its owner and root, and nobody else; what is no order is refused."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from commonhold.blesser.orders import Orders
from commonhold.errors import HoldError, Kind
from commonhold.ipc import control
from commonhold.ipc.peer import Peer
from commonhold.ipc.unixhttp import Client
from tests.grids.blessers import Clock, make_home, office
from tests.transport.ends import run


def told(path: Path, order: dict[str, object]) -> dict[str, object] | None:
    """An order given in a home whose blesser listens at `path`."""

    async def work() -> dict[str, object] | None:
        with office(path.parent, Clock()) as found, ThreadPoolExecutor(1) as threads:
            async with control.listening(Orders(found).do, path, threads):
                return await asyncio.to_thread(control.tell, path, order)

    return run(work())


@pytest.fixture
def socket(tmp_path: Path) -> Path:
    make_home(tmp_path / "family", "tcp:192.0.2.7:4653")
    return tmp_path / "family" / "control.sock"


def test_its_owner_is_heard(socket: Path) -> None:
    found = told(socket, {"do": "list"})
    assert found is not None and found["servers"] == []
    assert not socket.exists() and control.tell(socket, {"do": "list"}) is None


def test_what_is_wrong_comes_back_as_it_was_meant(socket: Path) -> None:
    with pytest.raises(HoldError) as error:
        told(socket, {"do": "revoke", "account": "nobody"})
    assert error.value.kind is Kind.NOT_FOUND and error.value.subject == "nobody"


def test_nobody_else_is_heard_though_they_came_as_far_as_the_socket(
    socket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = Peer(1, os.geteuid() + 4321, 0, foreign=False)
    monkeypatch.setattr(control, "credentials", lambda sock: stranger)
    with pytest.raises(HoldError) as error:
        told(socket, {"do": "list"})
    assert error.value.kind is Kind.DENIED


@pytest.mark.parametrize("body", [b"", b"[]", b"nonsense", b"\xff", b"7", b"[" * 50_000])
def test_what_is_no_order_is_refused(socket: Path, body: bytes) -> None:
    async def work() -> None:
        with office(socket.parent, Clock()) as found, ThreadPoolExecutor(1) as threads:
            async with control.listening(Orders(found).do, socket, threads):
                client = Client(socket, {os.geteuid()})
                with pytest.raises(HoldError) as error:
                    await asyncio.to_thread(client.call, "POST", "/v1/do", body)
                assert error.value.kind is Kind.INVALID
                client.close()

    run(work())
