"""docs/spec/pack.md, read by somebody else: shares by zfec, `cryptography` and the standard library."""

import hashlib
import hmac
import struct
from typing import Any, NamedTuple

import zfec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


class Made(NamedTuple):
    """A share, and what it was made with."""

    key: bytes
    called: bytes
    zeros: int
    share: bytes


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()


def shares(seed: bytes, k: int, n: int, pack: bytes, places: list[tuple[bytes, bytes]], segment: int) -> list[Made]:
    """All shares of a pack, for pins and salts."""
    numbered: list[list[bytes]] = [[] for _ in range(n)]
    for at in range(0, len(pack), segment):
        cut = pack[at : at + segment]
        size = (len(cut) + k - 1) // k
        cut += bytes(k * size - len(cut))
        pieces = zfec.Encoder(k, n).encode(tuple(cut[i * size : (i + 1) * size] for i in range(k)))
        for number, piece in enumerate(pieces):
            numbered[number].append(bytes(piece))
    made = []
    for number, (pin, salt) in enumerate(places):
        key = _hmac(seed, b"commonhold share v1 key\x00" + pin + salt)
        header = struct.pack("<BBBBIQ", 1, k, n, number, segment, len(pack))
        parts = [header, *numbered[number]]
        sealed = [AESGCM(key).encrypt(struct.pack("<QI", i, 0), part, None) for i, part in enumerate(parts)]
        body = salt + b"".join(sealed)
        drawn = struct.unpack_from("<Q", _hmac(seed, b"commonhold share v1 padding\x00" + pin))[0]
        zeros = drawn % (max(4096, len(body) // 32) + 1)
        tail = AESGCM(key).encrypt(struct.pack("<QI", len(parts), 0), bytes(zeros), None)
        made.append(Made(key, _hmac(seed, b"commonhold share v1 index\x00" + pin), zeros, body + tail))
    return made


def case(name: str, k: int, n: int, recipe: dict[str, Any], pack: bytes, segment: int) -> dict[str, Any]:
    """All values of one pack's shares."""
    seed = hashlib.sha256(f"seed of {name}".encode()).digest()
    places = [
        (
            hashlib.sha256(f"server {number}".encode()).digest(),
            hashlib.sha256(f"salt {name} {number}".encode()).digest()[:16],
        )
        for number in range(n)
    ]
    rows = []
    for (pin, salt), made in zip(places, shares(seed, k, n, pack, places, segment), strict=True):
        row: dict[str, Any] = {"pin": pin.hex(), "salt": salt.hex(), "key": made.key.hex(), "index": made.called.hex()}
        row |= {"zeros": made.zeros, "bytes": len(made.share), "head": made.share[:48].hex()}
        row |= {"sha256": hashlib.sha256(made.share).hexdigest()}
        if len(made.share) < 1500:
            row["share"] = made.share.hex()
        rows.append(row)
    return {"name": name, "k": k, "n": n, "segment": segment, "seed": seed.hex(), "pack": recipe, "shares": rows}
