"""What runs beside a storage server goes on when a disk is full for a while."""

import asyncio
from typing import cast

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.storage.beside import Sweeping
from commonhold.storage.keeping import Keeper
from tests.waiting import SECONDS


class Full:
    """A keeper whose ledger's disk is full, once."""

    def __init__(self) -> None:
        self.sweeps = 0

    def sweep(self) -> int:
        self.sweeps += 1
        if self.sweeps == 1:
            raise HoldError("expire", Kind.DISK_FULL, "ledger", "no space left on device")
        return 0


def test_a_sweep_that_a_full_disk_stops_ends_no_server_and_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("commonhold.storage.beside._SWEEP_SECONDS", 0.0)
    said: list[str] = []

    async def work() -> None:
        keeper = Full()
        sweeping = asyncio.create_task(Sweeping(cast(Keeper, keeper), said.append).run())
        async with asyncio.timeout(SECONDS):
            while keeper.sweeps < 2:
                await asyncio.wait((sweeping,), timeout=0.01)
                assert not sweeping.done()
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)
        assert len(said) == 1 and "no space" in said[0]

    asyncio.run(work())
