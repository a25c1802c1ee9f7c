"""What a storage server and its clients say to each other, as bytes. Pure. docs/spec/door.md, docs/spec/storage.md.

Both ends are strangers to each other: what either decodes has limits, and is Malformed beyond them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from commonhold.errors import Kind as ErrorKind
from commonhold.formats.credential import MAX_QUOTA
from commonhold.formats.entry import Nonce
from commonhold.formats.fields import Fields, made
from commonhold.formats.shareindex import ShareIndex, checked
from commonhold.formats.statement import Kind

MAX_BODY: Final = 64 << 10  # bytes of any of these
MAX_INDEXES: Final = 1024
MAX_CREDENTIALS: Final = 4
MAX_WHY: Final = 300

_KINDS = {kind.value.code: kind for kind in ErrorKind}


class FacetId(bytes):
    """The address of one account's facet, good for one connection: 32 bytes that nobody guesses."""

    __slots__ = ()
    LENGTH: Final = 32

    def __repr__(self) -> str:
        return "FacetId(…)"


@dataclass(frozen=True, slots=True)
class Showing:
    """What a client shows at the door: encoded statements, unread."""

    credentials: tuple[bytes, ...]
    entry: bytes
    warrant: bytes | None = None

    @property
    def encoded(self) -> bytes:
        return made(credentials=list(self.credentials), entry=self.entry, warrant=self.warrant)


@dataclass(frozen=True, slots=True)
class Admission:
    """What a door answers: the facet, until when it is good (seconds since 1970), and how much may be kept."""

    facet: FacetId
    until: int
    quota: int

    @property
    def encoded(self) -> bytes:
        return made(facet=bytes(self.facet), until=self.until, quota=self.quota)


@dataclass(frozen=True, slots=True)
class Use:
    """What an account may keep, what it has used or was promised, and in how many shares."""

    quota: int
    used: int
    shares: int

    @property
    def encoded(self) -> bytes:
        return made(quota=self.quota, used=self.used, shares=self.shares)


@dataclass(frozen=True, slots=True)
class Kept:
    """A share as it is listed."""

    index: ShareIndex
    size: int
    until: int


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a call was refused, in a stranger's words."""

    kind: ErrorKind
    why: str

    @property
    def encoded(self) -> bytes:
        why = "".join(letter if letter.isprintable() else "?" for letter in self.why[:MAX_WHY])
        return made(code=self.kind.value.code, why=why or "refused")


# ── the door ──


def nonce(value: Nonce) -> bytes:
    return made(nonce=bytes(value))


def decode_nonce(data: bytes) -> Nonce:
    return Fields("nonce", data).exactly("nonce", Nonce.LENGTH, Nonce)


def decode_showing(data: bytes) -> Showing:
    fields = Fields("showing", data)
    return Showing(
        fields.several("credentials", MAX_CREDENTIALS, Kind.CREDENTIAL.most),
        fields.raw("entry", Kind.ENTRY.most),
        fields.raw("warrant", Kind.WARRANT.most) if fields.has("warrant") else None,
    )


def decode_admission(data: bytes) -> Admission:
    fields = Fields("admission", data)
    return Admission(
        fields.exactly("facet", FacetId.LENGTH, FacetId), fields.number("until"), fields.number("quota", MAX_QUOTA)
    )


# ── uploads ──


def begin(size: int, until: int) -> bytes:
    return made(size=size, until=until)


def decode_begin(data: bytes) -> tuple[int, int]:
    fields = Fields("begin", data)
    return fields.number("size"), fields.number("until")


def received(count: int) -> bytes:
    return made(received=count)


def decode_received(data: bytes, most: int) -> int:
    return Fields("received", data).number("received", most)


def finish(sha256: bytes) -> bytes:
    return made(sha256=sha256)


def decode_finish(data: bytes) -> bytes:
    return Fields("finish", data).exactly("sha256", 32, bytes)


# ── many shares in one call ──


def indexes(values: Sequence[ShareIndex], until: int | None = None) -> bytes:
    """A question about shares; with a lease, where it is one."""
    return made(indexes=[bytes(value) for value in values], until=until)


def decode_indexes(data: bytes) -> tuple[ShareIndex, ...]:
    return _indexes(Fields("indexes", data))


def decode_renewal(data: bytes) -> tuple[tuple[ShareIndex, ...], int]:
    fields = Fields("renewal", data)
    return _indexes(fields), fields.number("until")


def _indexes(fields: Fields) -> tuple[ShareIndex, ...]:
    return tuple(checked(raw) for raw in fields.several("indexes", MAX_INDEXES, ShareIndex.LENGTH))


def sizes(values: Iterable[int]) -> bytes:
    return made(sizes=list(values))


def decode_sizes(data: bytes, count: int) -> tuple[int, ...]:
    """Exactly as many as were asked for."""
    fields = Fields("sizes", data)
    found = fields.numbers("sizes", count)
    if len(found) != count:
        raise fields.refuse(f"{len(found)} sizes, {count} were asked for")
    return found


def listing(after: bytes, count: int) -> bytes:
    return made(after=after, count=count)


def decode_listing(data: bytes) -> tuple[bytes, int]:
    fields = Fields("listing", data)
    return fields.raw("after", ShareIndex.LENGTH), fields.number("count", MAX_INDEXES)


def listed(shares: Iterable[Kept]) -> bytes:
    found = list(shares)
    return made(
        indexes=[bytes(one.index) for one in found],
        sizes=[one.size for one in found],
        until=[one.until for one in found],
    )


def decode_listed(data: bytes) -> tuple[Kept, ...]:
    fields = Fields("listed", data)
    found, large, until = _indexes(fields), fields.numbers("sizes", MAX_INDEXES), fields.numbers("until", MAX_INDEXES)
    if not len(found) == len(large) == len(until):
        raise fields.refuse("its lists do not go together")
    return tuple(map(Kept, found, large, until))


# ── accounts, and what went wrong ──


def decode_use(data: bytes) -> Use:
    fields = Fields("use", data)
    return Use(fields.number("quota", MAX_QUOTA), fields.number("used"), fields.number("shares"))


def verdict(sound: bool) -> bytes:
    return made(sound=int(sound))


def decode_verdict(data: bytes) -> bool:
    return bool(Fields("verdict", data).number("sound", 1))


def decode_failure(data: bytes) -> Failure:
    fields = Fields("failure", data)
    return Failure(_KINDS.get(fields.text("code", 40), ErrorKind.FAILED), fields.text("why", MAX_WHY))
