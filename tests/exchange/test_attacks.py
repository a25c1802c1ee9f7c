"""What is tried at a storage server's door and behind it, over real connections, and where each of it ends.

REQUIREMENTS B4, B18, B19, B20, B21, B22, B29. docs/spec/door.md, docs/spec/storage.md.
"""

import asyncio
import contextlib
from pathlib import Path

from commonhold.crypto import sign
from commonhold.errors import Kind
from commonhold.formats import storagewords
from commonhold.formats.keys import Seed
from commonhold.formats.pin import GridId
from commonhold.transport import tls
from tests.exchange.attackers import (
    ALICE,
    BOB,
    LATER,
    MALLORY,
    altered,
    credential,
    index_of,
    line,
    on_grid,
    path_of,
    warrant,
)  # fmt: skip
from tests.exchange.grids import DAY, Grid, Server, now, revocations

INDEX = index_of("a share")
DATA = b"alice's bytes" * 100
NODE = Seed(b"n" * 32)
OTHER_GRID = GridId(sign.public_key(Seed(b"g" * 32)))
SKEW = 300
NOT_THERE = (Kind.NOT_FOUND, "Not Found")


# ── credentials ──


def test_a_credential_without_its_key_is_worth_nothing(tmp_path: Path) -> None:
    """B20, B21."""

    async def work(there: Grid) -> None:
        (server,) = there.servers
        stolen = credential(server.pin, ALICE)
        async with line(server) as mine:
            kind, why = await mine.kept_out(MALLORY, stolen)
            assert kind is Kind.DENIED and "its key signed neither the entry nor a warrant" in why
            assert await mine.enter(ALICE, stolen)

    on_grid(tmp_path, 1, work)


def test_a_credential_of_one_server_is_none_at_another(tmp_path: Path) -> None:
    """B21."""

    async def work(there: Grid) -> None:
        here, elsewhere = there.servers
        async with line(elsewhere) as mine:
            kind, why = await mine.kept_out(ALICE, credential(here.pin, ALICE))
            assert kind is Kind.DENIED and f"another server's: {here.pin}" in why

    on_grid(tmp_path, 2, work)


def test_a_credential_by_a_blesser_of_one_s_own_is_none(tmp_path: Path) -> None:
    """B4, B22."""

    async def work(there: Grid) -> None:
        (server,) = there.servers
        async with line(server) as mine:
            kind, why = await mine.kept_out(MALLORY, credential(server.pin, MALLORY, by=MALLORY))
            assert kind is Kind.BLESSING and "by a blesser whose word does not count here" in why

    on_grid(tmp_path, 1, work)


def test_a_credential_in_the_blesser_s_name_that_it_did_not_sign_is_none(tmp_path: Path) -> None:
    """B20: also one that says more than was signed."""

    async def work(there: Grid) -> None:
        (server,) = there.servers
        sound = credential(server.pin, MALLORY, quota=1 << 30)
        assert sound.count((1 << 30).to_bytes(4)) == 1
        more = sound.replace((1 << 30).to_bytes(4), (1 << 31).to_bytes(4))
        for forged in (altered(sound), more):
            async with line(server) as mine:
                kind, why = await mine.kept_out(MALLORY, forged)
                assert kind is Kind.DENIED and "its signature is wrong" in why

    on_grid(tmp_path, 1, work)


def test_a_credential_lets_in_within_its_time_only(tmp_path: Path) -> None:
    """B20."""

    async def work(there: Grid) -> None:
        (server,) = there.servers
        past, future = now() - SKEW - 1, now() + SKEW + 60
        async with line(server) as mine:
            kind, why = await mine.kept_out(ALICE, credential(server.pin, ALICE, not_after=past))
            assert kind is Kind.BLESSING and "expired at" in why
            kind, why = await mine.kept_out(ALICE, credential(server.pin, ALICE, not_before=future))
            assert kind is Kind.BLESSING and "not valid before" in why

    on_grid(tmp_path, 1, work)


def test_a_revoked_credential_lets_nobody_in(tmp_path: Path) -> None:
    """B8, B20."""

    async def work(there: Grid) -> None:
        (server,) = there.servers
        server.gate.hear(revocations(5, sequence=2))
        async with line(server) as mine:
            kind, why = await mine.kept_out(ALICE, credential(server.pin, ALICE, serial=5))
            assert kind is Kind.BLESSING and "revoked" in why
            assert await mine.enter(ALICE, credential(server.pin, ALICE, serial=6))

    on_grid(tmp_path, 1, work)


def test_who_is_revoked_within_stores_nothing_from_then_on_and_what_is_there_is_read(tmp_path: Path) -> None:
    """B4, B8: also an upload that had begun is never finished."""

    async def work(there: Grid) -> None:
        (server,) = there.servers
        under_way = index_of("under way")
        async with line(server) as mine, line(server) as anybody:
            facet = await mine.facet(ALICE, credential(server.pin, ALICE, serial=5))
            await mine.store(facet, INDEX, DATA)
            await mine.done("POST", f"{facet}/uploads/{under_way}", storagewords.begin(10, LATER))
            await mine.done("PUT", f"{facet}/uploads/{under_way}?at=0", b"12345")
            server.gate.hear(revocations(5, sequence=2))
            for method, path, body in (
                ("POST", f"{facet}/uploads/{index_of('new')}", storagewords.begin(10, LATER)),
                ("PUT", f"{facet}/uploads/{under_way}?at=5", b"67890"),
                ("POST", f"{facet}/uploads/{under_way}/finish", storagewords.finish(bytes(32))),
            ):
                assert await mine.refused(method, path, body) == NOT_THERE
            kind, _ = await mine.kept_out(ALICE, credential(server.pin, ALICE, serial=5))
            assert kind is Kind.BLESSING
            assert await mine.read(INDEX) == await anybody.read(INDEX) == DATA

    on_grid(tmp_path, 1, work)


def test_whoever_withholds_revocations_gains_no_time_to_store(tmp_path: Path) -> None:
    """B8: by a list that is stale one may be in, and put nothing."""

    async def work(there: Grid) -> None:
        (server,) = there.servers
        async with line(server) as mine:
            lasting = credential(server.pin, ALICE, not_after=now() + 9 * DAY)
            await mine.store(await mine.facet(ALICE, lasting), INDEX, DATA)
            server.clock.ahead = 2 * DAY
            facet = await mine.facet(ALICE, lasting, time=server.clock())
            begin = storagewords.begin(10, LATER)
            kind, why = await mine.refused("POST", f"{facet}/uploads/{index_of('new')}", begin)
            assert kind is Kind.BLESSING and "stale" in why
            assert storagewords.decode_use(await mine.done("GET", f"{facet}/account")).used == len(DATA)
            assert await mine.read(INDEX) == DATA

    on_grid(tmp_path, 1, work)


def test_a_client_of_another_grid_stays_outside(tmp_path: Path) -> None:
    """B28, B29: also where one key blesses for both."""

    async def work(there: Grid) -> None:
        (server,) = there.servers
        async with line(server) as mine:
            theirs = credential(server.pin, ALICE, grid=OTHER_GRID)
            kind, why = await mine.kept_out(ALICE, theirs, grid=OTHER_GRID)
            assert kind is Kind.DENIED and f"the entry was signed for {OTHER_GRID}" in why
            kind, why = await mine.kept_out(ALICE, theirs)
            assert kind is Kind.DENIED and f"of another grid: {OTHER_GRID}" in why

    on_grid(tmp_path, 1, work)


# ── entries ──


def test_a_server_cannot_enter_another_with_what_its_client_signed_for_it(tmp_path: Path) -> None:
    """B21: it hands on the other one's nonce as its own, and what the client answers."""

    async def work(there: Grid) -> None:
        wicked, other = there.servers
        async with line(wicked) as client, line(other) as relay:
            nonce = await relay.nonce()
            signed_for_it = await client.showing(ALICE, credential(other.pin, ALICE), nonce=nonce)
            kind, why = await relay.refused("POST", "/v1/door/enter", signed_for_it)
            assert kind is Kind.DENIED and f"the entry was signed for {wicked.pin}" in why

    on_grid(tmp_path, 2, work)


def test_an_entry_is_of_no_use_over_another_connection_than_it_was_signed_for(tmp_path: Path) -> None:
    """B21: the relay's own nonce and everything else is right."""

    async def work(there: Grid) -> None:
        (server,) = there.servers
        async with line(server) as client, line(server) as relay:
            shown = await client.showing(ALICE, credential(server.pin, ALICE), nonce=await relay.nonce())
            kind, why = await relay.refused("POST", "/v1/door/enter", shown)
            assert kind is Kind.DENIED and "signed for another connection" in why

    on_grid(tmp_path, 1, work)


def test_a_handshake_that_was_overheard_lets_nobody_else_in_and_keeps_its_owner_not_out(tmp_path: Path) -> None:
    """B21: shown by another before, and after."""

    async def work(there: Grid) -> None:
        (server,) = there.servers
        async with line(server) as client, line(server) as thief:
            shown = await client.showing(ALICE, credential(server.pin, ALICE))
            for _ in range(2):
                kind, why = await thief.refused("POST", "/v1/door/enter", shown)
                assert kind is Kind.DENIED and "signed for another connection" in why
            assert await client.done("POST", "/v1/door/enter", shown)
            kind, _ = await thief.refused("POST", "/v1/door/enter", shown)
            assert kind is Kind.DENIED

    on_grid(tmp_path, 1, work)


def test_a_nonce_is_good_once_for_one_connection_and_not_for_long(tmp_path: Path) -> None:
    """B21."""

    async def work(there: Grid) -> None:
        (server,) = there.servers
        refused = (Kind.DENIED, "the nonce was not given to this connection, was used, or is too old")
        mine = credential(server.pin, ALICE)
        async with line(server) as client, line(server) as other:
            shown = await client.showing(ALICE, mine)
            assert await client.done("POST", "/v1/door/enter", shown)
            assert await client.refused("POST", "/v1/door/enter", shown) == refused
            assert await client.kept_out(ALICE, mine, nonce=await other.nonce()) == refused
            late = await client.showing(ALICE, mine)
            server.clock.ahead = 61
            assert await client.refused("POST", "/v1/door/enter", late) == refused

    on_grid(tmp_path, 1, work)


def test_an_entry_that_its_key_did_not_sign_or_at_another_time_is_refused(tmp_path: Path) -> None:
    """B21."""

    async def work(there: Grid) -> None:
        (server,) = there.servers
        mine = credential(server.pin, ALICE)
        async with line(server) as client:
            shown = storagewords.decode_showing(await client.showing(ALICE, mine))
            forged = storagewords.Showing(shown.credentials, altered(shown.entry)).encoded
            kind, why = await client.refused("POST", "/v1/door/enter", forged)
            assert kind is Kind.DENIED and "the entry's signature is wrong" in why
            for time in (now() - SKEW - 2, now() + SKEW + 60):
                kind, why = await client.kept_out(ALICE, mine, time=time)
                assert kind is Kind.DENIED and "signed at" in why

    on_grid(tmp_path, 1, work)


# ── warrants ──


def test_a_warrant_lets_in_whom_it_names_where_and_while_it_says_for_whose_it_is(tmp_path: Path) -> None:
    """B20, B21."""

    async def work(there: Grid) -> None:
        server, other = there.servers
        alices = credential(server.pin, ALICE)
        cases = {
            "another holder": warrant(server.pin, ALICE, MALLORY),
            "it is for": warrant(other.pin, ALICE, NODE),
            f"it is for {OTHER_GRID}": warrant(server.pin, ALICE, NODE, grid=OTHER_GRID),
            "it expired": warrant(server.pin, ALICE, NODE, not_after=now() - SKEW - 1),
            "it is not valid before": warrant(server.pin, ALICE, NODE, not_before=now() + SKEW + 60),
            "its signature is wrong": altered(warrant(server.pin, ALICE, NODE)),
            "another client's": warrant(server.pin, BOB, NODE),
        }
        async with line(server) as node:
            for said, shown in cases.items():
                kind, why = await node.kept_out(NODE, alices, with_warrant=shown)
                assert kind is Kind.DENIED and said in why, said
            sound = await node.enter(NODE, alices, with_warrant=warrant(server.pin, ALICE, NODE))
            await node.store(path_of(sound), INDEX, DATA)
            kind, why = await node.refused("POST", f"{path_of(sound)}/drop", storagewords.indexes([INDEX]))
            assert kind is Kind.DENIED and "lets no share go" in why
        async with line(server) as alice:
            use = storagewords.decode_use(await alice.done("GET", f"{await alice.facet(ALICE)}/account"))
            assert (use.used, use.shares) == (len(DATA), 1)

    on_grid(tmp_path, 2, work)


# ── facets ──

FACET_CALLS = (
    ("GET", "/account"), ("POST", "/list"), ("POST", "/renew"), ("POST", "/drop"), ("POST", f"/uploads/{INDEX}"),
    ("PUT", f"/uploads/{INDEX}?at=0"), ("POST", f"/uploads/{INDEX}/finish"),
)  # fmt: skip


async def raw(server: Server, key: Seed, method: str, path: str) -> bytes:
    """All bytes of an answer to whoever has a connection's key, but its date."""
    reader, writer = await asyncio.open_connection(
        server.hint.host, server.hint.port, ssl=tls.client_context(key, server.pin), server_hostname=""
    )
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: hold\r\nContent-Length: 6\r\nConnection: close\r\n\r\n".encode())
    writer.write(b"a body")
    found = await reader.read()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return b"\r\n".join(part for part in found.split(b"\r\n") if not part.startswith(b"Date:"))


def test_another_s_facet_is_like_a_path_that_there_is_not_byte_for_byte(tmp_path: Path) -> None:
    """B18, B19, B21, B25."""

    async def work(there: Grid) -> None:
        (server,) = there.servers
        async with line(server) as alice:
            facet = await alice.facet(ALICE)
            for method, path in FACET_CALLS:
                theirs = await raw(server, MALLORY, method, facet + path)
                unknown = await raw(server, MALLORY, method, "/v1/nothing/here" + path)
                assert theirs == unknown and b" 404 " in theirs
            assert storagewords.decode_use(await alice.done("GET", f"{facet}/account")).used == 0

    on_grid(tmp_path, 1, work)


def test_an_expired_facet_is_none(tmp_path: Path) -> None:
    """B19: after an hour, or when the credential ends."""

    async def work(there: Grid) -> None:
        (server,) = there.servers
        async with line(server) as alice:
            facet = await alice.facet(ALICE)
            short = await alice.facet(ALICE, credential(server.pin, ALICE, not_after=now() + 100))
            server.clock.ahead = 100 + SKEW + 1
            assert await alice.refused("GET", f"{short}/account") == NOT_THERE
            assert await alice.done("GET", f"{facet}/account")
            server.clock.ahead = 3601
            for path in (f"{facet}/account", f"{facet}/uploads/{INDEX}"):
                assert await alice.refused("GET" if "account" in path else "POST", path) == NOT_THERE

    on_grid(tmp_path, 1, work)
