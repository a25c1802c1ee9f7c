"""A server's owner tells it what to do, the same whether it runs or not; nobody else does."""

import asyncio
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.ipc import control
from commonhold.ipc.peer import Peer
from commonhold.storage.orders import Orders
from commonhold.storage.places import UNBOUNDED
from tests.files import files
from tests.introducer.processes import Storage, hold, running
from tests.storage.keeping import Clock, Place, bytes_of, index_of

SIZE = 100_000


def orders(kept: Place) -> Orders:
    return Orders(kept.ledger, lambda: kept.keeper, True)


@pytest.mark.parametrize(
    "order",
    [
        {},
        {"do": "dance"},
        {"do": ["show"]},
        {"do": "add"},
        {"do": "add", "path": "relative"},
        {"do": "add", "path": "/a\0b"},
        {"do": "add", "path": "/" + "x" * 4096},
        {"do": "add", "path": 7},
        {"do": "add", "path": "/x", "limit": -1},
        {"do": "add", "path": "/x", "limit": True},
        {"do": "add", "path": "/x", "limit": "1G"},
        {"do": "add", "path": "/x", "limit": UNBOUNDED + 1},
        {"do": "drain", "path": ""},
        {"do": "cancel", "path": False},
    ],
)
def test_what_is_no_order_is_refused_and_changes_nothing(kept: Place, order: dict[str, Any]) -> None:
    before = orders(kept).do({"do": "show"})
    with pytest.raises(HoldError) as caught:
        orders(kept).do(order)
    assert caught.value.kind is Kind.USAGE
    assert orders(kept).do({"do": "show"}) == before


def test_a_shelf_that_there_is_not_is_neither_emptied_nor_kept(kept: Place, tmp_path: Path) -> None:
    for what in ("drain", "cancel"):
        with pytest.raises(HoldError) as caught:
            orders(kept).do({"do": what, "path": str(tmp_path / "elsewhere")})
        assert caught.value.kind is Kind.NOT_FOUND


def test_a_directory_that_cannot_take_shares_does_not_become_a_shelf(kept: Place, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(HoldError):
        orders(kept).do({"do": "add", "path": str(tmp_path / "file")})
    assert len(kept.ledger.shelves()) == 1


def test_all_of_it_is_shown(kept: Place, tmp_path: Path) -> None:
    kept.store(kept.account(), index_of(1), bytes_of(1, SIZE))
    assert orders(kept).do({"do": "add", "path": str(tmp_path / "more"), "limit": 10})["limit"] == 10
    with pytest.raises(HoldError) as caught:
        orders(kept).do({"do": "drain", "path": str(tmp_path / "shelf-0")})
    assert caught.value.kind is Kind.DISK_FULL and f"{SIZE} bytes are to be moved" in caught.value.why
    orders(kept).do({"do": "add", "path": str(tmp_path / "more"), "limit": None})
    told = orders(kept).do({"do": "drain", "path": str(tmp_path / "shelf-0")})
    assert [(row["bytes"], row["leaving"]) for row in told["shelves"]] == [(SIZE, kept.clock.now), (0, None)]
    told = orders(kept).do({"do": "cancel", "path": str(tmp_path / "shelf-0")})
    assert [row["leaving"] for row in told["shelves"]] == [None, None] and told["leaving"] is None
    told = orders(kept).do({"do": "drain"})
    assert (told["leaving"], told["accounts"], told["shares"], told["bytes"]) == (kept.clock.now, 1, 1, SIZE)
    assert orders(kept).do({"do": "cancel"})["leaving"] is None


def test_a_stranger_at_the_socket_is_not_heard(kept: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def told(socket: Path) -> control.Told | None:
        with ThreadPoolExecutor(1) as threads:
            async with control.listening(orders(kept).do, socket, threads):
                assert socket.stat().st_mode & 0o777 == 0o600
                return await asyncio.to_thread(control.tell, socket, {"do": "drain"})

    stranger = Peer(1, os.geteuid() + 4321, 0, foreign=False)
    with monkeypatch.context() as patched, pytest.raises(HoldError) as caught:
        patched.setattr(control, "credentials", lambda sock: stranger)
        asyncio.run(told(tmp_path / "control.sock"))
    assert caught.value.kind is Kind.DENIED and kept.keeper.leaving is None
    found = asyncio.run(told(tmp_path / "control.sock"))
    assert found is not None and found["leaving"] == kept.keeper.leaving == kept.clock.now


# ── as processes ──


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Storage]:
    """A server that keeps three shares of two accounts."""
    made = Storage(tmp_path / "state")
    with closing(Place(made.state, Clock(), ())) as kept:
        for name in range(3):
            kept.store(kept.account(name % 2), index_of(name), bytes_of(name, SIZE), until=4_000_000_000)
    yield made
    made.stop()


def show(server: Storage) -> list[dict[str, Any]]:
    return [json.loads(line) for line in hold("server", "show", str(server.state), "--json").splitlines()]


def read_all(server: Storage) -> None:
    with closing(Place(server.state, Clock(), ())) as kept:
        for name in range(3):
            assert kept.read(index_of(name)) == bytes_of(name, SIZE)
        kept.sweep()
        assert kept.files() <= kept.rows().keys()


@pytest.mark.slow
@pytest.mark.parametrize("runs", [True, False])
def test_a_disk_is_added_emptied_and_kept_whether_the_server_runs_or_not(
    server: Storage, tmp_path: Path, runs: bool
) -> None:
    state, first, disk = str(server.state), str(server.state / "shares"), str(tmp_path / "disk")

    def work() -> None:
        whole, *shelves = show(server)
        assert whole["pin"] == str(server.pin) and whole["runs"] is runs
        assert (whole["shares"], whole["accounts"]) == (3, 2)
        assert [(row["path"], row["bytes"]) for row in shelves] == [(first, 3 * SIZE)]
        assert "no other that could take" in hold("server", "drain", state, first, code=1)
        assert f"{disk}: 0 bytes of 1000 bytes" in hold("server", "add", state, disk, "--limit", "1000")
        assert "the others have room for 1000" in hold("server", "drain", state, first, code=1)
        hold("server", "add", state, disk, "--limit", "1G")
        assert "no longer one of the server's" in hold("server", "drain", state, first, "--wait")
        assert [(row["path"], row["bytes"]) for row in show(server)[1:]] == [(disk, 3 * SIZE)]
        hold("server", "add", state, first)
        assert not files(server.state / "shares")
        hold("server", "drain", state, disk, "--cancel")
        hold("server", "drain", state, disk, "--wait")
        assert [(row["path"], row["bytes"]) for row in show(server)[1:]] == [(first, 3 * SIZE)]
        assert "keeps no shares there" in hold("server", "drain", state, disk, code=1)

    if runs:
        with running(server):
            assert (server.state / "control.sock").stat().st_mode & 0o777 == 0o600
            work()
        assert not (server.state / "control.sock").exists()
    else:
        work()
    read_all(server)


@pytest.mark.slow
def test_a_server_leaves_says_what_it_has_and_when_that_is_nothing(server: Storage) -> None:
    state = str(server.state)
    said = hold("server", "drain", state)
    assert "leaving since 2" in said and "3 shares of 2 accounts left" in said
    server.start()
    assert "3 shares of 2 accounts left, 300000 bytes; the last lease ends 2031" in hold("server", "show", state)
    assert "it stays" in hold("server", "drain", state, "--cancel")
    assert show(server)[0]["leaving"] is None
    hold("server", "drain", state)
    assert server.stop() == ""
    with closing(Place(server.state, Clock(), ())) as kept:
        assert kept.keeper.leaving is not None
        for name in range(3):
            kept.keeper.drop(kept.account(name % 2), [index_of(name)])
    server.start()
    assert "no share is left, and it can be switched off" in hold("server", "drain", state, "--wait")
    assert "the last share has gone" in server.stop()
