"""What a blesser signs blindly with, and for whom it did: keys and a book, in a file of its own. docs/spec/blinded.md.

Of a token that was granted it has the digest of a blank, which nobody can find in the token. Not safe from many
threads, but for `Granted.answers`.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from commonhold.authority import minting
from commonhold.authority.minting import Minting, Spent, spent
from commonhold.crypto import blindsign
from commonhold.crypto.blindsign import Signer, Unusable
from commonhold.errors import HoldError, Kind
from commonhold.formats import blinded
from commonhold.formats.blinded import Mint, MintId, Modulus, Terms
from commonhold.formats.fields import MAX_NUMBER
from commonhold.formats.keys import PublicKey
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import GridId
from commonhold.formats.request import Order
from commonhold.host.sqlite import Database

FILE: Final = "blinded.sqlite"
VERSION: Final = 1
_SERIAL: Final = 8

_SCHEMA = """
create table mints (id blob primary key, mint blob not null, private blob not null) without rowid;
create table blanks (
  account text not null, mint blob not null, digest blob not null, primary key (account, mint, digest)) without rowid;
"""


class _Kept(NamedTuple):
    mint: Mint
    signer: Signer


@dataclass(frozen=True, slots=True)
class Granted:
    """What is on the disk as granted, to be signed."""

    terms: Terms
    _orders: tuple[tuple[Signer, Order], ...] = ()

    def answers(self) -> tuple[bytes, ...]:
        """Sign: some milliseconds for each. Malformed for what is no blank, which costs its sender the token."""
        return tuple(signer.sign(order.blank) for signer, order in self._orders)


@contextlib.contextmanager
def opened(
    directory: Path,
    terms: Minting,
    of: tuple[PublicKey, GridId],
    randomness: Callable[[int], bytes],
    forge: Callable[[], bytes] = blindsign.generate,
) -> "Iterator[Mints | None]":
    """The mints of a blesser's home; None where it signs nothing blindly, and never did."""
    if not terms.denominations and not (directory / FILE).exists():
        yield None
        return
    with contextlib.closing(Mints(directory / FILE, terms, of, randomness, forge)) as found:
        yield found


class Mints:
    """See the module. `forge` makes a private key, `randomness(n)` n random bytes."""

    def __init__(
        self,
        path: Path,
        terms: Minting,
        of: tuple[PublicKey, GridId],
        randomness: Callable[[int], bytes],
        forge: Callable[[], bytes] = blindsign.generate,
    ) -> None:
        """UNSUPPORTED where nothing can be signed blindly."""
        self._terms = terms
        self._of = of
        self._randomness = randomness
        self._forge = forge
        self._db = Database(path, _SCHEMA, VERSION, "what a blesser signs blindly with")
        self._kept: dict[MintId, _Kept] = {}
        try:
            with self._db.reading("read mints") as db:
                for name, mint, private in db.execute("select * from mints").fetchall():
                    self._kept[MintId(name)] = _Kept(blinded.parse_mint(bytes(mint)), _signer(bytes(private)))
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def listed(self, now: int) -> tuple[Mint, ...]:
        """All that there are to be, those of the next period among them. Makes what is lacking, which takes a part of
        a second for each key, and forgets what is over."""
        self._drop([name for name, one in self._kept.items() if minting.over(one.mint, now)])
        there = {blinded.spot(one.mint) for one in self._kept.values()}
        for spot in self._terms.spots(now):
            if spot not in there:
                self._make(spot.quota, spot.not_before)
        found = [one.mint for one in self._kept.values()]
        return tuple(sorted(found, key=blinded.spot))

    def grant(self, account: str, quota: int, orders: Sequence[Order], now: int) -> Granted:
        """Note for an account of this quota what it gets, on the disk. BLESSING if it does not get all of it."""
        terms = self._terms.terms(quota)
        if terms is None:
            raise _refused("it signs nothing blindly" + (" for so small a quota" if self._terms.denominations else ""))
        with self._db.writing("grant tokens") as db:
            found = db.execute("select mint, digest from blanks where account = ?", (account,))
            had = {Spent(MintId(mint), bytes(digest)) for mint, digest in found}
            mints = {name: one.mint for name, one in self._kept.items()}
            why = minting.refusal(terms, mints, orders, had, now)
            if why:
                raise _refused(why)
            rows = [(account, *spent(order)) for order in orders]
            db.executemany("insert or ignore into blanks values (?, ?, ?)", rows)
        return Granted(terms, tuple((self._kept[order.mint].signer, order) for order in orders))

    def holds(self, account: str, now: int) -> bool:
        """Whether an account has tokens of a period that is not over."""
        with self._db.reading("look up tokens") as db:
            names = db.execute("select distinct mint from blanks where account = ?", (account,)).fetchall()
        found = [self._kept.get(MintId(name)) for (name,) in names]
        return any(one is not None and not minting.over(one.mint, now) for one in found)

    def counts(self) -> list[tuple[Mint, int]]:
        """How many tokens were granted of each mint."""
        with self._db.reading("count tokens") as db:
            found = dict(db.execute("select mint, count(*) from blanks group by mint").fetchall())
        kept = sorted(self._kept.items(), key=lambda one: blinded.spot(one[1].mint))
        return [(one.mint, found.get(bytes(name), 0)) for name, one in kept]

    def withdraw(self, quota: int | None) -> int:
        """Forget all mints of a denomination, or all: what they signed is worth nothing as soon as a list without them
        is out. How many there were."""
        gone = [name for name, one in self._kept.items() if quota in (None, one.mint.quota)]
        self._drop(gone)
        return len(gone)

    def _make(self, quota: int, begins: int) -> None:
        private = self._forge()
        signer = _signer(private)
        serial = int.from_bytes(self._randomness(_SERIAL)) & MAX_NUMBER
        mint = Mint(Modulus(signer.modulus), quota, begins, begins + self._terms.period, serial)
        name = mint.id(*self._of)
        with self._db.writing("make mint") as db:
            db.execute("insert into mints values (?, ?, ?)", (name, mint.encoded, private))
        self._kept[name] = _Kept(mint, signer)

    def _drop(self, gone: list[MintId]) -> None:
        if not gone:
            return
        with self._db.writing("forget mints") as db:
            db.executemany("delete from mints where id = ?", [(name,) for name in gone])
            db.executemany("delete from blanks where mint = ?", [(name,) for name in gone])
        for name in gone:
            del self._kept[name]


def _signer(private: bytes) -> Signer:
    try:
        return Signer(private)
    except Unusable as error:
        hint = "install OpenSSL 3 (Debian: libssl3), or leave [blinded] out of blesser.toml"
        raise HoldError("sign blindly", Kind.UNSUPPORTED, "OpenSSL", str(error), hint=hint) from error
    except Malformed as error:
        raise HoldError("sign blindly", Kind.CORRUPT, FILE, str(error)) from error


def _refused(why: str) -> HoldError:
    return HoldError("enrol", Kind.BLESSING, "blesser", why)
