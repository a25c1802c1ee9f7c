"""Names: what is published under a key, and what a name points at. `docs/spec/ipns.md`.

The records are kept by a node that cannot tell good from bad: here each is verified, and one is picked. Time, in
nanoseconds since 1970, is an argument.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from commonhold.agent.blocks import parse_path
from commonhold.agent.keystore import Key
from commonhold.api import Records
from commonhold.crypto import sign
from commonhold.errors import HoldError, Kind
from commonhold.formats import cid as cids
from commonhold.formats import ipns, multihash
from commonhold.formats.cid import Cid
from commonhold.formats.instant import SECOND
from commonhold.formats.ipns import Claims, Name, Record
from commonhold.formats.malformed import Malformed

KIND = "ipns"
LIFETIME = 48 * 3600 * SECOND
TTL = 300 * SECOND
MAX_HOPS = 8
MAX_VALUE = 4096


class Verdict(NamedTuple):
    """What is to be said of a record of a name at a moment."""

    signed: bool  # by the name's key
    in_force: bool

    @property
    def valid(self) -> bool:
        """Whether the name points where the record says."""
        return self.signed and self.in_force


def judge(record: Record, name: Name, now: int) -> Verdict:
    """Return whether a record is the name's, and in force."""
    own = record.public in (None, name.public)
    signed = own and sign.verify(name.public, record.signed, record.signature)
    return Verdict(signed, record.claims.eol > now)


def best(name: Name, answers: Iterable[bytes]) -> Record | None:
    """Return the record that wins, of those that the name's key has signed, in force or not."""
    found: list[Record] = []
    for raw in answers:
        try:
            record = ipns.decode(raw)
        except Malformed:
            continue  # anybody may have put it there
        if judge(record, name, 0).signed:
            found.append(record)
    return max(found, key=lambda record: record.rank, default=None)


def issue(key: Key, claims: Claims) -> Record:
    """Return a record that says so, signed. TOO_LARGE over the limits."""
    if len(claims.value) > MAX_VALUE:
        raise HoldError("publish", Kind.TOO_LARGE, "path", f"{len(claims.value)} bytes, the limit is {MAX_VALUE}")
    try:
        signature = key.sign(ipns.signed(ipns.encode_claims(claims)))
        return ipns.decode(ipns.encode(claims, signature, key.sign(ipns.signed_legacy(claims))))
    except Malformed as error:
        raise HoldError("publish", Kind.INVALID, str(key.name), str(error)) from error


class Names:
    """The names that a node's records tell of, for one user."""

    def __init__(self, records: Records, uid: int) -> None:
        self._records = records
        self._uid = uid

    def best(self, name: Name) -> Record:
        """The record that wins, in force or not. NOT_FOUND."""
        found = best(name, self._records.get(self._uid, KIND, name))
        if found is None:
            raise HoldError(
                "resolve", Kind.NOT_FOUND, str(name), "no record of this name is known here", hint="hold name publish"
            )
        return found

    def publish(self, key: Key, path: str, now: int, lifetime: int, ttl: int) -> Record:
        """Let a key's name point at a path, for so long: over the best record that is known. On disk on return."""
        value = normal(path).encode()
        known = best(key.name, self._records.get(self._uid, KIND, key.name))
        sequence = known.claims.sequence + 1 if known else 0
        record = issue(key, Claims(value, now + lifetime, sequence, ttl))
        self._records.put(self._uid, KIND, key.name, record.raw)
        return record

    def own(self) -> Iterator[tuple[Name, Record]]:
        """The names that this user has handed in records of, and of each the record that wins."""
        for key in self._records.keys(self._uid, KIND):
            try:
                name = ipns.name_of_cid(cids.make_v1(cids.LIBP2P_KEY, multihash.parse(key)[0]))
            except Malformed:
                continue  # another program's, of another kind of key
            found = best(name, self._records.get(self._uid, KIND, name))
            if found is not None:
                yield name, found

    def remove(self, name: Name) -> None:
        """Take this user's record of a name back. NOT_FOUND."""
        try:
            self._records.remove(self._uid, KIND, name)
        except HoldError as error:
            if error.kind is not Kind.NOT_FOUND:
                raise
            why = "you have published nothing under this name here"
            raise HoldError("name rm", Kind.NOT_FOUND, str(name), why, hint="hold name ls") from error

    def current(self, name: Name, now: int) -> Record:
        """The record that wins, if it is in force. An older one that still would be was taken back by it."""
        record = self.best(name)
        if record.claims.eol <= now:
            why = f"its record, sequence {record.claims.sequence}, expired at {record.validity}"
            raise HoldError("resolve", Kind.NOT_FOUND, str(name), why, hint="hold name publish, by whoever has the key")
        return record

    def resolve(self, name: Name, path: Sequence[str], now: int) -> tuple[Cid, list[str]]:
        """What a name and a path below it point at, through as many as MAX_HOPS names."""
        below = list(path)
        for _ in range(MAX_HOPS):
            cid, inner = target(self.current(name, now))
            below = inner + below
            if cid.codec != cids.LIBP2P_KEY:
                return cid, below
            name = ipns.name_of_cid(cid)
        raise HoldError("resolve", Kind.INVALID, str(name), f"names lead to names more than {MAX_HOPS} times")


def target(record: Record) -> tuple[Cid, list[str]]:
    """Return the CID, maybe a name's, and the path that a record's value is. INVALID for anything else."""
    value = record.claims.value
    try:
        if not value.startswith((b"/ipfs/", b"/ipns/")):
            return cids.parse(value), []  # some tools write a bare binary CID
        if len(value) > MAX_VALUE:
            raise Malformed("value", f"{len(value)} bytes, the limit is {MAX_VALUE}")
        return parse_path(value.decode())
    except (Malformed, UnicodeDecodeError) as error:
        raise HoldError("resolve", Kind.INVALID, "the record", f"its value is no path: {error}") from error
    except HoldError as error:
        raise HoldError("resolve", Kind.INVALID, "the record", f"its value is no path: {error.why}") from error


def normal(text: str) -> str:
    """Return a path that a command was given as it stands in a record: `/ipfs/CID/a` or `/ipns/NAME/a`."""
    cid, path = parse_path(text)
    root = f"/ipns/{ipns.name_of_cid(cid)}" if cid.codec == cids.LIBP2P_KEY else f"/ipfs/{cid}"
    return "/".join((root, *path))
