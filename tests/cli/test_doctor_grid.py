"""`hold doctor` where grids were joined: it tells of each what is wrong, in words and with a line to paste."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import Hold, hold
from tests.grids.members import Member, home
from tests.transport.ends import run

__all__ = ["hold"]


def rows(hold: Hold, code: int) -> dict[str, list[dict[str, Any]]]:
    """What it says, by the name of the check."""
    found: dict[str, list[dict[str, Any]]] = {}
    for line in hold("doctor", "--json", code=code).stdout.splitlines():
        row = json.loads(line)
        assert (row["try"] is None) == (row["status"] == "OK"), row
        found.setdefault(row["check"], []).append(row)
    return found


@pytest.mark.slow
def test_a_broken_grid_is_explained_beside_one_that_cannot_be_read(hold: Hold, tmp_path: Path) -> None:
    async def work() -> None:
        async with home(tmp_path / "repo", 3) as (there, member):
            other = Member(tmp_path / "repo" / "grids" / "work", [])
            other.directory.mkdir(0o700)
            (other.directory / "grid.toml").write_text("mode = 7")
            await there.kill(0)
            (member.directory / "account.key").chmod(0o644)
            found = await asyncio.to_thread(rows, hold, 1)
            (broken,) = found["work/files"]
            assert broken["status"] == "FAIL" and "grid.toml" in broken["said"]
            (key,) = found["family/files"]
            assert "s0 does not answer" in found["family/servers"][0]["said"]
            assert key["status"] == "FAIL" and key["try"] == f"chmod 600 {member.directory}/account.key"
            (other.directory / "grid.toml").unlink()
            (member.directory / "account.key").chmod(0o600)
            found = await asyncio.to_thread(rows, hold, 0)
            assert [row["status"] for row in found["family/servers"]] == ["WARN", "WARN"]
            assert "s0 does not answer" in found["family/servers"][0]["said"]
            assert found["family/servers"][0]["try"] == "hold why s0"
            assert found["erasure code"]

    run(work())


def test_without_a_grid_nothing_is_said_of_grids(hold: Hold) -> None:
    found = rows(hold, 0)
    assert "erasure code" not in found and not any("/" in check for check in found)
