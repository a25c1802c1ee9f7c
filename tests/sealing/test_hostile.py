"""Sealed trees by strangers: whatever they say, it is refused in bounded time, or it is true."""

import hashlib
import struct
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold.agent.sealed import open_sealed
from commonhold.api import Fetch
from commonhold.crypto import aead
from commonhold.errors import HoldError, Kind
from commonhold.formats import cid as cids
from commonhold.formats import dagpb, multihash, unixfs
from commonhold.formats.capability import ReadCapability, VerifyCapability
from commonhold.formats.cid import Cid
from commonhold.formats.malformed import Malformed
from commonhold.formats.unixfs import Data, Type
from commonhold.sealing.block import MAX_ROWS, NO_KEY, Header, Row, outer_size, sealed_size
from commonhold.sealing.opening import check_unread
from commonhold.sealing.seal import Sealer, verify_capability, verify_key
from commonhold.sealing.walk import walk
from commonhold.unixfs import run
from tests.examples import examples
from tests.sealing.trees import ALICE, sealed_tree, stored

KEY = hashlib.sha256(b"a stranger's key").digest()
LEAF = b"leaf"
LEAF_CID = cids.make_v1(cids.RAW, multihash.sha2_256(LEAF))


def leaf(content: bytes = LEAF) -> tuple[bytes, Row]:
    made = Sealer(ALICE).node(content, hashlib.sha256(content).digest(), Header(1, cids.RAW, len(content), 0), [])
    return made.data, made.row


def directory(*links: Cid) -> bytes:
    return dagpb.encode(
        [dagpb.Link(cid, f"{i}", 1) for i, cid in enumerate(links)], unixfs.encode(Data(Type.DIRECTORY))
    )


def craft(
    content: bytes,
    rows: Sequence[Row] = (),
    *,
    header: bytes | None = None,
    size: int | None = None,
    zeros: bytes = b"\0",
) -> tuple[bytes, ReadCapability]:
    """A sealed block as somebody makes it who keeps to no rule."""
    n = len(rows)
    codec = cids.DAG_PB if rows else cids.RAW
    head = Header(1, codec, len(content), n).pack() if header is None else header
    total = sealed_size(len(content), n) if size is None else size
    inner = b"".join(row.inner() for row in rows)
    padding = total - outer_size(n) - 32 - len(content) - len(inner)
    block = aead.seal(KEY, content + inner + zeros * padding + head)
    if n:
        block += aead.seal(verify_key(KEY, n), b"".join(row.outer() for row in rows))
    return block, ReadCapability(hashlib.sha256(block).digest(), n, KEY)


def refused(block: bytes, capability: ReadCapability, *others: bytes) -> None:
    with pytest.raises(HoldError) as caught:
        blocks, root = open_sealed(stored([block, *others]), capability)
        for visited in blocks.walk(root):
            blocks.block(visited.cid)
    assert caught.value.kind in (Kind.INVALID, Kind.UNSUPPORTED)


def test_what_craft_makes_by_the_rules_opens() -> None:
    data, row = leaf()
    block, capability = craft(directory(LEAF_CID), [row])
    blocks, root = open_sealed(stored([block, data]), capability)
    assert blocks.block(blocks.resolve(root, ["0"])) == LEAF


def raw_header(
    version: int = 1, cid: int = 1, zero: int = 0, codec: int = 0x55, length: int = 4, rows: int = 0
) -> bytes:
    return struct.pack("<BBHIII", version, cid, zero, codec, length, rows)


@pytest.mark.parametrize(
    "header",
    [
        raw_header(version=0),
        raw_header(version=2),
        raw_header(cid=0),
        raw_header(cid=2, codec=0x70),
        raw_header(zero=1),
        raw_header(codec=0x71),
        raw_header(codec=0xFFFFFFFF),
        raw_header(length=3),
        raw_header(length=5),
        raw_header(length=321),
        raw_header(length=0xFFFFFFFF),
        raw_header(rows=1),
        raw_header(rows=0xFFFFFFFF),
        bytes(16),
        b"\xff" * 16,
    ],
)
def test_a_header_that_is_not_true_is_refused(header: bytes) -> None:
    block, capability = craft(LEAF, header=header)
    try:
        _, root = open_sealed(stored([block]), capability)
    except HoldError:
        return
    # A length that fits the same block is a claim nobody can contradict: the zeros after it are the content then.
    assert header == raw_header(length=5) and root.plain.multihash == multihash.sha2_256(LEAF + b"\0")


@pytest.mark.parametrize("size", [48, 100, 351, 353, 416, 2 << 20, 3 << 20])
def test_a_size_that_is_not_the_one_of_its_load_is_refused(size: int) -> None:
    refused(*craft(LEAF, size=size))


@pytest.mark.parametrize("block", [b"", b"x", bytes(31), bytes(32), bytes(352), bytes(3 << 20)])
def test_a_block_that_was_never_sealed_is_refused(block: bytes) -> None:
    for rows in (0, 1, 3, MAX_ROWS, 1 << 16):
        refused(block, ReadCapability(hashlib.sha256(block).digest(), rows, KEY))
        with pytest.raises(Malformed):
            found = check_unread(block, VerifyCapability(hashlib.sha256(block).digest(), rows, KEY))
            assert not found and len(block) == 352 and not rows, "an unread block without rows has a size only"
            raise Malformed("test", "nothing more can be known of it")


def test_padding_that_is_not_zero_is_refused() -> None:
    refused(*craft(LEAF, zeros=b"\1"))


def test_rows_and_links_have_to_fit() -> None:
    data, row = leaf()
    for links, rows in ((2, 1), (1, 2), (0, 1)):
        refused(*craft(directory(*[LEAF_CID] * links), [row] * rows), data)
    refused(*craft(directory(LEAF_CID), [], header=raw_header(codec=0x70, length=len(directory(LEAF_CID)))), data)


@pytest.mark.parametrize(
    "wrong",
    [
        {"length": 5},
        {"length": 0},
        {"length": 0xFFFFFFFF},
        {"rows": 1},
        {"rows": 1, "verify_key": KEY},
        {"rows": MAX_ROWS + 1, "verify_key": KEY},
        {"verify_key": KEY},
        {"read_key": KEY},
        {"digest": bytes(32)},
    ],
)
def test_a_row_that_is_not_true_is_refused(wrong: dict[str, object]) -> None:
    data, row = leaf()
    block, capability = craft(directory(LEAF_CID), [row._replace(**wrong)])  # type: ignore[arg-type]
    with pytest.raises(HoldError) as caught:
        blocks, root = open_sealed(stored([block, data]), capability)
        blocks.block(blocks.resolve(root, ["0"]))
    assert caught.value.kind is (Kind.NOT_FOUND if "digest" in wrong else Kind.INVALID)


def test_another_child_than_the_link_names_is_refused() -> None:
    data, row = leaf(b"fake")
    refused(*craft(directory(LEAF_CID), [row]), data)
    into = memoryview(bytearray(2 << 20))
    block, capability = craft(directory(LEAF_CID), [row])
    blocks, root = open_sealed(stored([block, data]), capability)
    with pytest.raises(HoldError):
        blocks.store.read_into(blocks.resolve(root, ["0"]).multihash, into)


def test_children_swapped_with_their_rows_are_refused() -> None:
    one, two = leaf(b"fst!"), leaf(b"snd!")
    names = [cids.make_v1(cids.RAW, multihash.sha2_256(content)) for content in (b"fst!", b"snd!")]
    refused(*craft(directory(*names), [two[1], one[1]]), one[0], two[0])


def test_a_verifier_cannot_be_led_elsewhere_than_the_reader() -> None:
    """A row whose verify key is not the one of its read key: the reader refuses the tree that a verifier would list."""
    content = directory(LEAF_CID)
    data, row = leaf()
    middle = Sealer(ALICE).node(
        content, hashlib.sha256(content).digest(), Header(1, cids.DAG_PB, len(content), 1), [row]
    )
    lying = middle.row._replace(verify_key=KEY)
    link = cids.make_v1(cids.DAG_PB, multihash.sha2_256(content))
    refused(*craft(directory(link), [lying]), middle.data, data)


@pytest.mark.parametrize(
    "link", [b"\x01\x71\x12\x20" + bytes(32), b"\x01\x55\x13\x40" + bytes(64), b"\x01\x55\x1e\x20" + bytes(32)]
)
def test_links_that_cannot_be_sealed_are_unsupported(link: bytes) -> None:
    _, row = leaf()
    refused(*craft(directory(cids.parse(link)), [row]))


def test_a_strangers_link_cannot_bring_a_key_of_its_own() -> None:
    keyed = cids.with_key(LEAF_CID, bytes(cids.KEYED_SECRET))
    _, row = leaf()
    refused(*craft(directory(keyed), [row]))
    refused(*craft(directory(keyed), [], header=raw_header(codec=0x70, length=len(directory(keyed)))))


REGIONS = [0, 40, 200, -130, -100, -85, -84, -17, -16, -1]


@pytest.mark.parametrize("at", REGIONS)
def test_a_flipped_bit_or_a_cut_anywhere_is_refused_even_by_who_trusts_the_digest(at: int) -> None:
    data, row = leaf()
    block, capability = craft(directory(LEAF_CID), [row])
    for changed in (_flipped(block, at), block[:at], block[at:] if at else block + b"\0"):
        refused(changed, ReadCapability(hashlib.sha256(changed).digest(), 1, KEY), data)
    assert open_sealed(stored([block, data]), capability)


def _flipped(block: bytes, at: int) -> bytes:
    changed = bytearray(block)
    changed[at] ^= 4
    return bytes(changed)


@pytest.mark.parametrize("rows", [0, 1, 2, 4, MAX_ROWS, 1 << 16])
def test_a_wrong_number_of_rows_or_key_opens_nothing(rows: int) -> None:
    _, row = leaf()
    block, capability = craft(directory(LEAF_CID, LEAF_CID, LEAF_CID), [row] * 3)
    refused(block, ReadCapability(capability.digest, rows, KEY))
    refused(block, ReadCapability(capability.digest, 3, ALICE))
    for key in (KEY, ALICE, NO_KEY):
        with pytest.raises(Malformed):
            check_unread(block, VerifyCapability(capability.digest, 3, key))


def fetching(blocks: dict[bytes, bytes], limit: int = 500) -> Fetch:
    """A fetcher that believes what it is told to: digests are not checked, so graphs may have cycles."""
    asked = 0

    def fetch(wanted: Sequence[Cid]) -> list[bytes]:
        nonlocal asked
        asked += len(wanted)
        assert asked < limit, "a walk without end"
        return [blocks[cid.multihash.digest] for cid in wanted]

    return fetch


def test_a_cycle_ends() -> None:
    me = Row(bytes(32), 1, KEY, verify_key(KEY, 1), 4)
    block, _ = craft(b"", [me], header=raw_header(codec=0x70, length=0, rows=1))
    lesser = VerifyCapability(bytes(32), 1, verify_key(KEY, 1))
    assert len(list(run.items(walk(lesser), fetching({bytes(32): block})))) == 1


def test_a_graph_of_few_blocks_and_endless_paths_ends() -> None:
    data, row = leaf()
    blocks = {row.digest: data}
    for _ in range(60):
        block, capability = craft(b"", [row, row], header=raw_header(codec=0x70, length=0, rows=2))
        blocks[capability.digest] = block
        row = Row(capability.digest, 2, KEY, verify_key(KEY, 2), 0)
    met = list(run.items(walk(verify_capability(capability)), fetching(blocks)))
    assert len({visit.cid for visit in met}) == 61 and len(met) < 70


def test_a_depth_of_thousands_needs_no_recursion() -> None:
    _, row = leaf()
    blocks: dict[bytes, bytes] = {}
    for _ in range(3000):
        block, capability = craft(b"", [row], header=raw_header(codec=0x70, length=0, rows=1))
        blocks[capability.digest] = block
        row = Row(capability.digest, 1, KEY, verify_key(KEY, 1), 0)
    assert len(list(run.items(walk(verify_capability(capability)), fetching(blocks, 4000)))) == 3001


def test_a_row_that_says_leaf_does_not_hide_what_is_below() -> None:
    data, row = leaf()
    inner, below = craft(directory(LEAF_CID), [row])
    true = Row(below.digest, 1, KEY, verify_key(KEY, 1), 1)
    false = true._replace(rows=0, verify_key=NO_KEY)
    outer, capability = craft(b"", [false, true], header=raw_header(codec=0x70, length=0, rows=2))
    keeping = stored([data, inner, outer])
    met = run.items(walk(verify_capability(capability)), lambda wanted: [keeping.get(cid.multihash) for cid in wanted])
    assert {visit.cid.multihash for visit in met} == set(keeping.blocks)


@given(data=st.data())
@settings(max_examples=examples(150), deadline=None)
def test_any_change_to_any_stored_block_is_noticed(data: st.DataObject) -> None:
    recipe = {"dir": {"a": {"text": "x" * 300}, "b": {"dir": {"c": {"text": "y"}}}}}
    keeping, capability, _, _ = sealed_tree(recipe, chunk=100)
    key = data.draw(st.sampled_from(sorted(keeping.blocks)))
    block = bytearray(keeping.blocks[key])
    block[data.draw(st.integers(0, len(block) - 1))] ^= data.draw(st.integers(1, 255))
    keeping.blocks[key] = bytes(block)  # and the store does not notice
    with pytest.raises(HoldError):
        blocks, root = open_sealed(keeping, capability)
        for visited in blocks.walk(root):
            blocks.block(visited.cid)
