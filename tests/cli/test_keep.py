"""`hold keep` as it is typed: what is kept, until when, how it is, and the end of it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import Hold, hold
from tests.exchange.grids import Grid
from tests.grids.members import home
from tests.transport.ends import run

__all__ = ["hold"]


def rows(hold: Hold, *words: str, code: int = 0) -> list[dict[str, Any]]:
    return [json.loads(line) for line in hold(*words, "--json", code=code).stdout.splitlines()]


def on_grid(path: Path, work: Callable[[Grid], Awaitable[None]], count: int = 3) -> None:
    """Run something where the repository has joined a grid of so many servers."""

    async def inside() -> None:
        async with home(path / "repo", count) as (there, _):
            await work(there)

    run(inside())


def sealed(hold: Hold, path: Path, name: str, data: bytes) -> str:
    """Add something sealed; the capability that opens it."""
    (path / name).write_bytes(data)
    return hold("add", "--sealed", str(path / name)).stdout.decode().split()[-1]


@pytest.mark.slow
def test_what_is_kept_no_longer_is_charged_no_longer_and_who_was_not_told_is_named(hold: Hold, tmp_path: Path) -> None:
    async def work(there: Grid) -> None:
        def both() -> None:
            first, second = (sealed(hold, tmp_path, name, name.encode() * 5000) for name in ("one", "two"))
            for name, root in (("one", first), ("two", second), ("again", first)):
                hold("keep", root, "--name", name)
            (ended,) = rows(hold, "keep", "--end", "one")
            assert ended["name"] == "one" and ended["told"] == 3 and not ended["untold"]
            assert {row["name"] for row in rows(hold, "keep")} == {"again", "two"}
            assert rows(hold, "check", "again")[0]["whole"]
            hold("keep", "--end", second)  # as its capability says, too
            hold("keep", "--end", "one", code=1)
            hold("keep", first, "--end", "again", code=2)

        await asyncio.to_thread(both)
        await there.kill(0)
        said = (await asyncio.to_thread(hold, "keep", "--end", "again")).stdout.decode()
        assert "no longer kept on family; 2 servers told" in said and "s0 was not told" in said and " by 20" in said
        used = await asyncio.to_thread(rows, hold, "quota")
        assert sorted(str(row["used"]) for row in used) == ["0", "0", "None"]

    on_grid(tmp_path, work)


@pytest.mark.slow
def test_what_was_put_and_no_grid_took_is_said_to_be_in_the_own_tree(hold: Hold, tmp_path: Path) -> None:
    async def work(there: Grid) -> None:
        (tmp_path / "note").write_bytes(b"note")
        done = await asyncio.to_thread(hold, "put", str(tmp_path / "note"))
        assert b"/hold/me/note: kept 1-of-3 on family as " in done.stdout
        await there.kill(0)
        said = (await asyncio.to_thread(hold, "put", str(tmp_path / "note"), code=11)).stderr
        assert b"it is in /hold/me, and not on a grid" in said and b"try: hold doctor" in said
        assert (await asyncio.to_thread(hold, "cat", "/hold/me/note")).stdout == b"note"

    on_grid(tmp_path, work)


@pytest.mark.slow
def test_the_list_the_status_and_the_doctor_say_how_what_is_kept_was_when_it_was_looked_at(
    hold: Hold, tmp_path: Path
) -> None:
    async def work(there: Grid) -> None:
        def whole() -> None:
            hold("keep", sealed(hold, tmp_path, "one", b"one" * 5000), "--name", "one")
            (row,) = rows(hold, "keep")
            assert (row["state"], row["looked"]) == (None, None) and row["until"] > row["made"] + 89 * 86_400
            hold("check", "one")
            (row,) = rows(hold, "keep")
            assert row["state"] == "whole" and row["looked"] >= row["made"] and row["next"] >= row["looked"]
            said = hold("keep").stdout.decode()
            assert (
                "one: kept 1-of-3 on family, 1 pack; whole when looked at on 20" in said and "; leases until 2" in said
            )
            assert rows(hold, "status")[0]["kept"] == []

        def damaged() -> None:
            hold("check", "one", code=16)
            assert b"hold repair one" in hold("check", "one", code=16).stderr
            assert rows(hold, "keep")[0]["state"] == "readable"
            assert "kept:       one on family: shares of it are missing" in hold("status").stdout.decode()
            kept = [row for row in rows(hold, "doctor", code=0) if row["check"] == "family/kept"]
            assert [(row["status"], row["try"]) for row in kept] == [("WARN", "hold repair one")]

        await asyncio.to_thread(whole)
        await there.kill(0)
        await asyncio.to_thread(damaged)

    on_grid(tmp_path, work)
