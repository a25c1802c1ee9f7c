"""What sealed trees promise: they come back, show nothing, are found again by the same user and by no other."""

import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold.agent.sealed import SealingSession, open_sealed
from commonhold.agent.streaming import Reader
from commonhold.errors import HoldError, Kind
from commonhold.formats import cid as cids
from commonhold.formats.capability import ReadCapability
from commonhold.sealing.block import MAX_LOAD, MAX_ROWS, Header, Row, is_size, load, sealed_size
from commonhold.sealing.seal import Sealer, verify_capability
from commonhold.sealing.walk import walk
from commonhold.unixfs import profile as profiles
from commonhold.unixfs import read, run
from commonhold.unixfs.directory import Entry
from tests.examples import examples
from tests.fakes.keeping import Keeping
from tests.sealing.trees import ALICE, BOB, feed, key_of, sealed_blocks, sealed_tree
from tests.unixfs.trees import Memory

NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20).filter(
    lambda name: name not in (".", "..")
)
FILES = st.builds(lambda text: {"text": text}, st.text(max_size=700))
TREES = st.recursive(FILES, lambda below: st.builds(lambda d: {"dir": d}, st.dictionaries(NAMES, below, max_size=5)))
BUCKETS = {(m << k) + 96 for k in range(6, 19) for m in (4, 5, 6, 7)}


@given(recipe=TREES, profile=st.sampled_from([profiles.V0_2015, profiles.V1_2025]), chunk=st.integers(20, 300))
@settings(max_examples=examples(60), deadline=None)
def test_any_tree_comes_back(recipe: dict[str, Any], profile: profiles.Profile, chunk: int) -> None:
    keeping, capability, plain, root = sealed_tree(recipe, profile=profile, chunk=chunk)
    blocks, sealed_root = open_sealed(keeping, capability)
    assert sealed_root.plain == root
    pairs = [(sealed_root, root)]
    while pairs:
        sealed, bare = pairs.pop()
        info = run.run(read.stat(bare), plain.fetch)
        assert blocks.stat(sealed) == info
        if info.target is not None or "FILE" in info.type.name or info.type.name == "RAW":
            continue
        theirs, ours = (
            sorted(run.items(read.listing(cid), fetch), key=lambda entry: entry.name)
            for cid, fetch in ((sealed, blocks.fetch), (bare, plain.fetch))
        )
        assert [(e.name, e.tsize, e.cid.plain) for e in theirs] == [(e.name, e.tsize, e.cid) for e in ours]
        pairs += [(a.cid, b.cid) for a, b in zip(theirs, ours, strict=True)]


@given(
    data=st.binary(max_size=3000), chunk=st.integers(1, 400), span=st.tuples(st.integers(0, 3000), st.integers(0, 3000))
)
@settings(max_examples=examples(60), deadline=None)
def test_any_range_of_any_file_comes_back(data: bytes, chunk: int, span: tuple[int, int]) -> None:
    plain = Memory()
    root = plain.file(profiles.V1_2025, data, chunk).cid
    keeping, capability = sealed_blocks(plain, root)
    blocks, sealed = open_sealed(keeping, capability)
    reader = Reader(blocks)
    start, stop = min(span), max(span)
    found = b"".join(bytes(piece.data) for piece in reader.pieces(sealed, start, stop))
    reader.close()
    assert found == data[start:stop]


def test_a_range_is_read_from_the_blocks_that_hold_it() -> None:
    recipe = {"stream": {"seed": "range", "bytes": 100_000}}
    keeping, capability, _, _ = sealed_tree(recipe, chunk=1000)
    keeping.asked.clear()
    blocks, root = open_sealed(keeping, capability)
    reader = Reader(blocks)
    assert sum(len(piece.data) for piece in reader.pieces(root, 50_500, 51_100)) == 600
    reader.close()
    assert len(keeping.asked) == len(set(keeping.asked)) == 3  # the root, and two leaves of a hundred


def test_a_directory_far_down_is_found_by_the_nodes_on_the_way() -> None:
    recipe: dict[str, Any] = {"text": "found"}
    for depth in range(20):
        recipe = {"dir": {"d": recipe, **{f"{depth}-{i}": {"text": f"{depth} {i}"} for i in range(20)}}}
    keeping, capability, _, _ = sealed_tree(recipe)
    keeping.asked.clear()
    blocks, root = open_sealed(keeping, capability)
    assert blocks.stat(blocks.resolve(root, ["d"] * 20)).size == 5
    assert len(keeping.asked) == 20


def test_one_user_seals_the_same_twice_and_two_users_differently() -> None:
    recipe = {"dir": {"a": {"text": "one"}, "b": {"dir": {"c": {"text": "two"}}}}}
    first, again, other = (sealed_tree(recipe, secret=secret)[0].blocks for secret in (ALICE, ALICE, BOB))
    assert first == again
    assert not first.keys() & other.keys()


def test_content_sealed_by_one_user_within_anothers_tree_changes_the_tree() -> None:
    """Rows are part of the keys: no key meets a second text though plain block and secret are the same."""
    memory = Memory()
    root = memory.tree(profiles.V1_2025, {"dir": {"a": {"text": "x"}}}, 100).cid
    block = memory.blocks[root]
    header = Header(1, cids.DAG_PB, len(block), 1)
    rows = [Row(bytes([n]) * 32, 0, bytes([n]) * 32, bytes(32), 1) for n in (1, 2)]
    one, two = (Sealer(ALICE).node(block, root.multihash.digest, header, [row]).row for row in rows)
    assert one.read_key != two.read_key and one.verify_key != two.verify_key


SECRETS = ["a name that nobody may see", "another-name.txt", "what is in the file: a sentence of some length"]


@pytest.mark.parametrize("profile", [profiles.V1_2025, profiles.V0_2015])
def test_names_content_and_plain_hashes_do_not_show(profile: profiles.Profile) -> None:
    recipe = {"dir": {SECRETS[0]: {"dir": {SECRETS[1]: {"text": SECRETS[2] * 20}}}, "s": {"symlink": SECRETS[1]}}}
    keeping, _, plain, _ = sealed_tree(recipe, profile=profile, chunk=128)
    everything = b"".join(keeping.blocks.values()) + b"".join(keeping.blocks)
    for secret in SECRETS:
        assert secret.encode() not in everything and secret[:12].encode() not in everything
    for cid in plain.blocks:
        assert cid.multihash.digest not in everything
    for key, block in keeping.blocks.items():  # no block says which others it leads to
        assert not any(other.digest in block for other in keeping.blocks if other != key)


@given(sizes=st.lists(st.integers(0, 5000), max_size=30), chunk=st.integers(16, 2000))
@settings(max_examples=examples(40), deadline=None)
def test_sizes_are_of_the_set_and_the_same_for_nodes_and_leaves(sizes: list[int], chunk: int) -> None:
    recipe = {"dir": {f"{i}": {"stream": {"seed": "s", "bytes": size}} for i, size in enumerate(sizes)}}
    keeping, _, _, _ = sealed_tree(recipe, chunk=chunk)
    assert {len(block) for block in keeping.blocks.values()} <= BUCKETS


@given(length=st.integers(0, MAX_LOAD), rows=st.integers(0, MAX_ROWS))
def test_every_size_holds_its_load_and_is_the_least_of_the_set(length: int, rows: int) -> None:
    if load(length, rows) <= MAX_LOAD:
        size = sealed_size(length, rows)
        assert size in BUCKETS and is_size(size, rows) and size <= 2 << 20
        assert size - 32 >= load(length, rows)
        assert not [bucket for bucket in BUCKETS if bucket < size and bucket - 96 >= load(length, rows) - 64]


def test_whole_chunks_cost_no_padding_wrapped_or_not() -> None:
    for size in (4096, 256 << 10, 1 << 20):
        assert sealed_size(size, 0) == sealed_size(size + 64, 0) == size + 96


@pytest.mark.parametrize(("length", "fits"), [(MAX_LOAD, True), (MAX_LOAD + 1, False), (2 << 20, False)])
def test_what_is_too_large_to_seal_is_refused(length: int, fits: bool) -> None:
    session = SealingSession(Keeping(), ALICE, profiles.V1_2025)
    if fits:
        assert session.reserve(length, wait=True) is not None
        return
    with pytest.raises(HoldError) as caught:
        session.reserve(length, wait=True)
    assert caught.value.kind is Kind.TOO_LARGE and "--chunker" in str(caught.value.hint)


def test_an_add_remembers_only_what_no_parent_took() -> None:
    memory = Memory()
    many = {
        "many": {"count": 3000, "name": "file number {i}", "of": {"text": "the same"}},
        "plus": {"x": {"text": "x"}},
    }
    root = memory.tree(profiles.V1_2025, {"dir": {"large": many, "again": many}}, 100).cid
    keeping = Keeping()
    session = SealingSession(keeping, ALICE, profiles.V1_2025)
    feed(session, memory, root)
    assert list(session._rows) == [root] and not session._more


def test_a_verify_capability_lists_what_the_tree_is_made_of_and_opens_none() -> None:
    recipe = {"dir": {"a": {"stream": {"seed": "v", "bytes": 3000}}, "b": {"dir": {"c": {"text": "x"}}}}}
    keeping, capability, plain, _ = sealed_tree(recipe, chunk=100)
    lesser = verify_capability(capability)
    met = list(run.items(walk(lesser), lambda wanted: [keeping.get(cid.multihash) for cid in wanted]))
    assert {visit.cid.multihash for visit in met} == set(keeping.blocks)
    assert len(met) >= len(plain.blocks) - 2
    assert lesser.key != capability.key and capability.key not in b"".join(keeping.blocks.values())
    with pytest.raises(HoldError) as caught:
        open_sealed(keeping, ReadCapability(lesser.digest, lesser.rows, lesser.key))
    assert caught.value.kind is Kind.INVALID


def test_verifying_asks_for_no_block_without_rows() -> None:
    keeping, capability, _, _ = sealed_tree({"stream": {"seed": "v", "bytes": 3000}}, chunk=100)
    keeping.asked.clear()
    list(run.items(walk(verify_capability(capability)), lambda wanted: [keeping.get(cid.multihash) for cid in wanted]))
    assert keeping.asked == [capability.cid.multihash]


def test_a_raw_file_of_the_bytes_of_a_node_does_not_stand_in_for_it() -> None:
    """One multihash, two blocks: the plain CIDs differ in codec, and so do the sealed blocks."""
    memory = Memory()
    inner = memory.tree(profiles.V1_2025, {"dir": {"a": {"text": "x"}}}, 100)
    twin = memory.raw(memory.blocks[inner.cid])
    root = memory.directory(profiles.V1_2025, [Entry("raw", twin, 1), Entry("tree", inner.cid, 1)]).cid
    keeping, capability = sealed_blocks(memory, root)
    blocks, sealed = open_sealed(keeping, capability)
    assert blocks.stat(blocks.resolve(sealed, ["tree", "a"])).size == 1
    assert blocks.block(blocks.resolve(sealed, ["raw"])) == memory.blocks[inner.cid]


def test_a_wrong_block_under_the_right_digest_is_not_opened() -> None:
    keeping, capability, _, _ = sealed_tree({"text": "x" * 500})
    key = key_of(capability.digest)
    keeping.blocks[key] = os.urandom(len(keeping.blocks[key]))
    with pytest.raises(HoldError):
        open_sealed(keeping, capability)
