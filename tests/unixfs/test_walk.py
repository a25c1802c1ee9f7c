"""Walks: every block of a graph, whatever its shape, in bounded memory and without recursion."""

import tracemalloc

import pytest

from commonhold.formats import cid as cids
from commonhold.formats import dagcbor, multihash
from commonhold.formats.malformed import Unsupported
from commonhold.formats.unixfs import Data, Type
from commonhold.unixfs import profile, read, run
from commonhold.unixfs.directory import Entry
from tests.unixfs.trees import Memory

FILE = Type.FILE


def test_a_chain_of_10000_directories_is_walked_without_recursion() -> None:
    memory = Memory()
    cid = memory.raw(b"end")
    for _ in range(10_000):
        cid = memory.node(Data(Type.DIRECTORY), [(cid, "d")])
    visits = memory.visits(cid)
    assert len(visits) == 10_001
    assert visits[-1].data is None


def test_a_diamond_of_2_to_the_40_paths_is_walked_once_a_block() -> None:
    memory = Memory()
    cid = memory.node(Data(Type.DIRECTORY))
    for _ in range(40):
        cid = memory.node(Data(Type.DIRECTORY), [(cid, "left"), (cid, "right")])
    visits = memory.visits(cid)
    assert len(visits) == len({visit.cid for visit in visits}) == 41
    assert memory.fetched == 41


def test_a_walk_gives_parents_first_raw_leaves_each_time_and_all_else_once() -> None:
    memory = Memory()
    leaf = memory.raw(b"leaf")
    shared = memory.node(Data(Type.DIRECTORY), [(leaf, "l")])
    one = memory.node(Data(Type.DIRECTORY), [(shared, "s"), (leaf, "l")])
    root = memory.node(Data(Type.DIRECTORY), [(one, "1"), (shared, "2"), (leaf, "3")])
    visits = memory.visits(root)
    order = [visit.cid for visit in visits]
    assert order.count(leaf) == 3
    assert [order.count(cid) for cid in (root, one, shared)] == [1, 1, 1]
    assert order[0] == root
    assert all(visit.data == (None if visit.cid == leaf else memory.blocks[visit.cid]) for visit in visits)
    assert leaf not in [cid for want in memory.wants for cid in want]


def test_cid_versions_are_one_block_and_codecs_are_not() -> None:
    memory = Memory()
    node = memory.node(Data(Type.DIRECTORY))
    old = cids.to_version(node, 0)
    memory.blocks[old] = memory.blocks[node]
    root = memory.node(Data(Type.DIRECTORY), [(node, "1"), (old, "0")])
    assert len(memory.visits(root)) == 2


def test_a_block_that_two_codecs_read_is_walked_by_both() -> None:
    memory = Memory()
    leaf = memory.raw(b"hidden")
    # As dag-pb, 123 bytes of data and no links; as dag-json, white space and a link.
    block = b"\n{" + f'"/":"{leaf}"}}'.encode().ljust(123)
    pb = memory.dag_pb(block)
    json = cids.make_v1(cids.DAG_JSON, multihash.sha2_256(block))
    memory.blocks[json] = block
    assert pb.multihash == json.multihash
    assert read.children(pb, block) == []
    for links in ([(pb, "1"), (json, "2")], [(json, "1"), (pb, "2")]):
        root = memory.node(Data(Type.DIRECTORY), links)
        assert {visit.cid for visit in memory.visits(root)} == {root, pb, json, leaf}


def test_links_of_other_codecs_are_followed_or_refused() -> None:
    memory = Memory()
    leaf = memory.raw(b"x")
    text = dagcbor.to_json({"a": [leaf]}).encode()
    json = cids.make_v1(cids.DAG_JSON, multihash.sha2_256(text))
    memory.blocks[json] = text
    assert [visit.cid for visit in memory.visits(json)] == [json, leaf]
    assert read.children(leaf, b"x") == []
    git = cids.make_v1(0x78, multihash.sha2_256(b"blob"))
    memory.blocks[git] = b"blob"
    with pytest.raises(Unsupported):
        memory.visits(memory.node(Data(Type.DIRECTORY), [(git, "g")]))


def test_a_walk_of_a_wide_graph_asks_for_32_at_a_time() -> None:
    memory = Memory()
    below = [memory.node(Data(Type.DIRECTORY, mode=i)) for i in range(1000)]
    root = memory.directory(profile.V1_2025, [Entry(f"{i}", cid, 4) for i, cid in enumerate(below)])
    assert len(memory.visits(root.cid)) == 1001
    assert max(map(len, memory.wants)) == 32


def test_a_walk_of_many_leaves_holds_a_few_nodes() -> None:
    memory = Memory()
    leaf = memory.raw(b"")
    parts = [memory.node(Data(FILE, b"%d" % i, len(b"%d" % i), (0,) * 200), [(leaf, "")] * 200) for i in range(200)]
    root = memory.node(Data(Type.DIRECTORY), [(cid, f"{i}") for i, cid in enumerate(parts)])
    tracemalloc.start()
    assert sum(1 for _ in run.items(read.walk(root), memory.fetch)) == 1 + 200 + 40_000
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
