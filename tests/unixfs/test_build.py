"""Building: what the vectors do not say about limits, memory and contracts."""

import hashlib

import pytest

from commonhold.api import MAX_BLOCK
from commonhold.errors import HoldError, Kind
from commonhold.formats import cid as cids
from commonhold.formats import dagpb, unixfs
from commonhold.formats.unixfs import Mtime, Type
from commonhold.unixfs import profile
from commonhold.unixfs.build import FileBuilder, build_symlink, leaf_wrapping
from commonhold.unixfs.chunk import MAX_CHUNK
from commonhold.unixfs.directory import Entry, build_directory, estimate
from commonhold.unixfs.profile import Profile
from tests.unixfs.trees import Memory

BOTH = pytest.mark.parametrize("chosen", [profile.V1_2025, profile.V0_2015], ids=lambda chosen: chosen.name)
MTIME = Mtime(1700000000, 5)


@BOTH
def test_a_file_without_leaves_is_the_empty_file(chosen: Profile) -> None:
    built, blocks = FileBuilder(chosen).finish()
    assert str(built.cid) == (
        "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
        if chosen.raw_leaves
        else "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH"
    )
    assert [block.cid for block in blocks] == [built.cid]
    assert (built.size, built.tsize) == (0, len(blocks[0].data))


@pytest.mark.parametrize("leaves", [1, 2, 3, 4, 8, 9, 10, 27, 28, 100])
def test_all_leaves_are_equally_deep_and_tsize_counts_every_block(leaves: int) -> None:
    narrow = Profile("narrow", 1, 1, True, 3, 256, 1 << 18, profile.Estimate.BLOCK_BYTES)
    memory = Memory()
    built = memory.file(narrow, bytes(range(leaves)), 1)
    depths = set()
    total = 0
    stack = [(built.cid, 0)]
    while stack:
        cid, depth = stack.pop()
        total += len(memory.blocks[cid])
        if cid.codec == cids.RAW:
            depths.add(depth)
            continue
        links = dagpb.decode(memory.blocks[cid]).links
        assert len(links) <= 3
        stack += [(link.cid, depth + 1) for link in links]
    assert len(depths) == 1
    assert (built.size, built.tsize) == (leaves, total)


def test_interior_blocks_come_children_first_and_the_root_last() -> None:
    narrow = Profile("narrow", 1, 1, True, 2, 256, 1 << 18, profile.Estimate.BLOCK_BYTES)
    builder = FileBuilder(narrow)
    made = [block for i in range(37) for block in builder.leaf(hashlib.sha256(bytes([i])).digest(), 1, 1)]
    built, rest = builder.finish()
    made += rest
    known = set()
    for block in made:
        for link in dagpb.decode(block.data).links:
            assert link.cid.codec == cids.RAW or link.cid in known
        known.add(block.cid)
    assert made[-1].cid == built.cid


def test_the_builder_holds_no_more_than_a_node_a_layer() -> None:
    narrow = Profile("narrow", 1, 1, True, 4, 256, 1 << 18, profile.Estimate.BLOCK_BYTES)
    builder = FileBuilder(narrow)
    for _ in range(5000):
        builder.leaf(bytes(32), 1, 1)
    assert sum(len(layer) for layer in builder._layers) <= 4 * 7


@BOTH
def test_the_largest_chunk_fits_into_a_block_with_its_wrapping(chosen: Profile) -> None:
    prefix, suffix = leaf_wrapping(profile.with_attributes(chosen), MAX_CHUNK, 0o7777, Mtime(-1, 999_999_999))
    assert len(prefix) + MAX_CHUNK + len(suffix) <= MAX_BLOCK


def test_raw_leaves_and_attributes_exclude_each_other() -> None:
    with pytest.raises(HoldError) as caught:
        FileBuilder(profile.V1_2025, mode=0o644)
    assert caught.value.kind is Kind.USAGE
    chosen = profile.effective_profile(profile.V1_2025, 0o644, None)
    assert not chosen.raw_leaves
    assert chosen.cid_version == 1
    assert profile.effective_profile(profile.V1_2025, None, MTIME) == chosen
    assert profile.effective_profile(profile.V1_2025, None, None) is profile.V1_2025


def test_a_mode_of_0_is_none_in_a_file_of_any_size() -> None:
    for size in (1, 5):
        assert Memory().file(profile.V0_2015, bytes(size), 2, 0) == Memory().file(profile.V0_2015, bytes(size), 2)


def test_an_only_leaf_wrapped_without_its_attributes_is_noticed() -> None:
    builder = FileBuilder(profile.V0_2015, mtime=MTIME)
    prefix, suffix = leaf_wrapping(profile.V0_2015, 1)
    block = prefix + b"x" + suffix
    builder.leaf(hashlib.sha256(block).digest(), 1, len(block))
    with pytest.raises(ValueError, match="attributes"):
        builder.finish()


def test_attributes_are_in_the_root_alone() -> None:
    memory = Memory()
    built = memory.file(profile.V0_2015, b"abcdef", 2, 0o640, MTIME)
    for cid, block in memory.blocks.items():
        data = unixfs.decode(dagpb.decode(block).data or b"")
        assert (data.mode, data.mtime) == ((0o640, MTIME) if cid == built.cid else (None, None))


@BOTH
def test_attributes_of_a_sharded_directory_are_in_its_root_alone(chosen: Profile) -> None:
    memory = Memory()
    entries = [Entry(f"n{i:06}", memory.raw(b""), 0) for i in range(9000)]
    built = memory.directory(chosen, entries, 0o750, MTIME)
    shards = {
        cid: unixfs.decode(dagpb.decode(memory.blocks[cid]).data or b"")
        for cid in memory.blocks
        if cid.codec == cids.DAG_PB
    }
    assert all(shard.type is Type.HAMT for shard in shards.values())
    assert [cid for cid, shard in shards.items() if shard.mode is not None] == [built.cid]
    assert shards[built.cid].mtime == MTIME


def test_a_directory_is_sharded_from_one_byte_over_the_threshold_on() -> None:
    cid = Memory().raw(b"")
    for chosen in (profile.V1_2025, profile.V0_2015):
        entries = [Entry(f"{i:030}", cid, 0) for i in range(3000)]
        size = estimate(chosen, entries, unixfs.encode(unixfs.Data(Type.DIRECTORY)))
        for threshold, kind in ((size, Type.DIRECTORY), (size - 1, Type.HAMT)):
            sized = Profile(chosen.name, 1, 1, True, 2, 256, threshold, chosen.estimate)
            root = list(build_directory(sized, entries))[-1]
            assert unixfs.decode(dagpb.decode(root.data).data or b"").type is kind


def test_the_block_estimate_is_the_exact_size_of_the_block() -> None:
    memory = Memory()
    entries = [Entry("ä" * i, memory.raw(bytes(i)), 1 << (i % 50)) for i in range(1, 200)]
    data = unixfs.encode(unixfs.Data(Type.DIRECTORY, mode=0o755, mtime=MTIME))
    root = list(build_directory(profile.V1_2025, entries, mode=0o755, mtime=MTIME))[-1]
    assert estimate(profile.V1_2025, entries, data) == len(root.data)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/", "a\0", "\udcff"])
def test_names_that_no_file_system_has_are_refused(name: str) -> None:
    with pytest.raises(HoldError) as caught:
        list(build_directory(profile.V1_2025, [Entry("fine", Memory().raw(b""), 0), Entry(name, Memory().raw(b""), 0)]))
    assert caught.value.kind is Kind.INVALID


def test_a_name_comes_once() -> None:
    with pytest.raises(HoldError) as caught:
        list(build_directory(profile.V1_2025, [Entry("a", Memory().raw(b"1"), 0), Entry("a", Memory().raw(b"2"), 0)]))
    assert caught.value.kind is Kind.INVALID
    assert "'a'" in str(caught.value)


def test_names_that_make_a_shard_larger_than_a_block_are_refused() -> None:
    with pytest.raises(HoldError) as caught:
        list(build_directory(profile.V1_2025, [Entry("n" * MAX_BLOCK, Memory().raw(b""), 0)]))
    assert caught.value.kind is Kind.TOO_LARGE


def test_a_link_takes_its_target_as_text_or_bytes_and_refuses_what_is_not_utf8() -> None:
    assert build_symlink(profile.V1_2025, "é") == build_symlink(profile.V1_2025, "é".encode())
    for bad in (b"\xff", "\udcff", b"x" * MAX_BLOCK):
        with pytest.raises(HoldError) as caught:
            build_symlink(profile.V1_2025, bad)
        assert caught.value.kind is Kind.INVALID


def test_profiles_are_known_by_name() -> None:
    assert profile.by_name("unixfs-v0-2015") is profile.V0_2015
    assert profile.with_chunk_size(profile.V0_2015, 7).chunk_size == 7
    with pytest.raises(HoldError) as caught:
        profile.by_name("unixfs-v9")
    assert caught.value.kind is Kind.USAGE
    assert "unixfs-v1-2025" in str(caught.value)
