"""What a stranger may send: each lie is Malformed, and none of it costs more than its size."""

from collections.abc import Callable

import pytest

from commonhold.formats import cid as cids
from commonhold.formats import dagpb, multihash
from commonhold.formats.cid import Cid
from commonhold.formats.malformed import Malformed, Unsupported
from commonhold.formats.unixfs import HAMT_MURMUR3, Data, Mtime, Type
from commonhold.unixfs import extents, hamt, profile, read, run
from tests.unixfs.trees import Memory

FILE, HAMT = Type.FILE, Type.HAMT

# ── files ──

LIES: dict[str, Callable[[Memory, Cid], Cid]] = {
    "filesize above": lambda memory, leaf: memory.node(Data(FILE, None, 5, (4,)), [(leaf, "")]),
    "filesize below": lambda memory, leaf: memory.node(Data(FILE, None, 3, (4,)), [(leaf, "")]),
    "no filesize": lambda memory, leaf: memory.node(Data(FILE, None, None, (4,)), [(leaf, "")]),
    "a size too few": lambda memory, leaf: memory.node(Data(FILE, None, 4, (4,)), [(leaf, ""), (leaf, "")]),
    "a size too many": lambda memory, leaf: memory.node(Data(FILE, None, 8, (4, 4)), [(leaf, "")]),
    "a named chunk": lambda memory, leaf: memory.node(Data(FILE, None, 4, (4,)), [(leaf, "name")]),
    "sizes beyond 63 bits": lambda memory, leaf: memory.node(
        Data(FILE, None, (1 << 63) - 1, ((1 << 63) - 1, 1)), [(leaf, ""), (leaf, "")]
    ),
    "a leaf that promises more": lambda memory, leaf: memory.node(
        Data(FILE, None, 9, (9,)), [(memory.node(Data(FILE, b"1234", 4)), "")]
    ),
    "a leaf that promises less": lambda memory, leaf: memory.node(
        Data(FILE, None, 2, (2,)), [(memory.node(Data(FILE, b"1234", 4)), "")]
    ),
    "a directory as a chunk": lambda memory, leaf: memory.node(
        Data(FILE, None, 4, (4,)), [(memory.node(Data(Type.DIRECTORY)), "")]
    ),
    "an inline leaf of another size": lambda memory, leaf: memory.node(
        Data(FILE, None, 4, (4,)), [(cids.make_v1(cids.RAW, multihash.identity(b"12345")), "")]
    ),
    "no message": lambda memory, leaf: memory.dag_pb(dagpb.encode([dagpb.Link(leaf, "", 4)], None)),
    "no protobuf": lambda memory, leaf: memory.dag_pb(b"\xff\xff\xff"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_file_that_contradicts_itself_is_malformed(lie: str) -> None:
    memory = Memory()
    cid = LIES[lie](memory, memory.raw(b"1234"))
    with pytest.raises(Malformed):
        memory.bytes_of(cid)


def test_a_chunk_of_another_codec_is_unsupported() -> None:
    memory = Memory()
    other = cids.make_v1(cids.DAG_CBOR, multihash.sha2_256(b"\xa0"))
    memory.blocks[other] = b"\xa0"
    with pytest.raises(Unsupported):
        memory.bytes_of(memory.node(Data(FILE, None, 1, (1,)), [(other, "")]))


def chain(memory: Memory, depth: int) -> Cid:
    cid = memory.node(Data(FILE, b"x", 1))
    for _ in range(depth):
        cid = memory.node(Data(FILE, None, 1, (1,)), [(cid, "")])
    return cid


def test_a_file_is_at_most_64_nodes_deep() -> None:
    memory = Memory()
    assert memory.bytes_of(chain(memory, 64)) == b"x"
    with pytest.raises(Malformed, match="deeper"):
        memory.bytes_of(chain(memory, 65))


def test_a_file_of_2_to_the_62_bytes_is_read_where_it_is_asked_for() -> None:
    memory = Memory()
    cid, size = memory.raw(b"ab"), 2
    for _ in range(61):
        cid, size = memory.node(Data(FILE, None, 2 * size, (size, size)), [(cid, ""), (cid, "")]), 2 * size
    assert run.run(read.stat(cid), memory.fetch).size == 1 << 62
    assert memory.bytes_of(cid, (1 << 61) + 7, (1 << 61) + 12) == b"babab"


def test_a_file_with_too_many_nodes_waiting_is_malformed(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory()
    leaf = memory.raw(b"x")
    cid, size = leaf, 1
    for _ in range(10):  # each level leaves a hundred siblings waiting while the first is descended into
        cid = memory.node(Data(FILE, None, size + 100, (size, *(1,) * 100)), [(cid, ""), *[(leaf, "")] * 100])
        size += 100
    monkeypatch.setattr(extents, "_MAX_WAITING", 1001)
    assert memory.bytes_of(cid) == b"x" * size
    monkeypatch.setattr(extents, "_MAX_WAITING", 1000)
    with pytest.raises(Malformed, match="side by side"):
        memory.bytes_of(cid)


def test_blocks_read_ahead_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory()
    cid, size = memory.node(Data(FILE, b"end", 3)), 3
    for level in range(6):
        others = [memory.node(Data(FILE, b"%02d%02d" % (level, i) * 25, 100)) for i in range(40)]
        sizes = (size, *[100] * 40)
        cid = memory.node(Data(FILE, None, sum(sizes), sizes), [(cid, ""), *[(other, "") for other in others]])
        size = sum(sizes)
    whole = memory.bytes_of(cid)
    monkeypatch.setattr(extents, "_MAX_HELD", 1000)
    memory.wants.clear()
    assert memory.bytes_of(cid) == whole
    assert [len(want) for want in memory.wants[:6]] == [1, 32, 1, 1, 1, 1]
    # What was used makes room again.
    wide = memory.file(profile.V0_2015, bytes(i % 251 for i in range(10_000)), 100).cid
    monkeypatch.setattr(extents, "_MAX_HELD", 5000)
    memory.wants.clear()
    memory.bytes_of(wide)
    assert [len(want) for want in memory.wants] == [1, 32, 32, 32, 4]


def test_empty_chunks_are_never_opened() -> None:
    memory = Memory()
    missing, leaf = cids.make_v1(cids.DAG_PB, multihash.sha2_256(b"nowhere")), memory.raw(b"x")
    root = memory.node(
        Data(FILE, None, 2, (0, 1, 0, 1, 0)), [(missing, ""), (leaf, ""), (missing, ""), (leaf, ""), (missing, "")]
    )
    assert memory.bytes_of(root) == b"xx"


def test_a_link_with_children_or_a_target_that_is_no_text_is_malformed() -> None:
    memory = Memory()
    for cid in (
        memory.node(Data(Type.SYMLINK, b"x"), [(memory.raw(b""), "")]),
        memory.node(Data(Type.SYMLINK, b"\xff")),
    ):
        with pytest.raises(Malformed):
            run.run(read.stat(cid), memory.fetch)


# ── directories ──


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "/", "a\0b"])
def test_a_name_that_leads_elsewhere_is_malformed(name: str) -> None:
    memory = Memory()
    with pytest.raises(Malformed):
        memory.entries(memory.node(Data(Type.DIRECTORY), [(memory.raw(b""), name)]))
    if name:
        with pytest.raises(Malformed):
            memory.entries(sharded(memory, [name]))


def test_a_name_that_comes_twice_is_malformed_to_list_and_the_first_to_follow() -> None:
    memory = Memory()
    first, second = memory.raw(b"1"), memory.raw(b"2")
    cid = memory.node(Data(Type.DIRECTORY), [(first, "a"), (second, "a")])
    with pytest.raises(Malformed):
        memory.entries(cid)
    assert run.run(read.resolve(cid, ["a"]), memory.fetch) == first


def message(field: bytes, fanout: int | None = 256, hashed: int | None = HAMT_MURMUR3, kind: Type = HAMT) -> Data:
    return Data(kind, field, hash_type=hashed, fanout=fanout, mtime=Mtime(1))


def sharded(memory: Memory, names: list[str], fanout: int = 256) -> Cid:
    """A sound shard of one level, whatever the names: they must not share a slot."""
    slots = sorted((hamt.slot_of(hamt.hash_name(name), fanout, 0) or 0, name) for name in names)
    bits = sum(1 << slot for slot, _ in slots)
    digits = hamt.prefix_digits(fanout)
    links = [(memory.raw(b""), f"{slot:0{digits}X}{name}") for slot, name in slots]
    return memory.node(message(bits.to_bytes(fanout // 8, "big"), fanout), links)


BIT_0, BIT_1 = b"\x01", b"\x02"
SHARDS: dict[str, tuple[Data, list[str]]] = {
    "no fanout": (message(BIT_0, None), ["00a"]),
    "a fanout of 0": (message(b"", 0), []),
    "a fanout of 1": (message(BIT_0, 1), ["0a"]),
    "a fanout of 4": (message(BIT_0, 4), ["0a"]),
    "a fanout of 255": (message(BIT_0, 255), ["00a"]),
    "a fanout of 2048": (message(BIT_0, 2048), ["000a"]),
    "a fanout of 2**60": (message(BIT_0, 1 << 60), ["0" * 15 + "a"]),
    "no hash": (message(BIT_0, 256, None), ["00a"]),
    "another hash": (message(BIT_0, 256, 0x12), ["00a"]),
    "no bit": (message(b""), ["00a"]),
    "a bit too many": (message(b"\x03"), ["00a"]),
    "another bit": (message(BIT_1), ["00a"]),
    "a field too long": (message(BIT_0 + bytes(32)), ["00a"]),
    "zeros too many": (message(bytes(40) + BIT_0), ["00a"]),
    "lower case": (message(b"\x04" + b"\x00"), ["0aa"]),
    "no digits": (message(BIT_0), ["xxa"]),
    "a sign": (message(BIT_0), ["+0a"]),
    "other digits": (message(BIT_0), ["٠٠a"]),
    "a prefix too short": (message(BIT_0), ["0"]),
    "no prefix": (message(BIT_0), [""]),
    "descending": (message(b"\x03"), ["01a", "00b"]),
    "a slot twice": (message(b"\x03"), ["00a", "00b"]),
}


@pytest.mark.parametrize("lie", SHARDS)
def test_a_shard_that_is_none_is_malformed(lie: str) -> None:
    memory = Memory()
    data, names = SHARDS[lie]
    cid = memory.node(data, [(memory.raw(b""), name) for name in names])
    with pytest.raises(Malformed):
        memory.entries(cid)
    with pytest.raises(Malformed):
        run.run(read.resolve(cid, ["a"]), memory.fetch)


def test_a_sound_shard_is_read_by_the_same_tests() -> None:
    memory = Memory()
    for fanout in (8, 256, 1024):
        assert [entry.name for entry in memory.entries(sharded(memory, ["a"], fanout))] == ["a"]


def test_a_name_that_lies_where_its_hash_does_not_belong_is_malformed() -> None:
    memory = Memory()
    slot = hamt.slot_of(hamt.hash_name("a"), 256, 0)
    assert slot
    cid = memory.node(message(BIT_0), [(memory.raw(b""), "00a")])
    with pytest.raises(Malformed, match="hash"):
        memory.entries(cid)


def test_a_child_shard_of_another_fanout_is_malformed() -> None:
    memory = Memory()
    name = "a"
    slot = hamt.slot_of(hamt.hash_name(name), 256, 0) or 0
    below = sharded(memory, [name], 16)
    root = memory.node(message((1 << slot).to_bytes(32, "big")), [(below, f"{slot:02X}")])
    with pytest.raises(Malformed, match="fanout"):
        memory.entries(root)
    with pytest.raises(Malformed, match="fanout"):
        run.run(read.resolve(root, [name]), memory.fetch)


@pytest.mark.parametrize("kind", [Type.DIRECTORY, FILE])
def test_a_child_shard_that_is_something_else_is_malformed(kind: Type) -> None:
    memory = Memory()
    other = memory.node(Data(kind, filesize=0 if kind is FILE else None))
    root = memory.node(message(BIT_0), [(other, "00")])
    with pytest.raises(Malformed):
        memory.entries(root)


@pytest.mark.parametrize(("fanout", "levels"), [(8, 21), (256, 8), (1024, 6)])
def test_a_hamt_is_no_deeper_than_its_hash_has_bits(fanout: int, levels: int) -> None:
    memory = Memory()
    name = "deep"
    digits = hamt.prefix_digits(fanout)

    def spine(depth: int) -> Cid:
        cid = memory.raw(b"")
        for level in reversed(range(depth)):
            slot = hamt.slot_of(hamt.hash_name(name), fanout, level) or 0
            link = f"{slot:0{digits}X}" + (name if level == depth - 1 else "")
            cid = memory.node(message((1 << slot).to_bytes(fanout // 8, "big"), fanout), [(cid, link)])
        return cid

    assert [entry.name for entry in memory.entries(spine(levels))] == [name]
    assert run.run(read.resolve(spine(levels), [name]), memory.fetch) == memory.raw(b"")
    with pytest.raises(Malformed, match="bits"):
        memory.entries(spine(levels + 1))
    with pytest.raises(Malformed):
        run.run(read.resolve(spine(levels + 1), [name]), memory.fetch)


def test_a_small_graph_cannot_pose_as_an_endless_directory() -> None:
    memory = Memory()
    full = message(b"\xff" * 32)
    cid = memory.node(message(b""))  # nothing below: 256**7 paths to an empty shard
    for _ in range(7):
        cid = memory.node(full, [(cid, f"{slot:02X}") for slot in range(256)])
    with pytest.raises(Malformed, match="empty"):
        memory.entries(cid)
    assert memory.fetched < 1000
