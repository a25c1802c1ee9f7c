"""`python -m tests.sealing.make_vectors > vectors/sealing.json`: trees by the product, sealed by `independent`."""

import hashlib
import json
import sys
from typing import Any

from commonhold.formats import cid as cids
from commonhold.formats import dagpb, multihash, unixfs
from commonhold.formats.cid import Cid
from commonhold.formats.unixfs import Data, Type
from commonhold.unixfs import profile, read, run
from tests.sealing import independent
from tests.unixfs.trees import Memory

ALICE = hashlib.sha256(b"alice's convergence secret").digest()
BOB = hashlib.sha256(b"bob's convergence secret").digest()
STREAM = {"seed": "sealed"}
TREES: list[tuple[str, str, bytes, int, dict[str, Any]]] = [
    ("a small file", "unixfs-v1-2025", ALICE, 1 << 20, {"text": "hello world\n"}),
    ("the same file by another user", "unixfs-v1-2025", BOB, 1 << 20, {"text": "hello world\n"}),
    ("an empty file", "unixfs-v1-2025", ALICE, 1 << 20, {"text": ""}),
    ("an empty directory", "unixfs-v1-2025", ALICE, 1 << 20, {"dir": {}}),
    ("chunks, two of them the same", "unixfs-v1-2025", ALICE, 100, {"zeros": 250}),
    (
        "a tree",
        "unixfs-v1-2025",
        ALICE,
        128,
        {
            "dir": {
                "a name": {"text": "hello world\n"},
                "another": {"stream": STREAM | {"bytes": 300}},
                "link": {"symlink": "a name"},
                "sub": {"dir": {"again": {"text": "hello world\n"}, "none": {"text": ""}}},
            }
        },
    ),
    (
        "the older profile",
        "unixfs-v0-2015",
        ALICE,
        128,
        {"dir": {"f": {"stream": STREAM | {"bytes": 300}}, "s": {"text": "hello world\n"}}},
    ),
    ("one chunk of 4 KiB", "unixfs-v1-2025", ALICE, 1 << 20, {"stream": STREAM | {"bytes": 4096}}),
    ("a byte over what 4 KiB take", "unixfs-v1-2025", ALICE, 1 << 20, {"stream": STREAM | {"bytes": 4161}}),
    ("one chunk of 1 MiB", "unixfs-v1-2025", ALICE, 1 << 20, {"stream": STREAM | {"bytes": 1 << 20}}),
]


def plain_blocks(memory: Memory, root: Cid) -> list[tuple[Cid, bytes]]:
    """The blocks of a graph, each once, children before parents."""
    found: dict[Cid, bytes] = {}
    for visited in run.items(read.walk(root), memory.fetch):
        if visited.cid.inline is None:
            found.pop(visited.cid, None)
            found[visited.cid] = memory.blocks[visited.cid]
    return list(reversed(found.items()))


def case(name: str, secret: bytes, blocks: list[tuple[Cid, bytes]], recipe: dict[str, Any]) -> dict[str, Any]:
    """All values of one tree."""
    made: dict[bytes, dict[str, Any]] = {}
    shown: list[dict[str, Any]] = []
    for cid, content in blocks:
        block = independent.seal(secret, bytes(cid), content, made)
        made[bytes(cid)] = block
        row = {key: value.hex() if isinstance(value, bytes) else value for key, value in block.items()}
        row |= {
            "plain": str(cid),
            "cid": str(cids.from_digest(cids.RAW, block["digest"])),
            "size": len(block["sealed"]),
        }
        row["content"] = content.hex()
        if len(content) > 400:
            del row["content"]
        if len(block["sealed"]) > 800:
            del row["sealed"]
        shown.append(row)
    last = made[bytes(blocks[-1][0])]
    return recipe | {
        "name": name,
        "secret": secret.hex(),
        "blocks": shown,
        "read": independent.capability("holdr1", last["n"], last["digest"], last["read_key"]),
        "verify": independent.capability("holdv1", last["n"], last["digest"], last["verify_key"]),
    }


def with_inline_link() -> list[tuple[Cid, bytes]]:
    """A directory of one link that carries its content, and one that does not."""
    leaf = b"not inline"
    target = cids.make_v1(cids.RAW, multihash.sha2_256(leaf))
    inline = cids.make_v1(cids.RAW, multihash.identity(b"inline"))
    links = [dagpb.Link(inline, "a", 6), dagpb.Link(target, "b", 10)]
    block = dagpb.encode(links, unixfs.encode(Data(Type.DIRECTORY)))
    return [(target, leaf), (cids.make_v1(cids.DAG_PB, multihash.sha2_256(block)), block)]


def main() -> None:
    """Print them."""
    cases = []
    for name, kind, secret, chunk, recipe in TREES:
        memory = Memory()
        root = memory.tree(profile.by_name(kind), recipe, chunk).cid
        described = {"profile": kind, "chunk": chunk, "tree": recipe}
        cases.append(case(name, secret, plain_blocks(memory, root), described))
    cases.append(case("a link that carries its content", ALICE, with_inline_link(), {}))
    sys.stdout.write(json.dumps({"cases": cases}, indent=1) + "\n")


if __name__ == "__main__":
    main()
