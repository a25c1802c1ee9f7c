"""Content identifiers: version, codec, multihash; their binary form and their text forms.

Source: multiformats CID and multibase. Text by libipld, strict; the binary form is ours.
"""

import libipld

from commonhold.formats import multihash, varint
from commonhold.formats.malformed import Malformed, Unsupported
from commonhold.formats.multihash import Multihash

RAW = 0x55
DAG_PB = 0x70
DAG_CBOR = 0x71
LIBP2P_KEY = 0x72
DAG_JSON = 0x0129

CODECS: dict[int, str] = {
    RAW: "raw",
    DAG_PB: "dag-pb",
    DAG_CBOR: "dag-cbor",
    DAG_JSON: "dag-json",
    0x51: "cbor",
    LIBP2P_KEY: "libp2p-key",
    0x78: "git-raw",
    0x85: "dag-jose",
    0x0200: "json",
    0x0202: "car",
}

BASES: dict[str, str] = {
    "base2": "0",
    "base8": "7",
    "base10": "9",
    "base16": "f",
    "base16upper": "F",
    "base32": "b",
    "base32upper": "B",
    "base32hex": "v",
    "base32pad": "c",
    "base32z": "h",
    "base36": "k",
    "base36upper": "K",
    "base58btc": "z",
    "base58flickr": "Z",
    "base64": "m",
    "base64pad": "M",
    "base64url": "u",
    "base64urlpad": "U",
}

MAX_BYTES = 160
MAX_TEXT = 8 * MAX_BYTES + 1
_V0_LENGTH = 34
_V0_PREFIX = b"\x12\x20"
# A link together with the key that opens it: in memory only, in no format. As text it is the plain CID, which comes
# last in it, so that no message can show the key. The code is of multicodec's range for private use.
KEYED = 0x305EA1
KEYED_SECRET = 72
_KEYED_PREFIX = varint.encode(KEYED)
_KEYED_PLAIN = 2 + len(_KEYED_PREFIX) + 1 + KEYED_SECRET
_ONE_BYTE_CODECS = (bytes((1, RAW)), bytes((1, DAG_PB)))
_V1_SHA2_256 = {RAW: b"\x01\x55\x12\x20", DAG_PB: b"\x01\x70\x12\x20", DAG_CBOR: b"\x01\x71\x12\x20"}


class Cid(bytes):
    """A well-formed binary CID, v0 or v1. Made by the functions of this page; nothing else checks it again."""

    __slots__ = ()

    @property
    def version(self) -> int:
        """0 for a bare sha2-256 multihash of dag-pb, else 1."""
        return 0 if len(self) == _V0_LENGTH and self[:2] == _V0_PREFIX else 1

    @property
    def codec(self) -> int:
        """The multicodec code of what the block's bytes mean."""
        if self.version == 0:
            return DAG_PB
        return self[1] if self[1] < 128 else varint.decode(self, 1)[0]

    @property
    def multihash(self) -> Multihash:
        """The block store's key."""
        if self.version == 0:
            return Multihash(self)
        if self[1] < 128:  # every codec that has blocks of ours
            return Multihash(self[2:])
        return Multihash(self[varint.decode(self, 1)[1] :])

    @property
    def inline(self) -> bytes | None:
        """The content itself, if the CID carries it (identity hash)."""
        hashed = self.multihash
        return hashed.digest if hashed[0] == multihash.IDENTITY else None

    @property
    def keyed(self) -> bool:
        """Whether it carries a key: see `with_key`."""
        return self[2:6] == _KEYED_PREFIX and self[:1] == b"\x01"

    @property
    def plain(self) -> "Cid":
        """Without the key that it may carry."""
        return Cid(self[_KEYED_PLAIN:]) if self.keyed else self

    def __str__(self) -> str:
        """The usual text: base58btc for v0, base32 for v1. A key is never part of it."""
        if self.keyed:
            return str(self.plain)
        if self.version == 0:
            return str(libipld.encode_multibase("z", bytes(self)))[1:]
        return str(libipld.encode_multibase("b", bytes(self)))

    def __repr__(self) -> str:
        return f"Cid({self})"


def parse_prefix(data: bytes, at: int = 0) -> tuple[Cid, int]:
    """Return the binary CID at an offset and the offset after it."""
    if data[at : at + 2] == _V0_PREFIX:
        if len(data) - at < _V0_LENGTH:
            raise Malformed("CID", "cut short")
        return Cid(data[at : at + _V0_LENGTH]), at + _V0_LENGTH
    if data[at + 2 : at + 6] == _KEYED_PREFIX and data[at : at + 2] in _ONE_BYTE_CODECS:
        after = at + 7 + data[at + 6] if len(data) > at + 6 else len(data) + 1
        if _KEYED_PLAIN < after - at <= MAX_BYTES and after <= len(data):
            return Cid(data[at:after]), after
        raise Malformed("CID", "cut short")
    version, after = varint.decode(data, at)
    if version != 1:
        raise Unsupported("CID", f"version {version}")
    _, after = varint.decode(data, after)
    hashed, after = multihash.parse(data, after)
    if hashed[0] == multihash.IDENTITY and len(hashed.digest) > multihash.MAX_IDENTITY:
        raise Malformed("CID", "inline content over 128 bytes")
    return Cid(data[at:after]), after


def parse(data: bytes) -> Cid:
    """Return the CID that data is, whole."""
    found, after = parse_prefix(data)
    if after != len(data):
        raise Malformed("CID", f"{len(data) - after} bytes too many")
    return found


def with_key(plain: Cid, secret: bytes) -> Cid:
    """Return a name for the content of a CID of one-byte codec that carries how to open it: KEYED_SECRET bytes.

    Such names live in memory only: no format writes them, and no text is read as one.
    """
    digest_length = len(secret) + len(plain)
    return Cid(b"\x01%c%b%c%b%b" % (plain.codec, _KEYED_PREFIX, digest_length, secret, plain))


def key_of(hashed: Multihash) -> tuple[bytes, Cid]:
    """Return the secret and the plain CID in the multihash of a name made by `with_key`."""
    at = len(_KEYED_PREFIX) + 1
    if hashed[: at - 1] != _KEYED_PREFIX or len(hashed) <= at + KEYED_SECRET:
        raise Malformed("CID", "it carries no key")
    return hashed[at : at + KEYED_SECRET], Cid(hashed[at + KEYED_SECRET :])


def parse_text(text: str) -> Cid:
    """Return the CID that a text in any known base is; a bare `Qm…` is CIDv0."""
    return parse_text_base(text)[0]


def parse_text_base(text: str) -> tuple[Cid, str]:
    """Return the CID and the name of the base it was written in."""
    if not text or len(text) > MAX_TEXT:
        raise Malformed("CID", "empty" if not text else f"text of {len(text)} characters")
    if len(text) == 46 and text.startswith("Qm"):
        found, base = parse(_decode_multibase("z" + text)), "base58btc"
        if found.version != 0:
            raise Malformed("CID", f"{text!r} is not CIDv0")
        return found, base
    found = parse(_decode_multibase(text))
    if found.version == 0:
        raise Malformed("CID", "CIDv0 with a multibase prefix")
    if found.keyed:
        raise Unsupported("CID", "a hash function for private use")
    prefix = text[0]
    return found, next((name for name, letter in BASES.items() if letter == prefix), prefix)


def _decode_multibase(text: str) -> bytes:
    try:
        return bytes(libipld.decode_multibase(text)[1])
    except ValueError as error:
        raise Malformed("CID", f"{text[:80]!r} is in no known base") from error


def format_text(cid: Cid, base: str) -> str:
    """Return a CIDv1's text in a base by name. CIDv0 has base58btc only."""
    if cid.version == 0:
        if base != "base58btc":
            raise Malformed("CID", f"CIDv0 is written in base58btc only, not {base}; convert it to v1 first")
        return str(cid)
    if base not in BASES:
        raise Unsupported("base", f"{base!r}; known are {', '.join(BASES)}")
    return str(libipld.encode_multibase(BASES[base], bytes(cid)))


def make_v1(codec: int, hashed: bytes) -> Cid:
    """Build a CIDv1 from a codec and a multihash."""
    return Cid(b"\x01" + varint.encode(codec) + hashed)


def from_digest(codec: int, digest: bytes) -> Cid:
    """Build a CIDv1 from a codec and a sha2-256 digest: 32 bytes."""
    prefix = _V1_SHA2_256.get(codec)
    return Cid(prefix + digest) if prefix else make_v1(codec, multihash.from_sha2_256_digest(digest))


def make_v0(hashed: Multihash) -> Cid:
    """Build a CIDv0; only sha2-256 has one."""
    if hashed[:2] != _V0_PREFIX:
        raise Malformed("CID", f"no CIDv0 for {hashed.function}")
    return Cid(hashed)


def to_version(cid: Cid, version: int) -> Cid:
    """Return the same content's CID in another version."""
    if version == cid.version:
        return cid
    if version == 1:
        return make_v1(DAG_PB, cid)
    if version == 0 and cid.codec == DAG_PB:
        return make_v0(cid.multihash)
    raise Malformed("CID", f"no CIDv{version} for codec {codec_name(cid.codec)}")


def codec_name(code: int) -> str:
    """Return a codec's name, or its code in hexadecimal."""
    return CODECS.get(code, hex(code))


def codec_of(name: str) -> int:
    """Return a codec's code by name or number text."""
    for code, known in CODECS.items():
        if known == name:
            return code
    try:
        code = int(name, 0)
    except ValueError:
        raise Unsupported("codec", f"{name!r}; known are {', '.join(CODECS.values())}") from None
    if not 0 <= code < 1 << 31:
        raise Malformed("codec", f"{name} is out of range")
    return code
