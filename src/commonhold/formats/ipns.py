"""IPNS: names made of public keys, and the signed records that say what a name points at.

Source: IPFS specifications, "IPNS Record and Protocol". Checks everything of a record but its signature and the time:
those are its reader's, who has a key and a clock. `docs/spec/ipns.md` says what is written and accepted.
"""

from dataclasses import dataclass
from typing import Any

import libipld

from commonhold.formats import cid as cids
from commonhold.formats import dagcbor, instant, keys, multihash, protobuf, varint
from commonhold.formats.cid import Cid
from commonhold.formats.keys import PublicKey
from commonhold.formats.malformed import Malformed, Unsupported

MAX_RECORD = 10 << 10
MAX_NUMBER = (1 << 64) - 1  # of a sequence or TTL as read
MAX_WRITTEN = (1 << 63) - 1  # as written: other tools keep these in signed numbers

_MAX_TEXT = 200
_SIGNATURE = 64
_PREFIX = b"ipns-signature:"
_NAME_PREFIX = b"\x00\x24"  # identity multihash of 36 bytes
_EOL = 0
_VALUE, _SIGNATURE_V1, _TYPE, _VALIDITY, _SEQUENCE, _TTL, _PUBLIC, _SIGNATURE_V2, _DATA = range(1, 10)
_NUMBERS = frozenset((_TYPE, _SEQUENCE, _TTL))
_BYTES = frozenset((_VALUE, _SIGNATURE_V1, _VALIDITY, _PUBLIC, _SIGNATURE_V2, _DATA))
_CLAIMS = frozenset(("Value", "Validity", "ValidityType", "Sequence", "TTL"))


class Name(bytes):
    """A name: the identity multihash of an Ed25519 public key's protobuf. Made by the functions of this page."""

    __slots__ = ()

    @property
    def public(self) -> PublicKey:
        """The key that signs for it."""
        return PublicKey(self[-keys.LENGTH :])

    @property
    def cid(self) -> Cid:
        """Its CID, of codec libp2p-key."""
        return cids.make_v1(cids.LIBP2P_KEY, self)

    def __str__(self) -> str:
        """The usual text: `k51…`."""
        return cids.format_text(self.cid, "base36")

    def __repr__(self) -> str:
        return f"Name({self})"


def name_of(public: PublicKey) -> Name:
    """Return a public key's name."""
    return Name(_NAME_PREFIX + keys.encode_public(public))


def name_of_cid(cid: Cid) -> Name:
    """Return the name that a CID is. Hashed keys (RSA) are `Unsupported`: only an inlined key can be checked."""
    if cid.codec != cids.LIBP2P_KEY:
        raise Malformed("name", f"a CID of codec {cids.codec_name(cid.codec)}, not libp2p-key")
    return _name_of_multihash(bytes(cid.multihash))


def _name_of_multihash(raw: bytes) -> Name:
    hashed, after = multihash.parse(raw)
    if after != len(raw):
        raise Malformed("name", f"{len(raw) - after} bytes too many")
    if hashed.code != multihash.IDENTITY:
        raise Unsupported("name", "of a hashed key (RSA); Ed25519 names (k51…, 12D3Koo…) are supported")
    return name_of(keys.decode_public(hashed.digest))


def parse_name(text: str) -> Name:
    """Return the name that `k51…` (or its CID in another base), a peer id `12D3Koo…` or `/ipns/…` of these is."""
    bare = text.removeprefix("/ipns/")
    if not bare or len(bare) > _MAX_TEXT:
        raise Malformed("name", "empty" if not bare else f"text of {len(bare)} characters")
    if bare.startswith(("12D3Koo", "Qm")):  # a peer id: base58btc without its letter
        try:
            raw = bytes(libipld.decode_multibase("z" + bare)[1])
        except ValueError as error:
            raise Malformed("name", f"{bare!r} is not base58btc") from error
        return _name_of_multihash(raw)
    if "." in bare:
        raise Unsupported("name", f"{bare!r} is a domain's; only names of keys are resolved")
    return name_of_cid(cids.parse_text(bare))


@dataclass(frozen=True, slots=True)
class Claims:
    """What a record says. `value` is a content path; `eol`, the end of its validity, in nanoseconds since 1970;
    `ttl`, how long it may be cached, in nanoseconds."""

    value: bytes
    eol: int
    sequence: int
    ttl: int


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it was read: well-formed and of one mind. Whether it is signed and in force is not known here."""

    claims: Claims
    validity: str  # the text of eol, as it was written
    data: bytes  # what `signature` is of, without the prefix
    signature: bytes
    public: PublicKey | None  # the key inside the record, if there is one
    legacy: bool  # has the fields of version 1
    extra: tuple[str, ...]  # names of claims that are not of the specification
    raw: bytes

    @property
    def signed(self) -> bytes:
        """What the signature is of."""
        return signed(self.data)

    @property
    def rank(self) -> tuple[int, int, bytes]:
        """The greater of two records of one name wins: by sequence, then end of validity, then bytes."""
        return self.claims.sequence, self.claims.eol, self.raw


def signed(data: bytes) -> bytes:
    """Return what a version 2 signature is of."""
    return _PREFIX + data


def signed_legacy(claims: Claims) -> bytes:
    """Return what a version 1 signature is of. Nobody trusts one; old tools ask for its being there."""
    return claims.value + instant.format_rfc3339(claims.eol).encode() + b"EOL"


def encode_claims(claims: Claims) -> bytes:
    """Return the dag-cbor document of a record."""
    if not (0 <= claims.sequence <= MAX_WRITTEN and 0 <= claims.ttl <= MAX_WRITTEN):
        raise Malformed("record", "sequence or TTL is out of range")
    document = {
        "Value": claims.value,
        "Validity": instant.format_rfc3339(claims.eol).encode(),
        "ValidityType": _EOL,
        "Sequence": claims.sequence,
        "TTL": claims.ttl,
    }
    return dagcbor.encode(document)


def encode(claims: Claims, signature: bytes, legacy: bytes) -> bytes:
    """Return a record with both signatures: of `signed(encode_claims(claims))` and of `signed_legacy(claims)`."""
    fields: list[tuple[int, bytes | int]] = [
        (_VALUE, claims.value),
        (_SIGNATURE_V1, legacy),
        (_TYPE, _EOL),
        (_VALIDITY, instant.format_rfc3339(claims.eol).encode()),
        (_SEQUENCE, claims.sequence),
        (_TTL, claims.ttl),
        (_SIGNATURE_V2, signature),
        (_DATA, encode_claims(claims)),
    ]
    raw = b"".join(_encode_field(number, value) for number, value in fields)
    if len(raw) > MAX_RECORD:
        raise Malformed("record", f"{len(raw)} bytes, the limit is {MAX_RECORD}")
    return raw


def _encode_field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return varint.encode(number << 3 | protobuf.VARINT) + varint.encode(value)
    return varint.encode(number << 3 | protobuf.BYTES) + varint.encode(len(value)) + value


def decode(raw: bytes) -> Record:
    """Return the record that bytes are. Refuses records of version 1 alone, and fields that contradict the document."""
    if len(raw) > MAX_RECORD:
        raise Malformed("record", f"{len(raw)} bytes, the limit is {MAX_RECORD}")
    found = _fields(raw)
    data, signature, public = found.get(_DATA), found.get(_SIGNATURE_V2), found.get(_PUBLIC)
    if not isinstance(data, bytes) or not isinstance(signature, bytes) or not data or not signature:
        raise Malformed("record", "no signature of version 2; version 1 proves nothing")
    if len(signature) != _SIGNATURE:
        raise Malformed("record", f"a signature of {len(signature)} bytes, not {_SIGNATURE}")
    document = _document(data)
    _compare(found, document)
    validity = _validity(document["Validity"])
    return Record(
        Claims(document["Value"], instant.parse_rfc3339(validity), document["Sequence"], document["TTL"]),
        validity,
        data,
        signature,
        keys.decode_public(public) if isinstance(public, bytes) else None,
        _VALUE in found or _SIGNATURE_V1 in found,
        tuple(sorted(document.keys() - _CLAIMS)),
        bytes(raw),
    )


def _fields(raw: bytes) -> dict[int, bytes | int]:
    """The envelope's fields. Unknown ones are passed over, as the specification only ever adds."""
    found: dict[int, bytes | int] = {}
    for number, wire, a, b in protobuf.fields(raw, "record"):
        if number in found:
            raise Malformed("record", f"field {number} twice")
        if number in _NUMBERS and wire == protobuf.VARINT:
            found[number] = a
        elif number in _BYTES and wire == protobuf.BYTES:
            found[number] = raw[a:b]
        elif number in _NUMBERS or number in _BYTES:
            raise Malformed("record", f"field {number} is of another type")
    return found


def _document(data: bytes) -> dict[str, Any]:
    document = dagcbor.decode(data)
    if not isinstance(document, dict) or not document.keys() >= _CLAIMS:
        raise Malformed("record", "a claim is missing")
    for key in ("Value", "Validity"):
        if type(document[key]) is not bytes:
            raise Malformed("record", f"{key} is not bytes")
    for key in ("ValidityType", "Sequence", "TTL"):
        if type(document[key]) is not int or not 0 <= document[key] <= MAX_NUMBER:
            raise Malformed("record", f"{key} is not a number from 0 to 2^64")
    if document["ValidityType"] != _EOL:
        raise Unsupported("record", f"validity of type {document['ValidityType']}")
    return document


def _compare(found: dict[int, bytes | int], document: dict[str, Any]) -> None:
    """Refuse an envelope that says something else than what is signed. Absent fields of version 1 are protobuf's 0."""
    legacy = _VALUE in found or _SIGNATURE_V1 in found
    pairs = (
        (_VALUE, "Value"),
        (_VALIDITY, "Validity"),
        (_TYPE, "ValidityType"),
        (_SEQUENCE, "Sequence"),
        (_TTL, "TTL"),
    )
    for number, key in pairs:
        said = found.get(number)
        if said is None and legacy:
            said = 0 if number in _NUMBERS else b""
        if said is not None and said != document[key]:
            raise Malformed("record", f"{key} is not the same in the envelope and in what is signed")


def _validity(raw: bytes) -> str:
    try:
        return raw.decode("ascii")
    except UnicodeDecodeError as error:
        raise Malformed("record", "Validity is not ASCII") from error
