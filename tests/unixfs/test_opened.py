"""Opened nodes answer as the plans do: the same bytes, the same names, the same refusals."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold.formats import cid as cids
from commonhold.formats.cid import Cid
from commonhold.formats.malformed import Malformed
from commonhold.formats.unixfs import Data, Type
from commonhold.unixfs import hamt, profile, read, run
from commonhold.unixfs.directory import Entry
from commonhold.unixfs.opened import Folder, Opened, Sharded, entries_from, find, locate, open_block
from commonhold.unixfs.profile import Profile
from tests.examples import examples
from tests.unixfs.test_hostile import BIT_0, FILE, LIES, SHARDS, chain, message, sharded
from tests.unixfs.test_read import NAMES, PROFILES, inline
from tests.unixfs.trees import Memory


class Nodes:
    """The opened nodes of a memory, and which were asked for."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.asked: list[Cid] = []
        self.told: list[list[Cid]] = []

    def get(self, cid: Cid) -> Opened:
        self.asked.append(cid)
        return open_block(cid, cid.inline if cid.inline is not None else self.memory.blocks[cid])

    def folder(self, cid: Cid) -> Folder | Sharded:
        node = self.get(cid)
        assert isinstance(node, Folder | Sharded)
        return node

    def byte(self, cid: Cid, size: int, at: int) -> tuple[int, bytes]:
        """The part that a byte is in: where it begins, and all of it."""
        part = locate(cid, size, at, self.get)
        data = part.own if part.cid is None else self.memory.blocks[part.cid]
        assert len(data) == part.size and part.start <= at < part.start + part.size
        return part.start, data

    def page(self, cid: Cid, position: int, most: int) -> list[tuple[int, Entry]]:
        stream = entries_from(self.folder(cid), position, self.get, self.told.append)
        return [one for one, _ in zip(stream, range(most), strict=False)]

    def entries(self, cid: Cid) -> list[Entry]:
        return [entry for _, entry in self.page(cid, 0, 1 << 20)]


# ── files ──


@settings(max_examples=examples(150), deadline=None)
@given(st.sampled_from(PROFILES), st.binary(min_size=1, max_size=300), st.integers(1, 40), st.integers(2, 5))
def test_each_byte_is_in_the_part_that_is_said_to_have_it(
    chosen: Profile, content: bytes, chunk: int, width: int
) -> None:
    nodes = Nodes(Memory())
    cid = nodes.memory.file(replace(chosen, width=width), content, chunk).cid
    for at in range(len(content)):
        start, data = nodes.byte(cid, len(content), at)
        assert content[start : start + len(data)] == data


def test_only_the_nodes_on_the_way_to_a_byte_are_asked_for() -> None:
    nodes = Nodes(Memory())
    cid = nodes.memory.file(replace(profile.V1_2025, width=4), bytes(1024), 4).cid
    nodes.byte(cid, 1024, 777)
    assert len(nodes.asked) == 4  # of 4 + 16 + 64 and a root; leaves are named


def test_bytes_beside_links_and_empty_parts_are_where_their_nodes_say() -> None:
    memory = Memory()
    nodes, leaf = Nodes(memory), memory.raw(b"yz")
    missing = cids.make_v1(cids.DAG_PB, leaf.multihash)
    root = memory.node(
        Data(FILE, b"x", 4, (0, 2, 0, 1, 0)), [(one, "") for one in (missing, leaf, missing, inline(b"!"), missing)]
    )
    assert [nodes.byte(root, 4, at) for at in range(4)] == [(0, b"x"), (1, b"yz"), (1, b"yz"), (3, b"!")]


@pytest.mark.parametrize("lie", LIES)
def test_a_file_that_contradicts_itself_is_malformed(lie: str) -> None:
    nodes = Nodes(Memory())
    cid = LIES[lie](nodes.memory, nodes.memory.raw(b"1234"))
    with pytest.raises(Malformed):
        node = nodes.get(cid)
        for at in range(node.info.size):
            locate(cid, node.info.size, at, nodes.get)


def test_a_file_of_another_size_than_was_said_is_malformed() -> None:
    nodes = Nodes(Memory())
    cid = nodes.memory.file(profile.V1_2025, bytes(10), 2).cid
    with pytest.raises(Malformed):
        locate(cid, 11, 0, nodes.get)


def test_a_file_is_as_deep_as_the_plans_allow() -> None:
    nodes = Nodes(Memory())
    assert nodes.byte(chain(nodes.memory, 64), 1, 0) == (0, b"x")
    with pytest.raises(Malformed, match="deeper"):
        nodes.byte(chain(nodes.memory, 65), 1, 0)


# ── directories ──


def directories(memory: Memory, names: list[str], fanout: int) -> list[tuple[Cid, list[Entry]]]:
    """A plain directory and a HAMT of the same entries."""
    entries = [Entry(name, memory.raw(name.encode()), 1) for name in names]
    plain, small = replace(profile.V1_2025, threshold=1 << 30), replace(profile.V1_2025, threshold=-1, fanout=fanout)
    return [(memory.directory(one, entries).cid, entries) for one in (plain, small)]


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(NAMES, unique=True, max_size=40), st.sampled_from([8, 16, 256, 1024]), NAMES, st.integers(1, 9))
def test_every_name_is_found_and_pages_of_any_size_list_each_once(
    names: list[str], fanout: int, other: str, most: int
) -> None:
    nodes = Nodes(Memory())
    for cid, entries in directories(nodes.memory, names, fanout):
        for entry in entries:
            assert find(nodes.folder(cid), entry.name, nodes.get) == entry.cid
        assert other in names or find(nodes.folder(cid), other, nodes.get) is None
        found, position = [], 0
        while page := nodes.page(cid, position, most):
            assert all(a < b for a, b in zip([position, *(at for at, _ in page)], [at for at, _ in page], strict=False))
            found += [entry for _, entry in page]
            position = page[-1][0]
            assert position < 1 << 63
        assert sorted(found) == sorted(entries) == sorted(nodes.memory.entries(cid))


def test_a_page_of_a_large_directory_reads_only_its_part_and_says_what_comes_next() -> None:
    nodes = Nodes(Memory())
    [_, (cid, entries)] = directories(nodes.memory, [f"{i:06}" for i in range(5000)], 256)
    position = nodes.page(cid, 0, 2500)[-1][0]
    nodes.asked.clear()
    nodes.told.clear()
    assert len(nodes.page(cid, position, 40)) == 40
    assert len(nodes.asked) < 10
    assert nodes.told and all(len(told) <= 16 for told in nodes.told)
    assert nodes.told[0][0] == nodes.asked[1]
    assert len(nodes.page(cid, position, 5000)) == 2500 == len(entries) / 2


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/", "a\0b"])
def test_a_name_that_leads_elsewhere_is_malformed(name: str) -> None:
    nodes = Nodes(Memory())
    with pytest.raises(Malformed):
        nodes.entries(nodes.memory.node(Data(Type.DIRECTORY), [(nodes.memory.raw(b""), name)]))
    if name:
        with pytest.raises(Malformed):
            nodes.entries(sharded(nodes.memory, [name]))


def test_a_directory_with_a_name_twice_is_malformed() -> None:
    memory = Memory()
    with pytest.raises(Malformed):
        Nodes(memory).get(memory.node(Data(Type.DIRECTORY), [(memory.raw(b""), "a"), (memory.raw(b""), "a")]))


@pytest.mark.parametrize("lie", SHARDS)
def test_a_shard_that_is_none_is_malformed(lie: str) -> None:
    memory = Memory()
    data, names = SHARDS[lie]
    with pytest.raises(Malformed):
        Nodes(memory).get(memory.node(data, [(memory.raw(b""), name) for name in names]))


def test_a_name_that_lies_where_its_hash_does_not_belong_is_malformed() -> None:
    nodes = Nodes(Memory())
    cid = nodes.memory.node(message(BIT_0), [(nodes.memory.raw(b""), "00a")])
    with pytest.raises(Malformed):
        nodes.entries(cid)
    assert find(nodes.folder(cid), "a", nodes.get) is None


def below_a_shard(memory: Memory, child: Cid, name: str) -> Cid:
    """A shard that has nothing but another node where a name belongs."""
    slot = hamt.slot_of(hamt.hash_name(name), 256, 0) or 0
    return memory.node(message((1 << slot).to_bytes(32, "big")), [(child, f"{slot:02X}")])


@pytest.mark.parametrize("what", ["another fanout", "empty", "a directory", "a file"])
def test_a_child_shard_that_is_none_is_malformed(what: str) -> None:
    nodes = Nodes(Memory())
    memory = nodes.memory
    child = {
        "another fanout": lambda: sharded(memory, ["a"], 16),
        "empty": lambda: memory.node(message(b"")),
        "a directory": lambda: memory.node(Data(Type.DIRECTORY)),
        "a file": lambda: memory.node(Data(FILE, filesize=0)),
    }[what]()
    root = below_a_shard(memory, child, "a")
    with pytest.raises(Malformed):
        nodes.entries(root)
    with pytest.raises(Malformed):
        find(nodes.folder(root), "a", nodes.get)


@pytest.mark.parametrize(("fanout", "levels"), [(8, 21), (256, 8), (1024, 6)])
def test_a_hamt_is_no_deeper_than_its_hash_has_bits(fanout: int, levels: int) -> None:
    nodes, name, digits = Nodes(Memory()), "deep", hamt.prefix_digits(fanout)

    def spine(depth: int) -> Cid:
        cid = nodes.memory.raw(b"")
        for level in reversed(range(depth)):
            slot = hamt.slot_of(hamt.hash_name(name), fanout, level) or 0
            link = f"{slot:0{digits}X}" + (name if level == depth - 1 else "")
            cid = nodes.memory.node(message((1 << slot).to_bytes(fanout // 8, "big"), fanout), [(cid, link)])
        return cid

    assert [entry.name for entry in nodes.entries(spine(levels))] == [name]
    assert find(nodes.folder(spine(levels)), name, nodes.get) == nodes.memory.raw(b"")
    with pytest.raises(Malformed, match="bits"):
        nodes.entries(spine(levels + 1))
    with pytest.raises(Malformed, match="bits"):
        find(nodes.folder(spine(levels + 1)), name, nodes.get)


def test_a_small_graph_cannot_pose_as_an_endless_directory() -> None:
    nodes = Nodes(Memory())
    cid = sharded(nodes.memory, ["a"])
    for _ in range(7):
        cid = nodes.memory.node(message(b"\xff" * 32), [(cid, f"{slot:02X}") for slot in range(256)])
    with pytest.raises(Malformed):
        nodes.entries(cid)
    assert len(nodes.asked) < 100


def test_a_directory_of_a_mode_or_a_link_is_what_stat_says() -> None:
    memory = Memory()
    for data in (Data(Type.DIRECTORY, mode=0o700), Data(Type.SYMLINK, b"there"), Data(FILE, b"x", 1, mode=0o755)):
        cid = memory.node(data)
        assert Nodes(memory).get(cid).info == run.run(read.stat(cid), memory.fetch)
