"""Two servers that put their books together find nothing of one user in both. REQUIREMENTS D1, D18 to D21."""

import asyncio
import contextlib
import os
import random
import ssl
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations, count
from pathlib import Path
from typing import Any

import pytest

from commonhold.authority.derived import Secret, client_seed
from commonhold.authority.enrolling import Desk, Terms, grant_account, statements
from commonhold.authority.ledger import Account, Granted, Ledger
from commonhold.crypto import sign
from commonhold.erasure.choosing import quickest
from commonhold.erasure.values import DEFAULT, PackSeed
from commonhold.exchange.badge import Badge
from commonhold.exchange.book import Book as Kept
from commonhold.exchange.checking import look, mend, packs_of
from commonhold.exchange.finding import SetReader, find_inventory
from commonhold.exchange.keeping import Keeping, Wanted
from commonhold.exchange.packing import Tools
from commonhold.exchange.server import StorageServer
from commonhold.exchange.tending import LEASE
from commonhold.formats import multihash
from commonhold.formats.fields import made
from commonhold.formats.keys import Seed
from commonhold.formats.multihash import Multihash
from commonhold.formats.pack import Entry
from commonhold.formats.pin import SpkiPin
from commonhold.formats.request import AccountRequest, Seat
from commonhold.transport import certificates
from tests.exchange.grids import BLESSER, DAY, GRID, Client, now
from tests.system.colluding import Book, Heard, Spy, same_bytes, spies

pytestmark = pytest.mark.slow

TERMS = Terms(GRID.blesser, Secret(b"b" * 32))
MOMENT, DRAWN = "moment", "drawn"
PART = 128 << 10  # of a file: the sizes of everybody's shares have as many digits


def certificate_of(seed: Seed) -> bytes:
    """What a client with this key shows, as a server has it."""
    return ssl.PEM_cert_to_DER_cert(certificates.client(seed).certificate.decode())


# What stands in every client's certificate.
USUAL = same_bytes([certificate_of(Seed(b"x" * 32))], [certificate_of(Seed(b"y" * 32))])


class User(Client):
    """Somebody whose credentials a blesser has given as it does; with a quota, a clock and files of their own."""

    def __init__(self, there: list[Spy], name: str) -> None:
        super().__init__([one.server for one in there], name)
        draw = random.Random(name)
        self.quota = (5 << 30) + draw.randrange(1 << 30)
        self._ahead = draw.randrange(-100, 100)
        seats = tuple(Seat(pin, sign.public_key(client_seed(self.secret, pin))) for pin in sorted(self.known))
        key = sign.public_key(Seed(name.encode().ljust(32)))
        asked = now() - draw.randrange(9 * DAY)
        wish = AccountRequest(GRID, GRID.blesser, asked, name, seats)
        serials = (draw.getrandbits(63) for _ in count())
        granted = grant_account(Desk(Ledger(GRID), TERMS, asked, serials), wish, Account(name, key, self.quota))
        assert isinstance(granted, Granted)
        said = statements(granted, BLESSER)
        self.given = {seat.server: one.encoded for seat, one in zip(seats, said, strict=True)}
        part = PART + draw.randrange(PART // 10)
        self.sets = {"first": (6 * part, 3 * part, 100 + draw.randrange(99)), "second": (part,), "third": ()}

    def now(self) -> int:
        """Whose clock is as right as any."""
        return now() + self._ahead

    def badge(self, pin: SpkiPin, quota: int = 0) -> Badge:
        return Badge(GRID, (self.given[pin],), client_seed(self.secret, pin))

    async def open(self, server: SpkiPin) -> StorageServer:
        return StorageServer(await self.connection(server), self.badge(server), self.now)


async def session(user: User, path: Path, tools: Tools) -> None:
    """All that somebody does: sets kept, read, looked at, kept longer; shares listed, checked, and let go."""
    draw = random.Random(user.account)
    have: dict[Multihash, bytes] = {}
    kept = Kept(path / f"{user.account}-{random.random()}")
    keeping = Keeping(user, kept, tools, user.secret.raw, user.now)
    for name, sizes in user.sets.items():
        have |= {multihash.sha2_256(data): data for data in map(draw.randbytes, sizes)}
        entries = [Entry(key, len(data)) for key, data in have.items()]
        seed = sign.public_key(Seed((name + user.account).encode().ljust(32)))
        await keeping.keep(Wanted(name, seed, DEFAULT, entries), have.__getitem__, lambda _sent, _total: None)
    servers = await user.all()
    found = await find_inventory(seed, servers, tools)
    assert len(await SetReader(found, servers, tools).read(list(have))) == len(have)
    for one in packs_of(seed, DEFAULT, found):
        health = await look(one, servers, deep=True, tools=tools)
        assert health.whole
        await mend(one, health, user, user.now() + LEASE, tools)  # there is nothing to mend: it is kept longer
    for server in servers:
        await server.use()
        for share in await server.listed(b"", 10):
            await server.check(share.index)
        await server.drop([PackSeed(seed).index(server.pin)])
    kept.close()
    await user.close()


@contextlib.asynccontextmanager
async def grid(path: Path, servers: int) -> AsyncIterator[tuple[list[Spy], Tools]]:
    with ThreadPoolExecutor(4) as threads:
        async with spies(path, servers, threads) as there:
            yield there, Tools(quickest(), threads, os.urandom)


@dataclass
class Found:
    """What two books of one user have in common, and no book of a user of whom nothing is asked."""

    values: dict[str, set[Any]]

    @property
    def certain(self) -> dict[str, set[Any]]:
        """Texts and bytes: they are the same in two places because somebody made them so."""
        return _without({name: {one for one in said if type(one) is not int} for name, said in self.values.items()})

    @property
    def numbers(self) -> dict[str, set[int]]:
        """Those are drawn from few, some of them: two can be the same by chance, though not for everybody."""
        return _without({name: {one for one in said if type(one) is int} for name, said in self.values.items()})


def _without(found: dict[str, set[Any]]) -> dict[str, set[Any]]:
    return {name: values for name, values in found.items() if values}


def compared(one: Book, other: Book, strangers: list[Book]) -> Found:
    """What two books have in common, but for what strangers say, too: that is the protocol, and nobody's.

    Strangers do the same, at the same servers, with other keys, files, sizes and quotas, by other clocks.
    """
    theirs: set[Any] = set().union(*(values for stranger in strangers for values in stranger.values.values()))
    theirs -= set().union(*(stranger.values[DRAWN] for stranger in strangers))  # by one process, as ours are
    found = {name: values - theirs for name, values in one.common(other).items() if name != MOMENT}
    found["shares"] = same_bytes(one.shares, other.shares)
    found["certificate"] = same_bytes(one.certificates, other.certificates) - USUAL
    return Found(_without(found))


async def books(user: User, there: list[Spy], path: Path, tools: Tools) -> list[Book]:
    """What each server has of one session."""
    await session(user, path, tools)
    return [spy.forget() for spy in there]


def test_no_value_of_one_user_is_in_the_books_of_two_servers(tmp_path: Path) -> None:
    """Of no user of four. The quota and the moment are, as docs/spec/keeping.md says."""

    async def work() -> None:
        async with grid(tmp_path, 5) as (there, tools):
            users = [User(there, name) for name in ("alice", "bob", "carol", "dave")]
            seen = [await books(user, there, tmp_path, tools) for user in users]
        numbers = []
        for user, own in zip(users, seen, strict=True):
            strangers = [book for others in seen if others is not own for book in others]
            numbers.append(set[str]())
            for one, other in combinations(own, 2):
                found = compared(one, other, strangers)
                assert found.certain == {}
                assert user.quota in found.numbers["body"]
                numbers[-1] |= {name for name, said in found.numbers.items() if said - {user.quota}}
                assert one.values[MOMENT] & other.values[MOMENT]
                assert one.times and not set(one.times) <= set(other.times)
        assert set.intersection(*numbers) == set(), "a number of each user's is in two books"

    asyncio.run(work())


def test_two_books_of_one_server_have_much_in_common(tmp_path: Path) -> None:
    """So the comparison finds what there is."""

    async def work() -> None:
        async with grid(tmp_path, 5) as (there, tools):
            alice, bob = User(there, "alice"), User(there, "bob")
            strangers = await books(bob, there, tmp_path, tools)
            first = await books(alice, there, tmp_path, tools)
            again = await books(alice, there, tmp_path, tools)
            lengths = 0
            for spy, one, other in zip(there, first, again, strict=True):
                found = compared(one, other, strangers)
                key = sign.public_key(client_seed(alice.secret, spy.server.pin))
                assert {key, alice.given[spy.server.pin]} <= found.certain["body"]
                assert found.certain["line"]  # indexes
                assert "certificate" not in found.values
                lengths += "length" in found.numbers  # of what was let go, and kept again
            assert lengths >= 3

    asyncio.run(work())


def test_what_is_looked_for_would_be_found() -> None:
    """A run of bytes at another place; a number in another field; a value in a statement within a body."""
    draw = random.Random(1).randbytes
    leak = draw(31)
    assert same_bytes([draw(1001) + leak + draw(50)], [draw(77) + leak])
    assert not same_bytes([draw(5000)], [draw(5000)])
    ones, others = (
        Book([Heard(b"", bytearray(_request(body)), [(1 << 20, 1.0)])], [])
        for body in (made(until=1234567, entry=made(body=made(serial=77))), made(size=1234567, count=77))
    )
    nobody = Book([Heard(b"", bytearray(_request(made(serial=2))), [(1 << 20, 1.0)])], [])
    assert compared(ones, others, [nobody]).numbers == {"body": {1234567, 77}}
    assert compared(ones, others, [ones]).values == {}


def _request(body: bytes) -> bytes:
    return f"POST /v1/find HTTP/1.1\r\nHost: hold\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
