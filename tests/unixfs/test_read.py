"""Reading what was built: files against bytes, directories against dicts, and only what is needed is asked for."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold.errors import HoldError, Kind
from commonhold.formats import cid as cids
from commonhold.formats import multihash, unixfs
from commonhold.formats.cid import Cid
from commonhold.formats.unixfs import Data, Mtime, Type
from commonhold.unixfs import profile, read, run
from commonhold.unixfs.build import build_symlink
from commonhold.unixfs.directory import Entry
from commonhold.unixfs.profile import Profile
from tests.examples import examples
from tests.unixfs.trees import Memory

PROFILES = [profile.V1_2025, profile.V0_2015]
BOTH = pytest.mark.parametrize("chosen", PROFILES, ids=lambda chosen: chosen.name)
NAMES = st.text(min_size=1, max_size=12).filter(
    lambda name: name not in (".", "..") and not set(name) & {"/", "\0"} and name.isprintable()
)


def inline(data: bytes, codec: int = cids.RAW) -> Cid:
    return cids.make_v1(codec, multihash.identity(data))


# ── files ──


@settings(max_examples=examples(150), deadline=None)
@given(st.sampled_from(PROFILES), st.binary(max_size=300), st.integers(1, 40), st.integers(2, 5), st.data())
def test_every_range_of_a_file_is_its_bytes(
    chosen: Profile, content: bytes, chunk: int, width: int, data: st.DataObject
) -> None:
    memory = Memory()
    built = memory.file(replace(chosen, width=width), content, chunk)
    assert built.size == len(content)
    assert run.run(read.stat(built.cid), memory.fetch).size == len(content)
    assert memory.bytes_of(built.cid) == content
    start = data.draw(st.integers(0, len(content) + 5))
    stop = data.draw(st.none() | st.integers(start, len(content) + 50))
    assert memory.bytes_of(built.cid, start, stop) == content[start:stop]


def test_a_raw_leaf_is_named_and_never_asked_for() -> None:
    memory = Memory()
    built = memory.file(profile.V1_2025, bytes(100), 10)
    found = list(run.items(read.extents(built.cid, 15, 42), memory.fetch))
    assert [(one.offset, one.size, one.skip, one.whole) for one in found] == [
        (15, 5, 5, 10),
        (20, 10, 0, 10),
        (30, 10, 0, 10),
        (40, 2, 0, 10),
    ]
    assert memory.wants == [(built.cid,)]


def test_a_range_asks_for_the_leaves_in_it_and_no_others() -> None:
    memory = Memory()
    built = memory.file(replace(profile.V0_2015, width=4), bytes(i % 251 for i in range(640)), 10)
    assert memory.bytes_of(built.cid, 325, 326) == bytes([325 % 251])
    assert memory.fetched == 4  # the root, two interior nodes, one leaf
    assert memory.bytes_of(built.cid, 640, 900) == b""


def test_dag_pb_leaves_are_asked_for_by_the_batch() -> None:
    memory = Memory()
    built = memory.file(profile.V0_2015, bytes(i % 251 for i in range(1000)), 10)
    memory.bytes_of(built.cid)
    assert [len(want) for want in memory.wants] == [1, 32, 32, 32, 4]


def test_a_block_met_twice_is_asked_for_once_a_batch() -> None:
    memory = Memory()
    built = memory.file(profile.V0_2015, bytes(320), 10)
    assert memory.bytes_of(built.cid) == bytes(320)
    assert memory.fetched == 2


def test_a_single_raw_block_is_one_extent_of_unknown_size() -> None:
    memory = Memory()
    cid = memory.raw(b"hello")
    assert list(run.items(read.extents(cid), memory.fetch)) == [read.Extent(0, -1, 0, cid, None, None)]
    assert memory.fetched == 0
    assert memory.bytes_of(cid) == b"hello"
    assert memory.bytes_of(cid, 1, 3) == b"el"


def test_data_of_interior_nodes_comes_before_their_children() -> None:
    memory = Memory()
    leaf = memory.node(Data(Type.RAW, b"leaf", 4))
    middle = memory.node(Data(Type.FILE, b"mid", 7, (4,)), [(leaf, "")])
    root = memory.node(Data(Type.FILE, b"top", 15, (5, 7)), [(memory.raw(b"first"), ""), (middle, "")])
    whole = b"topfirstmidleaf"
    for start in range(len(whole) + 1):
        for stop in range(start, len(whole) + 1):
            assert memory.bytes_of(root, start, stop) == whole[start:stop]


def test_what_is_inline_is_never_asked_for() -> None:
    memory = Memory()
    leaf = memory.node(Data(Type.FILE, None, 7, (3, 4)), [(inline(b"abc"), ""), (memory.raw(b"defg"), "")])
    assert memory.bytes_of(leaf) == b"abcdefg"
    assert memory.wants == [(leaf,)]
    message = unixfs.encode(Data(Type.FILE, b"xyz", 3))
    assert memory.bytes_of(inline(b"\x0a" + bytes([len(message)]) + message, cids.DAG_PB), 1) == b"yz"
    assert memory.bytes_of(inline(b"raw")) == b"raw"
    assert run.run(read.stat(inline(b"raw")), memory.fetch).size == 3
    directory = memory.directory(profile.V1_2025, [Entry("i", inline(b"in"), 2)])
    assert [visit.cid for visit in memory.visits(directory.cid)] == [directory.cid, inline(b"in")]
    assert run.run(read.resolve(directory.cid, ["i"]), memory.fetch) == inline(b"in")
    assert all(cid.inline is None for want in memory.wants for cid in want)


@pytest.mark.parametrize(("start", "stop"), [(-1, None), (5, 4)])
def test_a_range_that_is_none_is_refused(start: int, stop: int | None) -> None:
    memory = Memory()
    with pytest.raises(HoldError) as caught:
        memory.bytes_of(memory.raw(b"x"), start, stop)
    assert caught.value.kind is Kind.USAGE


@pytest.mark.parametrize("chosen", PROFILES, ids=lambda chosen: chosen.name)
def test_a_directory_or_link_has_no_bytes(chosen: Profile) -> None:
    memory = Memory()
    with pytest.raises(HoldError) as caught:
        memory.bytes_of(memory.directory(chosen, []).cid)
    assert caught.value.kind is Kind.IS_A_DIRECTORY
    built, block = build_symlink(chosen, "target")
    memory.put(block)
    with pytest.raises(HoldError) as caught:
        memory.bytes_of(built.cid)
    assert caught.value.kind is Kind.INVALID


@BOTH
def test_what_stat_says(chosen: Profile) -> None:
    memory = Memory()
    built, block = build_symlink(chosen, "ä/b", Mtime(-5, 7))
    memory.put(block)
    assert run.run(read.stat(built.cid), memory.fetch) == read.Info(Type.SYMLINK, 4, 0, None, Mtime(-5, 7), "ä/b")
    directory = memory.directory(chosen, [Entry("l", built.cid, built.tsize)], 0o755)
    assert run.run(read.stat(directory.cid), memory.fetch) == read.Info(Type.DIRECTORY, 0, 1, 0o755, None, None)
    file = memory.file(profile.with_attributes(chosen), bytes(10), 4, 0o600, Mtime(1))
    assert run.run(read.stat(file.cid), memory.fetch) == read.Info(Type.FILE, 10, 3, 0o600, Mtime(1), None)


# ── directories ──


@settings(max_examples=examples(60), deadline=None)
@given(
    st.sampled_from(PROFILES),
    st.sampled_from([8, 16, 64, 256, 1024]),
    st.sampled_from([0, 1 << 18]),
    st.dictionaries(NAMES, st.binary(max_size=3), max_size=60),
    NAMES,
)
def test_a_directory_is_a_dict(
    chosen: Profile, fanout: int, threshold: int, model: dict[str, bytes], other: str
) -> None:
    memory = Memory()
    sized = replace(chosen, fanout=fanout, threshold=threshold)
    held = {name: Entry(name, memory.raw(data), len(data)) for name, data in model.items()}
    built = memory.directory(sized, list(held.values()))
    assert {entry.name: entry for entry in memory.entries(built.cid)} == held
    for name, entry in held.items():
        assert run.run(read.resolve(built.cid, [name]), memory.fetch) == entry.cid
    if other not in held:
        with pytest.raises(HoldError) as caught:
            run.run(read.resolve(built.cid, [other]), memory.fetch)
        assert caught.value.kind is Kind.NOT_FOUND


@BOTH
def test_a_plain_directory_is_listed_in_the_order_of_its_names_bytes(chosen: Profile) -> None:
    memory = Memory()
    names = ["z", "Z", "é", "a.b", "a", "日", "\U0001f600", "\ufb01", "10", "9"]
    built = memory.directory(chosen, [Entry(name, memory.raw(b""), 0) for name in names])
    assert [entry.name for entry in memory.entries(built.cid)] == sorted(names, key=str.encode)


def big(memory: Memory, count: int = 20_000) -> tuple[Cid, dict[str, Cid]]:
    cid = memory.raw(b"x")
    entries = [Entry(f"file-{i}", cid, 1) for i in range(count)]
    return memory.directory(profile.V1_2025, entries).cid, {entry.name: entry.cid for entry in entries}


def test_a_name_in_a_hamt_costs_one_shard_a_level() -> None:
    memory = Memory()
    root, model = big(memory)
    for name in list(model)[:200]:
        memory.wants.clear()
        assert run.run(read.resolve(root, [name]), memory.fetch) == model[name]
        assert memory.fetched <= 4


def test_a_hamt_is_listed_by_batches_of_shards_and_begun_before_it_is_read() -> None:
    memory = Memory()
    root, model = big(memory)
    assert {entry.name for entry in memory.entries(root)} == set(model)
    assert max(map(len, memory.wants)) == 64
    memory.wants.clear()
    next(run.items(read.listing(root), memory.fetch))
    assert memory.fetched <= 1 + 64


# ── paths ──


@BOTH
def test_paths_lead_through_directories_and_end_at_files_and_links(chosen: Profile) -> None:
    memory = Memory()
    file = memory.file(chosen, b"content", 3)
    link, block = build_symlink(chosen, "file")
    memory.put(block)
    inner = memory.directory(chosen, [Entry("file", file.cid, 0), Entry("link", link.cid, 0)])
    shard = memory.directory(replace(chosen, threshold=0), [Entry("inner", inner.cid, 0), Entry("x", file.cid, 0)])
    root = memory.directory(chosen, [Entry("shard", shard.cid, 0)]).cid

    def resolve(*path: str) -> Cid:
        return run.run(read.resolve(root, path), memory.fetch)

    assert resolve() == root
    assert resolve("shard", "inner", "file") == file.cid
    assert resolve("shard", "inner", "link") == link.cid
    for path, kind, named in (
        (("nothing",), Kind.NOT_FOUND, "'nothing'"),
        (("shard", "inner", "no"), Kind.NOT_FOUND, "'no'"),
        (("shard", "no", "file"), Kind.NOT_FOUND, "'no'"),
        (("shard", "inner", "file", "below"), Kind.NOT_A_DIRECTORY, "'below'"),
        (("shard", "inner", "link", "below"), Kind.NOT_A_DIRECTORY, "'below'"),
        (("shard", ".."), Kind.INVALID, ".."),
        (("shard", ""), Kind.INVALID, "no directory can"),
    ):
        with pytest.raises(HoldError) as caught:
            resolve(*path)
        assert caught.value.kind is kind
        assert named in str(caught.value)


def test_a_file_is_no_directory_to_list() -> None:
    memory = Memory()
    with pytest.raises(HoldError) as caught:
        memory.entries(memory.raw(b"x"))
    assert caught.value.kind is Kind.NOT_A_DIRECTORY


# ── running ──


def test_what_a_fetcher_raises_reaches_the_caller_and_is_no_answer() -> None:
    def broken(_: object) -> list[bytes]:
        raise StopIteration

    cid = Memory().file(profile.V0_2015, b"x", 1).cid
    with pytest.raises((StopIteration, RuntimeError)):
        run.run(read.stat(cid), broken)
    with pytest.raises((StopIteration, RuntimeError)):
        list(run.items(read.listing(cid), broken))


def test_an_answer_of_another_length_is_noticed() -> None:
    cid = Memory().file(profile.V0_2015, b"x", 1).cid
    with pytest.raises(ValueError, match="zip"):
        run.run(read.stat(cid), lambda _: [])
