"""Two servers that put their books together find nothing of one user in both. REQUIREMENTS D1, D18 to D21."""

import asyncio
import contextlib
import os
import random
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
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
from commonhold.exchange.keeping import LEASE, Keeping, Wanted
from commonhold.exchange.packing import Tools
from commonhold.formats import multihash
from commonhold.formats.fields import made
from commonhold.formats.keys import Seed
from commonhold.formats.multihash import Multihash
from commonhold.formats.pack import Entry
from commonhold.formats.pin import SpkiPin
from commonhold.formats.request import AccountRequest, Seat
from tests.exchange.grids import BLESSER, GRID, Client, now
from tests.system.colluding import Book, Heard, Spy, same_bytes, spies

pytestmark = pytest.mark.slow

QUOTA = 5 << 30
TERMS = Terms(GRID.blesser, Secret(b"b" * 32))

# What any two strangers' calls have in common. It is the same for all users of this version.
WORDS: dict[str, set[Any]] = {
    "line": {
        "", "HTTP/1.1", "GET", "POST", "PUT", "v1", "door", "enter", "facet", "find", "shares", "uploads", "finish",
        "account", "list", "renew", "drop", "check", "at=0",
    },
    "header": {"Host", "hold", "Range", "Content-Length", "bytes=0-47"},
    "field's name": {
        "v", "indexes", "until", "size", "sha256", "after", "count", "credentials", "entry", "body", "key", "kind",
        "signature", "nonce", "server", "connection", "grid", "time", "account", "client", "quota", "not_before",
        "not_after", "serial",
    },
    "body": {
        1,  # the version of statements
        10, b"",  # how many shares are listed, and from where on
        "credential", "entry",
        GRID.blesser, bytes(GRID),  # which grid, and who blessed
    },
}  # fmt: skip
# What two servers do see of one user, and docs/spec/keeping.md says so.
STILL_SEEN = {"the quota": QUOTA}
MOMENT = "moment"


class User(Client):
    """Somebody whose credentials a blesser has given as it does."""

    def __init__(self, there: list[Spy], name: str) -> None:
        super().__init__([one.server for one in there], name)
        seats = tuple(Seat(pin, sign.public_key(client_seed(self.secret, pin))) for pin in sorted(self.known))
        key = sign.public_key(Seed(name.encode().ljust(32)))
        wish = AccountRequest(GRID, GRID.blesser, now(), name, seats)
        draw = random.Random(name)
        serials = (draw.getrandbits(63) for _ in count())
        granted = grant_account(Desk(Ledger(GRID), TERMS, now(), serials), wish, Account(name, key, QUOTA))
        assert isinstance(granted, Granted)
        said = statements(granted, BLESSER)
        self.given = {seat.server: one.encoded for seat, one in zip(seats, said, strict=True)}

    def badge(self, pin: SpkiPin, quota: int = QUOTA) -> Badge:
        return Badge(GRID, (self.given[pin],), client_seed(self.secret, pin))


async def session(user: User, path: Path, tools: Tools) -> None:
    """All that somebody does: two sets kept, read, looked at, kept longer; shares listed, and let go."""
    draw, secret = random.Random(user.account), user.secret.raw
    have: dict[Multihash, bytes] = {}
    kept = Kept(path / f"{user.account}-{random.random()}")
    keeping = Keeping(user, kept, tools, secret, now)
    for name, sizes in (("first", (1_300_000, 700_000, 123)), ("second", (90_000,)), ("first", ())):
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
        await mend(one, health, user, now() + LEASE, tools)  # there is nothing to mend: it is kept longer
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


def usual(strangers: list[Book]) -> set[bytes]:
    """What stands in every client's certificate."""
    return same_bytes(strangers[0].certificates, strangers[1].certificates)


def leaks(one: Book, other: Book, strangers: list[Book]) -> dict[str, set[Any]]:
    """What two books have in common, but for what all users have, and what is known to be seen."""
    found = one.common(other)
    found.pop(MOMENT, None)
    for name, values in found.items():
        if name in ("greeting", "length", "record length"):  # TLS's parameters; how long calls are that all make
            values -= set().union(*(stranger.values[name] for stranger in strangers))
        values -= WORDS.get(name, set()) | set(STILL_SEEN.values())
    found["shares"] = same_bytes(one.shares, other.shares)
    found["certificate"] = same_bytes(one.certificates, other.certificates) - usual(strangers)
    return {name: values for name, values in found.items() if values}


def test_no_value_of_one_user_is_in_the_books_of_two_servers(tmp_path: Path) -> None:
    """And so that this could fail: in two books of one server there are many."""

    async def work() -> None:
        async with grid(tmp_path, 5) as (there, tools):
            await session(User(there, "bob"), tmp_path, tools)
            strangers = [spy.forget() for spy in there]
            alice = User(there, "alice")
            await session(alice, tmp_path, tools)
            first = [spy.forget() for spy in there]
            for one, other in combinations(first, 2):
                assert leaks(one, other, strangers) == {}
                assert not set(one.times) <= set(other.times) and not set(other.times) <= set(one.times)
                assert one.values[MOMENT] & other.values[MOMENT]  # as keeping.md says
                assert QUOTA in one.values["body"] & other.values["body"]
            await session(alice, tmp_path, tools)
            again = [spy.forget() for spy in there]
            for spy, one, other in zip(there, first, again, strict=True):
                found = leaks(one, other, strangers)
                key = sign.public_key(client_seed(alice.secret, spy.server.pin))
                assert key in found["body"]  # the account's
                assert alice.given[spy.server.pin] in found["body"] and found["line"]  # indexes
                assert found["length"] and "certificate" not in found

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
    nobody = Book([], [])
    assert leaks(ones, others, [nobody, nobody])["body"] == {1234567, 77}


def _request(body: bytes) -> bytes:
    return f"POST /v1/find HTTP/1.1\r\nHost: hold\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
