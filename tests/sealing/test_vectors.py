"""The product, the page's independent reading and the vectors agree in every value."""

from typing import Any

import pytest

from commonhold.agent.sealed import SealedView, SealingSession, open_sealed
from commonhold.crypto.derive import derive
from commonhold.formats import capability as capabilities
from commonhold.formats import cid as cids
from commonhold.formats.capability import ReadCapability
from commonhold.formats.cid import Cid
from commonhold.sealing.block import Header, Row, rows_digest, sealed_size
from commonhold.sealing.links import targets
from commonhold.sealing.seal import READ_LABEL, Sealer, verify_capability
from commonhold.unixfs import profile, read, run
from tests import vectors
from tests.fakes.keeping import Keeping
from tests.sealing import independent
from tests.sealing.trees import feed, key_of
from tests.unixfs.trees import Memory

CASES = vectors.cases("sealing")
NAMES = [case["name"] for case in CASES]


def plain_tree(case: dict[str, Any]) -> tuple[Memory, Cid]:
    """The plain tree of a case, by its recipe or its blocks."""
    memory = Memory()
    if "tree" in case:
        return memory, memory.tree(profile.by_name(case["profile"]), case["tree"], case["chunk"]).cid
    for block in case["blocks"]:
        memory.blocks[cids.parse_text(block["plain"])] = bytes.fromhex(block["content"])
    return memory, cids.parse_text(case["blocks"][-1]["plain"])


def unhex(block: dict[str, Any], *names: str) -> list[bytes]:
    return [bytes.fromhex(block[name]) for name in names]


def row_of(block: dict[str, Any]) -> Row:
    digest, read_key, verify_key = unhex(block, "digest", "read_key", "verify_key")
    return Row(digest, block["n"], read_key, verify_key, block["length"])


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_every_value_of_every_block_is_the_vectors(case: dict[str, Any]) -> None:
    memory, _ = plain_tree(case)
    sealer = Sealer(bytes.fromhex(case["secret"]))
    rows: dict[Cid, Row] = {}
    for block in case["blocks"]:
        cid = cids.parse_text(block["plain"])
        content = memory.blocks[cid]
        children = [rows[target] for target in targets(content)] if cid.codec == cids.DAG_PB else []
        header = Header(cid.version, cid.codec, len(content), len(children))
        head, digest, inner, outer = unhex(block, "header", "content_sha256", "inner", "outer")
        assert header.pack() == head and cid.multihash.digest == digest
        assert b"".join(row.inner() for row in children) == inner
        assert b"".join(row.outer() for row in children) == outer
        assert rows_digest(inner, outer).hex() == block["rows_sha256"]
        assert (READ_LABEL + head + digest + rows_digest(inner, outer)).hex() == block["message"]
        assert derive(bytes.fromhex(case["secret"]), bytes.fromhex(block["message"])).hex() == block["read_key"]
        sealed = sealer.node(content, digest, header, children)
        assert sealed.row == row_of(block)
        assert len(sealed.data) == block["size"] == sealed_size(len(content), len(children))
        assert block.get("sealed") in (None, sealed.data.hex())
        assert str(cids.from_digest(cids.RAW, sealed.row.digest)) == block["cid"]
        rows[cid] = sealed.row


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_an_add_gives_the_vectors_blocks_and_capabilities(case: dict[str, Any]) -> None:
    memory, root = plain_tree(case)
    keeping = Keeping()
    chosen = profile.by_name(case.get("profile", "unixfs-v1-2025"))
    session = SealingSession(keeping, bytes.fromhex(case["secret"]), chosen)
    feed(session, memory, root)
    capability = session.capability(root)
    assert str(capability) == case["read"] and str(verify_capability(capability)) == case["verify"]
    assert {key.digest.hex() for key in keeping.blocks} == {block["digest"] for block in case["blocks"]}
    opened = independent.open_tree(case["read"], lambda digest: keeping.blocks[key_of(digest)])
    assert opened == {
        bytes(cids.parse_text(b["plain"])): memory.blocks[cids.parse_text(b["plain"])] for b in case["blocks"]
    }
    listed = independent.verify_tree(case["verify"], lambda digest: keeping.blocks[key_of(digest)])
    assert listed == {key.digest for key in keeping.blocks}


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_what_another_party_sealed_is_read(case: dict[str, Any]) -> None:
    memory, root = plain_tree(case)
    keeping = Keeping()
    made: dict[bytes, dict[str, Any]] = {}
    for block in case["blocks"]:
        cid = bytes(cids.parse_text(block["plain"]))
        made[cid] = independent.seal(bytes.fromhex(case["secret"]), cid, memory.blocks[Cid(cid)], made)
        keeping.put(key_of(made[cid]["digest"]), made[cid]["sealed"])
    capability = capabilities.parse_text(case["read"])
    assert isinstance(capability, ReadCapability)
    blocks, opened = open_sealed(keeping, capability)
    assert opened.plain == root and str(opened) == str(root)
    found = {visited.cid.plain for visited in run.items(read.walk(opened), blocks.fetch)}
    assert {cid for cid in found if cid.inline is None} == {cids.parse_text(b["plain"]) for b in case["blocks"]}
    assert isinstance(blocks.store, SealedView)


def test_two_users_vectors_differ_in_all_but_the_plain_cid() -> None:
    alice, bob = (case["blocks"][0] for case in CASES[:2])
    assert alice["plain"] == bob["plain"]
    assert all(alice[name] != bob[name] for name in ("read_key", "digest", "sealed", "cid"))
