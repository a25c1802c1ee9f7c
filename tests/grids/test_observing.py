"""A grid that is broken in each of the ways in which grids break, on loopback: what is seen of it, and what is said."""

import asyncio
import contextlib
import os
import socket
import time
from pathlib import Path

import pytest

from commonhold.authority.derived import Secret
from commonhold.crypto.statements import signed
from commonhold.exchange.book import Book, KeptSet
from commonhold.formats.announcement import Announcement
from commonhold.formats.blessing import STORAGE
from commonhold.formats.charter import Introducer
from commonhold.formats.hint import TcpHint
from commonhold.formats.revocations import Revocations
from commonhold.formats.statement import Kind
from commonhold.grids import files, health, holder, observing, reading, writing
from commonhold.grids.looking import SECONDS, World
from commonhold.grids.membership import Mode
from commonhold.host.health import Finding, Status
from commonhold.transport.rules import Rules, Way
from tests.exchange.grids import BLESSER, DAY, GRID, grid, now, revocations
from tests.gossip.statements import pin as mesh_pin
from tests.grids.blessers import GIB, Clock, blessing, joined, pin, seed, server_joined
from tests.grids.members import INTRO, Member, announced, closed, home
from tests.mesh.meshes import meshes
from tests.transport.ends import run

HOUR = 3600


async def look(member: Member, ahead: int = 0) -> list[Finding]:
    """What is said, by a clock that is so far ahead."""
    return await looked(member.directory, now() + ahead)


async def looked(directory: Path, at: int) -> list[Finding]:
    world = World(os.geteuid(), at)
    began = time.monotonic()
    found = health.judged(await observing.seen(observing.on_disk(directory, world), world))
    assert time.monotonic() - began < 3 * SECONDS
    return found


def said(found: list[Finding], check: str, status: Status) -> str:
    """What all findings of a check and status say, which there are."""
    told = [f"{one.said} | {one.remedy}" for one in found if one.check == f"family/{check}" and one.status is status]
    assert told, found
    return "\n".join(told)


def test_a_sound_grid_has_servers_that_answer_and_let_us_in(tmp_path: Path) -> None:
    async def work() -> None:
        async with home(tmp_path) as (_, member):
            found = await look(member)
            assert "2 of 2" in said(found, "servers", Status.OK)
            assert "2 others agree" in said(found, "clock", Status.OK)
            assert "let in" in said(found, "account", Status.OK) and said(found, "quota", Status.OK)
            assert said(found, "revocations", Status.OK)
            assert "does not answer" in said(found, "blessers", Status.WARN)  # it has no server in this grid
            assert len([one for one in found if one.status is not Status.OK]) == 1

    run(work())


def test_nothing_is_changed_by_a_look(tmp_path: Path) -> None:
    async def work() -> None:
        async with home(tmp_path, credentials=False) as (_, member):
            before = {path.name: path.read_bytes() for path in member.directory.rglob("*.[kty]*") if path.is_file()}
            await look(member)
            assert before == {one.name: one.read_bytes() for one in member.directory.rglob("*.[kty]*") if one.is_file()}

    run(work())


def test_a_server_that_is_dead_is_named(tmp_path: Path) -> None:
    async def work() -> None:
        async with home(tmp_path) as (there, member):
            await there.kill(0)
            found = await look(member)
            assert "s0 does not answer" in said(found, "servers", Status.WARN)
            assert "1 of 2 that are known" in said(found, "servers", Status.WARN)

    run(work())


@pytest.mark.slow
def test_a_server_that_takes_calls_and_never_answers_keeps_nobody(tmp_path: Path) -> None:
    async def work() -> None:
        with socket.socket() as mute:
            mute.bind(("127.0.0.1", 0))
            mute.listen()
            async with home(tmp_path) as (_, member):
                one, other = member.servers
                port = mute.getsockname()[1]
                member.override({one.pin: TcpHint("127.0.0.1", port), other.pin: other.hint})
                told = said(await look(member), "servers", Status.WARN)
                assert f"s0 does not answer: no answer within {SECONDS:g} s" in told and "1 of 2" in told

    run(work())


def test_a_server_with_another_key_is_told_from_one_that_is_away(tmp_path: Path) -> None:
    async def work() -> None:
        async with home(tmp_path) as (_, member):
            one, other = member.servers
            member.override({one.pin: other.hint, other.pin: other.hint})
            told = said(await look(member), "servers", Status.FAIL)
            assert "s0 is another" in told and str(other.pin) in told and "s1" not in told

    run(work())


def test_a_bad_clause_is_named_by_file_and_line_and_its_server_is_not_called(tmp_path: Path) -> None:
    async def work() -> None:
        async with home(tmp_path) as (_, member):
            path = member.directory / "override.yaml"
            path.write_text(path.read_text().replace("direct: true", "direct: perhaps", 1))
            found = await look(member)
            told = said(found, "files", Status.FAIL)
            assert "override.yaml:5:" in told and f"+5 {path}" in told and "not used until" in told
            assert "1 of 2 that are known" in said(found, "servers", Status.WARN)

    run(work())


def test_a_blessing_that_expired_is_told_with_its_end(tmp_path: Path) -> None:
    async def work() -> None:
        async with home(tmp_path, blessed={"not_before": now() - 2 * DAY, "not_after": now() - HOUR}) as (_, member):
            assert "s0: its blessing expired at" in said(await look(member), "blessings", Status.WARN)

    run(work())


def test_two_truths_of_a_blesser_are_found_in_what_is_kept(tmp_path: Path) -> None:
    async def work() -> None:
        other = Revocations(GRID, 1, now() - DAY, now() + DAY, (99,))
        both = [revocations(), signed(Kind.REVOCATIONS, other.body, BLESSER).encoded]
        async with home(tmp_path, lists=both) as (_, member):
            assert "two revocation lists" in said(await look(member), "revocations", Status.FAIL)

    run(work())


def test_credentials_that_were_taken_back_are_none(tmp_path: Path) -> None:
    async def work() -> None:
        async with home(tmp_path, lists=[revocations(7)]) as (_, member):
            told = said(await look(member), "account", Status.FAIL)
            assert "no credential that holds for s" in told and "s0" in told and "s1" in told

    run(work())


def test_what_others_can_read_is_told(tmp_path: Path) -> None:
    async def work() -> None:
        async with home(tmp_path) as (_, member):
            (member.directory / "grid.toml").chmod(0o644)
            assert f"chmod 600 {member.directory}/grid.toml" in said(await look(member), "files", Status.FAIL)

    run(work())


def test_a_lease_that_ends_soon_is_told(tmp_path: Path) -> None:
    async def work() -> None:
        async with home(tmp_path) as (_, member):
            with contextlib.closing(Book(member.directory / observing.BOOK)) as book:
                book.put_set(KeptSet("photos", bytes(32), 1, 2, now(), now() + DAY), ())
            assert "hold repair photos" in said(await look(member), "leases", Status.WARN)

    run(work())


# ── clocks ──


def test_a_clock_that_is_wrong_here_is_found_by_what_servers_say(tmp_path: Path) -> None:
    async def work() -> None:
        async with home(tmp_path) as (_, member):
            ahead = said(await look(member, ahead=2 * HOUR + 1800), "clock", Status.FAIL)
            assert (
                ahead.startswith("s0, s1 are at least")
                and "2 hours behind this clock" in ahead
                and "this one that is wrong" in ahead
            )
            behind = said(await look(member, ahead=-3 * HOUR - 1800), "clock", Status.FAIL)
            assert "3 hours ahead of this clock" in behind and "timedatectl" in behind

    run(work())


def test_a_clock_that_is_wrong_is_told_by_a_blesser_that_therefore_gives_nothing(tmp_path: Path) -> None:
    async def work() -> None:
        clock = Clock(now())
        async with blessing(tmp_path / "family", clock) as there:
            invitation = there.office.invite_account("alice", GIB, DAY)
            joined(invitation, tmp_path / "grids" / "family", clock).close()
            found = await looked(tmp_path / "grids" / "family", clock.now - 9 * DAY)
            assert "9 days ahead of this one: one of the two" in said(found, "clock", Status.WARN)
            assert "its clock and this one differ" in said(found, "account", Status.FAIL)

    run(work())


def test_a_list_from_the_future_tells_of_a_clock_that_is_behind(tmp_path: Path) -> None:
    async def work() -> None:
        async with home(tmp_path, credentials=False) as (_, member):
            told = said(await look(member, ahead=-9 * DAY), "clock", Status.WARN)
            assert "blesser g" in told and "at least 8 days ahead" in told

    run(work())


# ── blessers and introducers ──


def test_an_account_that_waits_for_a_person_is_told_from_one_whose_blesser_is_dead(tmp_path: Path) -> None:
    async def work() -> None:
        clock, path = Clock(now()), tmp_path / "grids" / "family"
        async with blessing(tmp_path / "family", clock) as there:
            joined(there.office.invite_account("alice", GIB, DAY), path, clock).close()
            found = await looked(path, clock.now)
            assert "1 of 1" in said(found, "blessers", Status.OK)
            assert "a newer one was given" in said(found, "revocations", Status.WARN)
            assert "none is known" in said(found, "servers", Status.FAIL)
            assert "its blesser grants it" in said(found, "account", Status.WARN)
            holder.drop_ticket(path)
            attic = server_joined(there.office.invite_server((STORAGE,), (), DAY), tmp_path / "attic", clock, seed(1))
            await attic.once()
            word = Announcement(
                there.charter.grid, STORAGE, pin(1), (), 1, clock.now + DAY, attic.blessings(STORAGE), "attic"
            )
            attic.close()
            data = signed(Kind.ANNOUNCEMENT, word.body, seed(1)).encoded
            files.write_cache(path, INTRO, [writing.Entry(data, reading.announced(data), clock.now)], Rules())
            found = await looked(path, clock.now)
            assert "its blesser grants it" in said(found, "account", Status.WARN)
            holder_of_another_key(path)
            found = await looked(path, clock.now)
            assert "for attic: it waits for a person's word" in said(found, "account", Status.FAIL)
        found = await looked(path, clock.now)
        assert "does not answer: tcp:127.0.0.1:" in said(found, "blessers", Status.WARN)
        assert "no blesser who could give one was reached" in said(found, "account", Status.FAIL)

    run(work())


def holder_of_another_key(directory: Path) -> None:
    """The account's name by a key that its blesser does not know."""
    (directory / holder.SECRET).unlink()
    holder.place_secret(directory, Secret(os.urandom(32)))


@pytest.mark.slow
def test_an_introducer_that_is_dead_and_one_that_shows_less_are_named(tmp_path: Path) -> None:
    async def work() -> None:
        async with grid(tmp_path, 1) as there, meshes(begun=time.time()) as mesh:
            nodes = [mesh.introducer(name, grids=frozenset((GRID,))) for name in ("one", "two")]
            nodes[0].mesh.publish(Kind.ANNOUNCEMENT, announced(there.servers[0]))
            known = tuple(Introducer(mesh_pin(node.name), (str(node.hint),)) for node in nodes)
            dead = Introducer(mesh_pin("dead"), (f"tcp:127.0.0.1:{closed()}",))
            member = Member(tmp_path / "grids" / "family", there.servers)
            member.write(introducers=(*known, dead))
            told = said(await look(member), "introducers", Status.WARN)
            assert str(dead.pin)[:10] in told and "2 of 3 do" in told
            assert f"{str(known[1].pin)[:10]}… does not show s0" in told and "hold why s0" in told
            assert str(known[0].pin)[:10] not in told

    run(work())


# ── anonymous ──


def test_who_is_anonymous_calls_nobody_but_the_proxys_port(tmp_path: Path) -> None:
    async def work() -> None:
        heard: list[bytes] = []

        async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.append(await reader.read())
            writer.close()

        listening = await asyncio.start_server(proxy, "127.0.0.1", 0)
        port = int(listening.sockets[0].getsockname()[1])
        rules = Rules(anonymous=True, tcp=Way.TOR, tor=TcpHint("127.0.0.1", port))
        dead = (Introducer(mesh_pin("dead"), (f"tcp:127.0.0.1:{port}",)),)
        async with home(tmp_path, rules=rules, mode=Mode.NONE, introducers=dead) as (_, member):
            found = await look(member)
            await asyncio.sleep(0)
            assert f"Tor's proxy tcp:127.0.0.1:{port} answers" in said(found, "proxy", Status.OK)
            assert "not called" in said(found, "introducers", Status.OK)
            listening.close()
            await listening.wait_closed()
            assert heard == [b""]
            found = await look(member)
            assert "refused" in said(found, "proxy", Status.FAIL) and "start tor" in said(found, "proxy", Status.FAIL)

    run(work())


def test_rules_that_are_anonymous_without_a_proxy_fail(tmp_path: Path) -> None:
    async def work() -> None:
        async with home(tmp_path, rules=Rules(anonymous=True), mode=Mode.NONE) as (_, member):
            assert "name no proxy" in said(await look(member), "rules", Status.FAIL)

    run(work())
