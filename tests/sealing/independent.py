"""Sealed trees once more, from docs/spec/sealing.md alone: nothing of the product is imported here."""

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterator
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

Get = Callable[[bytes], bytes]  # digest → sealed block
NONCE = bytes(12)
READ, VERIFY = b"commonhold sealed block v1 read\0", b"commonhold sealed block v1 verify\0"


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def mac(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()


def u32(number: int) -> bytes:
    return number.to_bytes(4, "little")


def varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        number |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return number, at


def fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        if tag & 7 == 0:
            _, at = varint(data, at)
            continue
        length, at = varint(data, at)
        yield tag >> 3, data[at : at + length]
        at += length


def codec_of(cid: bytes) -> int:
    return 0x70 if cid[:2] == b"\x12\x20" else cid[1]


def rows_links(codec: int, content: bytes) -> list[bytes]:
    """The CIDs that have rows."""
    if codec == 0x55:
        return []
    links = [next(fields(body))[1] for number, body in fields(content) if number == 2]
    return [cid for cid in links if cid[:1] != b"\x01" or cid[2] != 0x00]


def size_of(length: int, n: int) -> int:
    load = length + 104 * n + (16 if n else 0)
    buckets = sorted(m << k for k in range(6, 19) for m in (4, 5, 6, 7))
    return next(bucket for bucket in buckets if bucket >= load - 64) + 96


def seal(secret: bytes, cid: bytes, content: bytes, children: dict[bytes, dict[str, Any]]) -> dict[str, Any]:
    """A sealed block, with every value on the way."""
    codec = codec_of(cid)
    rows = [children[link] for link in rows_links(codec, content)]
    version = 0 if cid[:2] == b"\x12\x20" else 1
    header = bytes((1, version, 0, 0)) + u32(codec) + u32(len(content)) + u32(len(rows))
    inner = b"".join(row["read_key"] + u32(row["length"]) for row in rows)
    outer = b"".join(row["digest"] + u32(row["n"]) + row["verify_key"] for row in rows)
    message = READ + header + sha(content) + sha(inner + outer)
    read_key = mac(secret, message)
    verify_key = mac(read_key, VERIFY) if rows else bytes(32)
    size = size_of(len(content), len(rows))
    zeros = size - 32 - len(content) - len(inner) - (len(outer) + 16 if rows else 0)
    sealed = AESGCM(read_key).encrypt(NONCE, content + inner + bytes(zeros) + header, None)
    if rows:
        sealed += AESGCM(verify_key).encrypt(NONCE, outer, None)
    assert len(sealed) == size
    return {
        "plain": cid, "length": len(content), "n": len(rows), "header": header, "content_sha256": sha(content),
        "inner": inner, "outer": outer, "rows_sha256": sha(inner + outer), "message": message, "read_key": read_key,
        "verify_key": verify_key, "zeros": zeros, "sealed": sealed, "digest": sha(sealed),
    }  # fmt: skip


def capability(prefix: str, n: int, digest: bytes, key: bytes) -> str:
    body = u32(n) + digest + key
    text = base64.b32encode(body + sha(prefix.encode() + body)[:4]).decode()
    return prefix + text.rstrip("=").lower()


def parts(text: str) -> tuple[str, int, bytes, bytes]:
    raw = base64.b32decode(text[6:].upper() + "====")
    assert sha(text[:6].encode() + raw[:-4])[:4] == raw[-4:]
    return text[:6], int.from_bytes(raw[:4], "little"), raw[4:36], raw[36:68]


def open_tree(text: str, get: Get) -> dict[bytes, bytes]:
    """Every plain block of a tree, by its CID; the root's comes first."""
    prefix, n, digest, key = parts(text)
    assert prefix == "holdr1"
    found: dict[bytes, bytes] = {}
    stack: list[tuple[bytes | None, int, bytes, bytes]] = [(None, n, digest, key)]
    while stack:
        named, n, digest, key = stack.pop()
        sealed = get(digest)
        assert sha(sealed) == digest
        cut = len(sealed) - (68 * n + 16 if n else 0)
        body = AESGCM(key).decrypt(NONCE, sealed[:cut], None)
        version, codec, length = (
            body[-15],
            int.from_bytes(body[-12:-8], "little"),
            int.from_bytes(body[-8:-4], "little"),
        )
        assert int.from_bytes(body[-4:], "little") == n and size_of(length, n) == len(sealed)
        content, inner = body[:length], body[length : length + 36 * n]
        outer = AESGCM(mac(key, VERIFY)).decrypt(NONCE, sealed[cut:], None) if n else b""
        cid = (b"\x12\x20" if version == 0 else bytes((1, codec, 0x12, 0x20))) + sha(content)
        assert named in (None, cid)
        found[cid] = content
        links = rows_links(codec, content)
        assert len(links) == n
        for i, link in enumerate(links):
            row = outer[68 * i : 68 * i + 68]
            stack.append((link, int.from_bytes(row[32:36], "little"), row[:32], inner[36 * i : 36 * i + 32]))
    return found


def verify_tree(text: str, get: Get) -> set[bytes]:
    """The digests of a tree's sealed blocks."""
    prefix, n, digest, key = parts(text)
    assert prefix == "holdv1"
    rows = {(digest, n, key)}
    todo = [(digest, n, key)]
    while todo:
        digest, n, key = todo.pop()
        sealed = get(digest)
        assert sha(sealed) == digest
        if n:
            outer = AESGCM(key).decrypt(NONCE, sealed[len(sealed) - 68 * n - 16 :], None)
            for at in range(0, len(outer), 68):
                row = (
                    outer[at : at + 32],
                    int.from_bytes(outer[at + 32 : at + 36], "little"),
                    outer[at + 36 : at + 68],
                )
                if row not in rows:
                    rows.add(row)
                    todo.append(row)
    return {digest for digest, _, _ in rows}
