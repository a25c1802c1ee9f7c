"""A blinded member keeps a set at real servers, and what those have of it. REQUIREMENTS D18, D19, B21, B26."""

import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from commonhold.authority.derived import blinded_seed
from commonhold.authority.tokens import Wallet
from commonhold.crypto import sign
from commonhold.crypto.statements import signed
from commonhold.erasure.values import Shape
from commonhold.errors import HoldError, Kind
from commonhold.exchange.badge import Badge
from commonhold.exchange.book import Book
from commonhold.exchange.keeping import Keeping
from commonhold.exchange.packing import NotKept
from commonhold.exchange.server import StorageServer
from commonhold.formats.blinded import Mint, Modulus
from commonhold.formats.pin import SpkiPin
from commonhold.formats.revocations import Revocations
from commonhold.formats.statement import Kind as Said
from commonhold.grids import holder, membership
from commonhold.grids.blinded import Kept
from commonhold.grids.client import GridClient
from commonhold.grids.member import Member
from commonhold.grids.membership import Mode
from commonhold.grids.standing import FILE, Given, Standing
from tests.authority.minted import signer
from tests.exchange.grids import BLESSER, DAY, GRID, Client, Grid, now, revocations
from tests.exchange.test_keeping import SECRET, blocks, nothing_told, wanted
from tests.grids import members
from tests.grids.members import home
from tests.transport.ends import run

QUOTA = 1 << 24
HAVE = blocks(7, 100_000)


def mint() -> Mint:
    return Mint(Modulus(signer().modulus), QUOTA, now() // DAY * DAY - DAY, now() // DAY * DAY + 29 * DAY, 41)


def minted(*serials: int, sequence: int = 2, mints: tuple[Mint, ...] | None = None) -> bytes:
    said = Revocations(GRID, sequence, now() - DAY, now() + DAY, serials, (mint(),) if mints is None else mints)
    return signed(Said.REVOCATIONS, said.body, BLESSER).encoded


@dataclass
class Taking:
    """A member that has a token for each server, and what it keeps sets with."""

    there: Grid
    files: members.Member
    member: Member
    client: GridClient
    keeping: Keeping
    other: Client

    async def keep(self) -> None:
        await self.keeping.keep(wanted(HAVE, shape=Shape(1, 2)), HAVE.__getitem__, nothing_told)

    async def enter(self, badge: Badge, number: int) -> StorageServer:
        """At a server's door with any badge."""
        pin = self.there.servers[number].pin
        return StorageServer(await self.other.connection(pin), badge, now)


def tokens(files: members.Member, ready: int) -> list[Given]:
    secret = holder.secret(files.directory)
    wallet = Wallet(secret, GRID, GRID.blesser, mint().id(GRID.blesser, GRID), mint())

    def given(server: SpkiPin) -> Given:
        token = wallet.token(server, signer().sign(wallet.blank(server)))
        return Given(server + wallet.name, GRID.blesser, Kept(token, ready, mint().not_after).encoded)

    return [given(one.pin) for one in files.servers]


@contextlib.asynccontextmanager
async def taking(path: Path, rests: int = 0) -> AsyncIterator[Taking]:
    async with home(path, 2, mode=Mode.BLINDED, credentials=False, lists=[minted()]) as (there, files):
        for one in there.servers:
            one.gate.hear(minted())
        with contextlib.closing(Standing(files.directory / FILE)) as standing:
            standing.put(tokens(files, now() + rests))
        member = Member(membership.load(files.directory), os.getuid())
        client = GridClient(member, os.getuid(), now, os.urandom)
        book, other = Book(path / "kept.sqlite"), there.client()
        try:
            keeping = Keeping(client, book, there.tools, SECRET, now)
            yield Taking(there, files, member, client, keeping, other)
        finally:
            await client.close()
            await other.close()
            member.close()
            book.close()


def test_d19_a_set_is_kept_by_servers_that_have_a_key_each_and_nothing_of_who_it_is(tmp_path: Path) -> None:
    async def work() -> None:
        async with taking(tmp_path) as found:
            await found.keep()
            secret = holder.secret(found.files.directory)
            keys = [sign.public_key(blinded_seed(secret, one.pin)) for one in found.there.servers]
            data = [
                b"".join(path.read_bytes() for path in one.state.rglob("*") if path.is_file())
                for one in found.there.servers
            ]
            assert all(one.files for one in found.there.servers)
            assert all(b"alice" not in one for one in data)
            assert len(set(keys)) == 2 and all(bytes(keys[at]) not in data[1 - at] for at in (0, 1))
            for one in found.there.servers:
                use = await (await found.client.open(one.pin)).use()
                assert use.quota == QUOTA and use.used > 0

    run(work())


def test_nothing_is_put_while_tokens_rest_and_it_is_said_why(tmp_path: Path) -> None:
    async def work() -> None:
        async with taking(tmp_path, rests=500) as found:
            with pytest.raises(NotKept) as error:
                await found.keep()
            assert "rests until" in str(error.value)
            assert not any(one.files for one in found.there.servers)

    run(work())


def test_b21_a_token_of_one_server_opens_no_other_s_door(tmp_path: Path) -> None:
    async def work() -> None:
        async with taking(tmp_path) as found:
            first, second = (found.member.badge(one.pin) for one in found.there.servers)
            assert first is not None and second is not None
            for wrong in (Badge(GRID, second.credentials, first.key), second):
                with pytest.raises(HoldError) as error:
                    await (await found.enter(wrong, 0)).use()
                assert error.value.kind is Kind.DENIED

    run(work())


def test_a_key_that_is_withdrawn_ends_putting_and_coming_in(tmp_path: Path) -> None:
    async def work() -> None:
        async with taking(tmp_path) as found:
            badge = found.member.badge(found.there.servers[0].pin)
            assert badge is not None
            await (await found.enter(badge, 0)).use()
            found.there.servers[0].gate.hear(minted(41, sequence=3))
            with pytest.raises(HoldError) as error:
                await (await found.enter(badge, 0)).use()
            assert error.value.kind is Kind.BLESSING
            found.there.servers[0].gate.hear(revocations(sequence=4))
            with pytest.raises(HoldError) as error:
                await (await found.enter(badge, 0)).use()
            assert error.value.kind is Kind.BLESSING

    run(work())


def test_a_member_s_own_list_without_the_key_is_enough_not_to_show_its_tokens(tmp_path: Path) -> None:
    async def work() -> None:
        async with taking(tmp_path) as found:
            pin = found.there.servers[0].pin
            with contextlib.closing(Standing(found.files.directory / FILE)) as standing:
                standing.put_lists(GRID.blesser, [minted(sequence=3, mints=())])
            assert found.member.badge(pin) is None and "no token" in found.member.standing_at(pin)

    run(work())
