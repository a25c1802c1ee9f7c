"""`hold keep` as it is typed: what is kept, until when, how it is, and the end of it."""

import asyncio
import contextlib
import json
import sqlite3
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import Hold, hold, last
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


def _due(path: Path, ago: int = 1, done: int | None = None) -> None:
    """It is the turn of every policy; the last success was so many seconds ago."""
    with contextlib.closing(sqlite3.connect(path / "repo/grids/family/policies.sqlite")) as db, db:
        db.execute("update policies set next = ?", (int(time.time()) - ago,))
        if done is not None:
            db.execute("update policies set done = ?", (int(time.time()) - done,))


@pytest.mark.slow
def test_a_path_of_the_own_tree_is_kept_again_and_again(hold: Hold, tmp_path: Path) -> None:
    letters = tmp_path / "letters"
    letters.mkdir()

    async def work(there: Grid) -> None:
        def first() -> None:
            (letters / "one").write_bytes(b"one" * 9000)
            hold("put", str(letters), "--local")
            root = last(hold("keep", "/hold/me/letters", "--every", "1d"))
            assert last(hold("cat", f"{root}/one")) == "one" * 9000
            (row,) = [row for row in rows(hold, "keep") if "every" in row]
            assert (row["name"], row["path"], row["every"], row["kept"]) == ("letters", "/hold/me/letters", 86_400, 1)
            assert row["root"] == root and row["done"] and row["next"] > row["done"] and not row["said"]
            assert rows(hold, "keep", "--due") == [] and rows(hold, "check", "letters")[0]["whole"]

        def again() -> None:
            for number in range(3):
                (letters / "two").write_bytes(b"%d" % number * 9000)
                hold("put", str(letters), "--local")
                _due(tmp_path)
                root = last(hold("keep", "--due"))
                assert last(hold("cat", f"{root}/two")) == str(number) * 9000
            listed = rows(hold, "keep")
            assert len(listed) == 3 and listed[0]["root"] == root and listed[0]["kept"] == 2
            assert len(hold("history").stdout.splitlines()) == 2
            said = hold("keep", "/hold/me/letters", "--every", "12h", "--generations", "1").stdout.decode()
            assert (
                "kept on family every 720 min, 2 of 1 generation; last on 20" in said and said.splitlines()[-1] == root
            )
            _due(tmp_path)
            hold("keep", "--due")
            assert rows(hold, "keep")[0]["kept"] == 1

        def said() -> None:
            assert rows(hold, "status")[0]["kept"] == []
            _due(tmp_path, done=2 * 43_200 + 5)
            (late,) = rows(hold, "status")[0]["kept"]
            assert late["name"] == "letters" and late["wrong"] == "by its policy nothing was kept for 24 hours"
            found = [row for row in rows(hold, "doctor") if row["check"] == "family/policies"]
            assert [(row["status"], row["try"]) for row in found] == [("WARN", "hold keep --due")]

        def refused() -> None:
            hold("put", str(letters / "one"), "/hold/me/more/letters", "--local", code=None)
            assert (
                b"kept under that name" in hold("keep", "/hold/me", "--every", "1d", "--name", "letters", code=1).stderr
            )
            hold("keep", "/hold/me/letters", code=2)
            hold("keep", "/hold/me/letters", "--every", "5m", code=2)
            hold("keep", "/hold/me/letters", "--every", "1d", "--generations", "0", code=2)
            hold("keep", sealed(hold, tmp_path, "x", b"x"), "--every", "1d", code=2)
            hold("keep", "--due", "--end", "letters", code=2)
            hold("keep", "/hold/me/gone", "--every", "1d", code=1)
            assert [row["said"] != "" for row in rows(hold, "keep") if "every" in row] == [True, False]
            hold("keep", "--end", "gone")

        def ended() -> None:
            (done,) = rows(hold, "keep", "--end", "letters")
            assert done["name"] == "letters" and done["told"] == 3
            assert rows(hold, "keep") == [] and all(row["used"] == 0 for row in rows(hold, "quota"))
            hold("keep", "--end", "letters", code=1)

        for part in (first, again, said, refused, ended):
            await asyncio.to_thread(part)

    on_grid(tmp_path, work)


@pytest.mark.slow
def test_what_cannot_be_kept_now_is_said_and_tried_again(hold: Hold, tmp_path: Path) -> None:
    async def work(there: Grid) -> None:
        def both() -> None:
            (tmp_path / "one").write_bytes(b"one")
            hold("put", str(tmp_path / "one"), "--local")
            done = hold("keep", "/hold/me", "--every", "1h", code=None)
            assert done.returncode and b"it is tried again" in done.stderr
            (row,) = rows(hold, "keep")
            assert row["name"] == "me" and row["done"] is None and row["said"] and row["root"] is None
            _due(tmp_path)
            hold("keep", "--due", code=1)

        for number in range(3):
            await there.kill(number)
        await asyncio.to_thread(both)

    on_grid(tmp_path, work)


@pytest.mark.slow
def test_an_agent_keeps_what_is_due_and_has_the_tree_that_commands_have(hold: Hold, tmp_path: Path) -> None:
    def one(name: str) -> None:
        (tmp_path / name).write_bytes(name.encode() * 9000)
        hold("put", str(tmp_path / name), "--local")

    async def work(there: Grid) -> None:
        def served() -> None:
            hold("up")
            try:
                one("one")
                root = last(hold("keep", "/hold/me", "--every", "1h"))
                assert last(hold("cat", f"{root}/one")) == "one" * 9000
                one("two")
                _due(tmp_path)
                (row,) = rows(hold, "keep", "--due")
                assert last(hold("cat", f"{row['root']}/two")) == "two" * 9000 and row["kept"] == 2
                assert rows(hold, "keep", "--end", "me")[0]["told"] == 3 and rows(hold, "keep") == []
            finally:
                hold("down")

        await asyncio.to_thread(served)

    on_grid(tmp_path, work)
