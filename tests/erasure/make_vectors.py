"""`python -m tests.erasure.make_vectors share > vectors/share.json`, and the same with pack."""

import hashlib
import json
import struct
import sys
from typing import Any

from tests import vectors
from tests.erasure import independent

SHARES: list[tuple[str, int, int, dict[str, Any], int]] = [
    ("one byte", 3, 5, {"text": "x"}, 1 << 20),
    ("a byte fewer than k", 5, 7, {"text": "four"}, 1 << 20),
    ("one of one", 1, 1, {"text": "alone"}, 1 << 20),
    ("copies", 1, 3, {"stream": {"seed": "copies", "bytes": 1000}}, 1 << 20),
    ("short segments, the last one shorter", 3, 10, {"stream": {"seed": "short", "bytes": 10_000}}, 4096),
    ("exactly a segment", 3, 5, {"stream": {"seed": "exactly", "bytes": 1 << 20}}, 1 << 20),
    ("a segment and a byte", 3, 5, {"stream": {"seed": "exactly", "bytes": (1 << 20) + 1}}, 1 << 20),
    ("more than a handful", 10, 16, {"stream": {"seed": "many", "bytes": 5000}}, 4096),
]
PACKS: list[tuple[str, list[str]]] = [
    ("one block", ["hello world\n"]),
    ("three, one of them empty", ["a", "", "b" * 300]),
]


def varint(number: int) -> bytes:
    """LEB128."""
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + varint(number >> 7)


def pack_case(name: str, texts: list[str]) -> dict[str, Any]:
    """A pack of blocks named by sha2-256."""
    rows = b"".join(b"\x12\x20" + hashlib.sha256(text.encode()).digest() + varint(len(text)) for text in texts)
    table = b"hpk1" + struct.pack("<II", len(texts), len(rows)) + rows
    return {"name": name, "blocks": texts, "table": table.hex(), "bytes": len(table) + sum(map(len, texts))}


def main() -> None:
    """Print them."""
    if sys.argv[1:] == ["pack"]:
        cases = [pack_case(name, texts) for name, texts in PACKS]
    else:
        cases = [
            independent.case(name, k, n, recipe, vectors.content(recipe), segment)
            for name, k, n, recipe, segment in SHARES
        ]
    sys.stdout.write(json.dumps({"cases": cases}, indent=1) + "\n")


if __name__ == "__main__":
    main()
