"""The public tree over a real store: what was added is what is there, nothing can be changed, no block is believed."""

import contextlib
import errno
import os
import random
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold.agent.adding import Adder, Options
from commonhold.agent.blocks import Blocks
from commonhold.agent.frozen import Frozen
from commonhold.agent.globe import UNKNOWN, VALID, Globe
from commonhold.agent.numbers import Numbers
from commonhold.agent.shelf import LIMIT
from commonhold.blockstore.store import Store, create
from commonhold.formats import cid as cids
from commonhold.formats import dagpb, multihash
from commonhold.formats.cid import Cid
from commonhold.formats.multihash import Multihash
from commonhold.formats.unixfs import Data, Mtime, Type
from commonhold.ipc.nodeclient import NodeStore
from commonhold.trees import ROOT, SEEK_DATA, SEEK_HOLE, Attr, Change, Item, Tree, Who
from commonhold.unixfs.build import Built
from commonhold.unixfs.chunk import FixedChunker
from commonhold.unixfs.profile import V0_2015, V1_2025, Profile, with_attributes
from tests.examples import examples
from tests.node.serving import running
from tests.unixfs.test_hostile import LIES, chain, sharded
from tests.unixfs.trees import Memory
from tests.waiting import SECONDS, until

MIB = 1 << 20
SECOND = 1_000_000_000
FILE, DIRECTORY = stat.S_IFREG, stat.S_IFDIR


class Silent:
    """A watcher that wants to know nothing."""

    def bytes(self, count: int) -> None: ...

    def file(self, path: str, built: Built) -> None: ...

    def skipped(self, path: str, why: str) -> None: ...


class Watched:
    """A store's blocks, of which a test sees what is asked for, and says what is there. See `blocks.Source`."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.asked: list[Multihash] = []
        self.expected: set[Multihash] = set()
        self.gone: set[Multihash] = set()
        self.before: Callable[[], Any] = lambda: None

    def size(self, key: Multihash) -> int:
        return self.store.size(self._there(key))

    def get(self, key: Multihash) -> bytes:
        self.asked.append(key)
        self.expected.discard(key)
        self.before()
        return self.store.get(self._there(key))

    def read_into(self, key: Multihash, into: memoryview) -> int:
        raise AssertionError("not asked for here")

    def expect(self, keys: Iterable[Multihash]) -> None:
        self.expected.update(keys)

    def _there(self, key: Multihash) -> Multihash:
        return multihash.sha2_256(b"no block has this") if key in self.gone else key


class World:
    """A store, and the tree of what is in it."""

    def __init__(self, path: Path, store: Store) -> None:
        self.path = path
        self.store = store
        self.source = Watched(store)
        self.opened: list[Globe] = []
        self.tree = self.begun()

    def begun(self, limit: int = LIMIT) -> Globe:
        """A tree as another process would have it."""
        numbers = Numbers(self.path / "public.sqlite")
        numbers.begin(b"epoch")
        self.tree = Globe(Blocks(self.source), numbers, limit)
        self.opened.append(self.tree)
        return self.tree

    def close(self) -> None:
        for tree in self.opened:
            tree.close()
            tree._numbers.close()

    def add(self, path: Path, profile: Profile = V1_2025, chunk: int = MIB, **how: Any) -> Cid:
        session = self.store.session()
        adder = Adder(session, Options(profile, FixedChunker(chunk), recursive=True, hidden=True, **how), Silent())
        try:
            built = adder.add(str(path))
            session.commit(str(built.cid), built.cid)
            return built.cid
        finally:
            adder.close()
            session.close()

    def file(self, data: bytes, profile: Profile = V1_2025, chunk: int = MIB) -> Cid:
        path = self.path / "content"
        path.write_bytes(data)
        return self.add(path, profile, chunk)

    def keep(self, memory: Memory) -> None:
        """Store what a test has made by hand."""
        session = self.store.session()
        for cid, data in memory.blocks.items():
            session.put(cid.multihash, data)
        session.commit("made", next(iter(memory.blocks)))
        session.close()

    # ── walking ──

    def at(self, cid: Cid, *path: str) -> Attr:
        attr = self.tree.lookup(ROOT, str(cid).encode())
        for name in path:
            attr = self.tree.lookup(attr.number, name.encode())
        return attr

    def listed(self, number: int, most: int = 7, attributes: bool = True) -> list[Item]:
        found: list[Item] = []
        while page := self.tree.listing(number, found[-1].position if found else 0, most, attributes):
            assert len(page) <= most
            found += page
        return found

    def content(self, attr: Attr) -> bytes:
        data = b""
        while part := self.tree.read(attr.number, len(data), 1000_000):
            data += part
        return data


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    create(tmp_path / "store")
    with Store(tmp_path / "store") as store, contextlib.closing(World(tmp_path, store)) as found:
        yield found


def failed(number: int, call: Callable[..., object], *words: object) -> None:
    with pytest.raises(OSError) as caught:
        call(*words)
    assert caught.value.errno == number, caught.value


def content(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


# ── what was added is what is there ──


def plant(root: Path) -> None:
    """A tree of many kinds of things."""
    (root / "deep/er/est").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "deep/er/file").write_bytes(content(1, 700_000))
    (root / "deep/er/est/ünïcode ✓").write_bytes(b"x" * 40)
    (root / "run").write_bytes(b"#!/bin/sh\n")
    (root / "run").chmod(0o4755)
    (root / "nothing").write_bytes(b"")
    (root / "again").write_bytes(b"#!/bin/sh\n")
    (root / ".hidden").write_bytes(b"h")
    (root / "link").symlink_to("deep/er/file")
    (root / "dangling").symlink_to("../../nowhere/at/all")
    (root / ("n" * 255)).write_bytes(b"long")
    many = root / "many"
    many.mkdir()
    for i in range(400):
        (many / f"{i:03} of many with a name that fills the block").write_bytes(b"%d" % i)
    os.utime(root / "run", ns=(0, 1_234_567_890_123_456_789))


def small(profile: Profile) -> Profile:
    """The same for files of many nodes, and directories of many shards."""
    return replace(profile, threshold=8000, width=3)


HOW: dict[str, tuple[Profile, int, dict[str, bool]]] = {
    "v1": (V1_2025, MIB, {}),
    "v0": (V0_2015, 256 << 10, {}),
    "v1, small": (small(V1_2025), 50_000, {}),
    "v0, small": (small(V0_2015), 50_000, {}),
    "attributes": (small(with_attributes(V1_2025)), 50_000, {"mode": True, "mtime": True}),
}


@pytest.mark.parametrize("how", HOW)
def test_a_tree_is_what_was_added(world: World, tmp_path: Path, how: str) -> None:
    profile, chunk, options = HOW[how]
    plant(tmp_path / "tree")
    cid = world.add(tmp_path / "tree", profile, chunk, **options)
    numbers: dict[int, str] = {}

    def compare(attr: Attr, path: Path) -> None:
        status = path.lstat()
        assert attr == world.tree.attr(attr.number)
        assert stat.S_IFMT(attr.mode) == stat.S_IFMT(status.st_mode)
        assert (attr.owner, attr.group, attr.born, attr.device) == ("", "", attr.modified, 0)
        if options and not path.is_symlink():
            assert attr.mode & 0o7777 == status.st_mode & 0o555
            assert attr.modified == attr.accessed == attr.changed == status.st_mtime_ns
        if path.is_symlink():
            assert world.tree.target(attr.number) == os.fsencode(path.readlink())
            assert attr.size == status.st_size and attr.mode & 0o777 == 0o777
        elif path.is_dir():
            assert (attr.links, attr.size) == (2, 0)
            assert numbers.setdefault(attr.number, str(path)) == str(path)
            items = world.listed(attr.number)
            assert sorted(item.name for item in items) == sorted(map(os.fsencode, os.listdir(path)))
            for item in items:
                below = world.tree.lookup(attr.number, item.name)
                assert item == Item(item.name, item.position, below.number, below.mode, below)
                assert stat.S_ISDIR(below.mode) is False or world.tree.parent(below.number) == attr.number
                compare(below, path / item.name.decode())
        else:
            assert (attr.links, attr.size, attr.blocks) == (1, status.st_size, -(-status.st_size // 512))
            assert world.content(attr) == path.read_bytes()
            if not options:
                assert (attr.mode & 0o7777, attr.modified) == (0o444, 0)

    compare(world.at(cid), tmp_path / "tree")
    assert not world.source.expected, "what was expected and never asked for stays in memory"


def test_a_listing_without_attributes_has_the_same_numbers_and_types(world: World, tmp_path: Path) -> None:
    plant(tmp_path / "tree")
    number = world.at(world.add(tmp_path / "tree")).number
    first = world.listed(number, attributes=False)
    full = world.listed(number, attributes=True)
    assert all(item.attr is None for item in first)
    assert [item[:3] for item in first] == [item[:3] for item in full]
    assert [stat.S_IFMT(item.mode) for item in first] == [stat.S_IFMT(item.mode) for item in full]
    assert all(world.tree.attr(item.number).size == (item.attr and item.attr.size) for item in full)


def test_a_file_that_was_only_listed_has_its_size_when_it_is_asked_for(world: World, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/f").write_bytes(b"12345")
    [item] = world.listed(world.at(world.add(tmp_path / "tree")).number, attributes=False)
    assert world.tree.cached(item.number, 0, 10) is None
    assert world.tree.read(item.number, 0, 10) == b"12345"
    assert world.tree.attr(item.number).size == 5


@pytest.mark.parametrize("base", cids.BASES)
def test_a_cid_is_found_in_any_base(world: World, base: str) -> None:
    cid = world.file(b"hello")
    name = cids.format_text(cid, base).encode()
    if base == "base2":
        failed(errno.ENAMETOOLONG, lambda: world.tree.lookup(ROOT, name))
        return
    attr = world.tree.lookup(ROOT, name)
    assert world.content(attr) == b"hello" and attr.number == world.at(cid).number


def test_cids_of_both_versions_and_inline_ones_are_found(world: World, tmp_path: Path) -> None:
    plant(tmp_path / "tree")
    cid = world.add(tmp_path / "tree", V0_2015, 256 << 10)
    assert (
        cid.version == 0 and stat.S_ISDIR(world.at(cid).mode) and stat.S_ISDIR(world.at(cids.to_version(cid, 1)).mode)
    )
    inline = cids.make_v1(cids.RAW, multihash.identity(b"in the name"))
    assert world.content(world.at(inline)) == b"in the name"
    assert world.content(world.at(cids.make_v1(cids.RAW, multihash.identity(b"")))) == b""


def test_a_directory_has_a_number_of_its_own_under_each_name_and_a_file_one_alone(world: World, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "tree" / name / "same").mkdir(parents=True)
        (tmp_path / "tree" / name / "same/file").write_bytes(b"same")
    cid = world.add(tmp_path / "tree")
    assert len({world.at(cid, name, "same").number for name in "ab"}) == 2
    assert len({world.at(cid, name, "same", "file").number for name in "ab"}) == 1
    assert world.tree.parent(world.at(cid, "a", "same").number) == world.at(cid, "a").number
    assert world.tree.parent(world.at(cid).number) == world.tree.parent(ROOT) == ROOT


def test_numbers_mean_the_same_to_the_next_process(world: World, tmp_path: Path) -> None:
    plant(tmp_path / "tree")
    cid = world.add(tmp_path / "tree", HOW["v1, small"][0], 50_000)
    before = {path: world.at(cid, *path) for path in ((), ("many",), ("deep", "er", "file"), ("link",))}
    items = world.listed(before["many",].number)
    world.begun()
    for attr in before.values():
        assert world.tree.attr(attr.number) == attr
    assert world.tree.listing(before["many",].number, items[99].position, 7, True) == items[100:107]
    assert world.tree.read(before["deep", "er", "file"].number, 600_000, 10) == content(1, 700_000)[600_000:600_010]
    assert world.tree.target(before["link",].number) == b"deep/er/file"
    world.tree.forget([attr.number for attr in before.values()])
    assert {path: world.at(cid, *path) for path in before} == before


def test_a_tree_is_the_same_through_a_node_which_keeps_nothing_ready_for_nobody(tmp_path: Path) -> None:
    plant(tmp_path / "tree")
    with running(tmp_path) as node, contextlib.closing(NodeStore(node.socket)) as store:
        world = World(tmp_path, node.store)
        with contextlib.closing(world):
            cid = world.add(tmp_path / "tree", *HOW["v0, small"][:2])
            here = [world.listed(world.at(cid, *path).number) for path in ((), ("many",))]
            world.tree = Globe(Blocks(store), world.tree._numbers)
            world.opened.append(world.tree)
            assert [world.listed(world.at(cid, *path).number) for path in ((), ("many",))] == here
            assert world.content(world.at(cid, "deep", "er", "file")) == content(1, 700_000)
            failed(errno.ENOENT, lambda: world.at(cids.from_digest(cids.RAW, bytes(32))))
            assert not store._ahead._here and not store._ahead._packed


# ── what is not there ──


@pytest.mark.parametrize(
    "name",
    [
        b"x", b"index.html", b".Trash-1000", b"\xff\xfe", b"Qm", b"QmZZ" + b"1" * 42, b"b" * 255,
        b"k51qzi5uqu5dgutdk6i1ynyzgkqngpha5xpgia3a5qqp4jsh0u4csozksxel2r", b"..", b".",
        b"bafkqaaa\n", b"bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy",
    ],
)  # fmt: skip
def test_what_is_no_cid_of_a_file_is_not_there(world: World, name: bytes) -> None:
    failed(errno.ENOENT, lambda: world.tree.lookup(ROOT, name))


def test_what_was_never_added_is_not_there_and_what_was_deleted_is_gone(world: World) -> None:
    cid = world.file(b"hello")
    absent = cids.from_digest(cids.RAW, bytes(32))
    for codec in (cids.RAW, cids.DAG_PB):
        failed(errno.ENOENT, world.at, cids.make_v1(codec, absent.multihash))
    attr = world.at(cid)
    assert world.content(attr) == b"hello"
    world.source.gone.add(cid.multihash)
    failed(errno.ENOENT, lambda: world.at(cid))
    unknown = cids.make_v1(cids.RAW, b"\x8f\x09\x04abcd")
    failed(errno.ENOENT, lambda: world.tree.lookup(ROOT, str(unknown).encode()))


def test_a_name_that_is_too_long_or_no_text_or_in_no_directory_is_refused(world: World, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/f").write_bytes(b"12345")
    cid = world.add(tmp_path / "tree")
    top, file = world.at(cid).number, world.at(cid, "f").number
    failed(errno.ENAMETOOLONG, lambda: world.tree.lookup(top, b"n" * 256))
    failed(errno.ENOENT, lambda: world.tree.lookup(top, b"\xff"))
    failed(errno.ENOENT, lambda: world.tree.lookup(top, b""))
    failed(errno.ENOENT, lambda: world.tree.lookup(top, b"F"))
    failed(errno.ENOTDIR, lambda: world.tree.lookup(file, b"f"))
    failed(errno.ENOTDIR, lambda: world.tree.listing(file, 0, 10, True))
    failed(errno.ENOTDIR, lambda: world.tree.parent(file))
    failed(errno.EINVAL, lambda: world.tree.target(file))
    failed(errno.EINVAL, lambda: world.tree.target(ROOT))
    for number in (top, ROOT):
        failed(errno.EISDIR, world.tree.read, number, 0, 1)
        failed(errno.EISDIR, world.tree.open, number, False, False)
    for number in (0, -1, 999_999, 1 << 47):
        failed(errno.ENOENT, world.tree.attr, number)
        failed(errno.ENOENT, world.tree.read, number, 0, 1)
        failed(errno.ENOENT, world.tree.lookup, number, b"f")
        failed(
            errno.ENOENT, lambda number=number: world.tree.lookup(number, bytes(cids.from_digest(cids.RAW, bytes(32))))
        )


def test_the_root_lists_nothing(world: World) -> None:
    world.at(world.file(b"hello"))
    assert world.tree.listing(ROOT, 0, 100, True) == []
    attr = world.tree.attr(ROOT)
    assert (attr.number, attr.mode, attr.links) == (ROOT, DIRECTORY | 0o555, 2)


def test_what_is_missing_is_an_error_where_it_would_be_needed(world: World, tmp_path: Path) -> None:
    plant(tmp_path / "tree")
    cid = world.add(tmp_path / "tree", HOW["v1, small"][0], 50_000)
    file, many, top = world.at(cid, "deep", "er", "file"), world.at(cid, "many"), world.at(cid)
    whole = world.content(file)
    there = set(world.store.keys())
    world.begun()
    world.source.gone.update(there - {cid.multihash})
    failed(errno.EIO, lambda: world.tree.read(file.number, 0, 10))
    failed(errno.EIO, lambda: world.tree.listing(many.number, 0, 10, True))
    failed(errno.EIO, lambda: world.tree.lookup(many.number, b"no such name"))
    assert all((item.number, item.mode, item.attr) == (UNKNOWN, 0, None) for item in world.listed(top.number))
    assert len(world.listed(top.number)) == 10
    failed(errno.ENOENT, lambda: world.tree.lookup(top.number, b"empty"))
    world.source.gone.clear()
    assert world.content(file) == whole
    assert all(item.attr for item in world.listed(top.number))
    assert not world.source.expected


# ── nothing can be changed ──

NOBODY = Who("", "")
CHANGES: dict[str, Callable[[Tree, int, int], object]] = {
    "make": lambda tree, top, file: tree.make(top, b"new", FILE | 0o644, 0, b"", NOBODY, False),
    "make nameless": lambda tree, top, file: tree.make(top, b"", FILE | 0o644, 0, b"", NOBODY, False),
    "link": lambda tree, top, file: tree.link(file, top, b"new"),
    "unlink": lambda tree, top, file: tree.unlink(top, b"f"),
    "rmdir": lambda tree, top, file: tree.rmdir(top, b"d"),
    "rename": lambda tree, top, file: tree.rename(top, b"f", top, b"g", 0),
    "change": lambda tree, top, file: tree.change(file, Change(mode=0o644)),
    "set_xattr": lambda tree, top, file: tree.set_xattr(file, b"user.a", b"", 0),
    "remove_xattr": lambda tree, top, file: tree.remove_xattr(file, b"user.a"),
    "write": lambda tree, top, file: tree.write(file, 0, memoryview(b"x"), False, False),
    "allocate": lambda tree, top, file: tree.allocate(file, 0, 10, 0),
    "copy": lambda tree, top, file: tree.copy(file, 0, file, 10, 1),
    "truncate": lambda tree, top, file: tree.open(file, True, False),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_would_change_something_is_refused(world: World, tmp_path: Path, change: str) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/f").write_bytes(b"12345")
    cid = world.add(tmp_path / "tree")
    top, file = world.at(cid), world.at(cid, "f")
    tree: Tree = world.tree
    failed(errno.EROFS, lambda: CHANGES[change](tree, top.number, file.number))
    assert (world.at(cid), world.at(cid, "f"), world.content(file)) == (top, file, b"12345")


def test_every_call_that_a_tree_has_is_answered(world: World) -> None:
    file = world.at(world.file(b"12345")).number
    tree: Tree = world.tree
    failed(errno.ENODATA, lambda: tree.xattr(file, b"user.a"))
    assert tree.xattrs(file) == [] and sum(tree.room()) == 0
    tree.sync(file)
    tree.open(file, False, True)
    assert [tree.seek(file, 3, whence) for whence in (SEEK_DATA, SEEK_HOLE)] == [3, 5]
    failed(errno.ENXIO, lambda: tree.seek(file, 5, SEEK_DATA))
    assert world.tree.valid(file) == VALID
    for name in ("lookup", "listing", "attr", "read"):
        assert name in tree.slow
    assert not tree.slow & {"cached", "forget", "parent"} and issubclass(Globe, Frozen)


# ── reading ──


@settings(max_examples=examples(25), deadline=None)
@given(
    st.sampled_from([V1_2025, V0_2015]), st.integers(0, 5000), st.integers(1, 700), st.integers(2, 5),
    st.lists(st.tuples(st.booleans(), st.integers(0, 5100), st.integers(0, 5100)), max_size=25),
    st.integers(100, 20_000),
)  # fmt: skip
def test_any_range_is_a_files_bytes_however_little_is_kept(
    tmp_path_factory: pytest.TempPathFactory, profile: Profile, size: int, chunk: int, width: int,
    reads: list[tuple[bool, int, int]], limit: int,
) -> None:  # fmt: skip
    path = tmp_path_factory.mktemp("world")
    create(path / "store")
    with Store(path / "store") as store, contextlib.closing(World(path, store)) as world:
        data = content(size, size)
        number = world.at(world.file(data, replace(profile, width=width), chunk)).number
        tree = world.begun(limit)
        for only_cached, offset, length in reads:
            found = tree.cached(number, offset, length) if only_cached else tree.read(number, offset, length)
            assert found == data[offset : offset + length] or (only_cached and found is None)
        assert tree._shelf._bytes <= limit


def test_a_read_gives_a_mebibyte_at_most(world: World) -> None:
    number = world.at(world.file(bytes(3 * MIB))).number
    assert len(world.tree.read(number, 5, 1 << 40)) == MIB


def test_what_is_cached_is_only_what_is_in_memory(world: World) -> None:
    data = content(1, 5 * MIB)
    number = world.at(world.file(data)).number
    world.begun()
    world.source.asked.clear()
    assert world.tree.cached(number, 0, 100) is None
    assert world.source.asked == []
    assert world.tree.read(number, MIB - 50, 100) == data[MIB - 50 : MIB + 50]
    asked = len(world.source.asked)
    assert world.tree.cached(number, 0, MIB) == data[:MIB]
    assert world.tree.cached(number, 4 * MIB, 10) is None
    assert world.tree.cached(number, 5 * MIB, 10) == b""
    assert asked == 3  # the root and two leaves


def test_readers_at_once_fetch_a_block_once(world: World) -> None:
    data = content(2, 6 * MIB)
    number = world.at(world.file(data)).number
    world.begun()
    world.source.asked.clear()
    world.source.before = lambda: time.sleep(0.01)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda i: world.tree.read(number, i % 6 * MIB, MIB), range(48)))
    assert all(one == data[i % 6 * MIB :][:MIB] for i, one in enumerate(found))
    assert len(world.source.asked) == len(set(world.source.asked)) == 7


def test_who_reads_on_finds_the_next_blocks_there(world: World) -> None:
    data = content(3, 40 * MIB)
    number = world.at(world.file(data)).number
    world.begun()
    world.source.asked.clear()
    world.tree.read(number, 0, MIB)
    fetched = len(world.source.asked)
    world.tree.read(number, MIB, MIB)
    for at in range(2, 40):
        until(lambda: world.tree.cached(number, at * MIB, MIB) == data[at * MIB :][:MIB])  # noqa: B023 at once
    assert fetched == 2
    assert len(world.source.asked) == 41


def test_who_reads_here_and_there_fetches_no_more_than_that(world: World) -> None:
    data = content(3, 40 * MIB)
    number = world.at(world.file(data)).number
    world.begun()
    world.source.asked.clear()
    for at in (30, 5, 20, 10, 35, 0, 15):
        assert world.tree.read(number, at * MIB + 7, 9) == data[at * MIB + 7 :][:9]
    assert len(world.source.asked) == 8


def test_a_block_that_fails_fails_those_who_wait_for_it_and_is_tried_again(world: World) -> None:
    data = content(4, 2 * MIB)
    cid = world.file(data)
    number = world.at(cid).number
    world.begun()
    leaf = cids.make_v1(cids.RAW, multihash.sha2_256(data[:MIB]))
    world.source.gone.add(leaf.multihash)
    ready = threading.Barrier(4, timeout=SECONDS)
    world.source.before = lambda: time.sleep(0.02)

    def read(_: int) -> int:
        ready.wait()
        with pytest.raises(OSError) as caught:
            world.tree.read(number, 0, 10)
        return caught.value.errno or 0

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(read, range(4))) == [errno.EIO] * 4
    world.source.gone.clear()
    assert world.tree.read(number, 0, 10) == data[:10]


# ── directories ──


def test_a_page_of_a_large_directory_reads_few_blocks(world: World, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    for i in range(3000):
        (tmp_path / "tree" / f"{i:04}").write_bytes(b"same")
    number = world.at(world.add(tmp_path / "tree", replace(V1_2025, threshold=1000))).number
    items = world.listed(number, 500, attributes=False)
    assert len({item.name for item in items}) == 3000
    world.begun()
    world.source.asked.clear()
    assert world.tree.listing(number, items[1500].position, 20, False) == items[1501:1521]
    assert len(world.source.asked) < 20
    assert world.tree.lookup(number, b"2999").size == 4


def test_names_that_no_kernel_takes_and_codecs_that_are_no_files_are_not_listed(world: World) -> None:
    memory = Memory()
    leaf = memory.raw(b"leaf")
    cbor = cids.make_v1(cids.DAG_CBOR, multihash.sha2_256(b"\xa0"))
    metadata = memory.node(Data(Type.METADATA))
    plain = memory.dag_pb(dagpb.encode([], None))
    entries = [(cbor, "cbor"), (leaf, "file"), (metadata, "metadata"), (leaf, "ñ" * 128), (plain, "plain")]
    cid = memory.node(Data(Type.DIRECTORY), entries)
    world.keep(memory)
    number = world.at(cid).number
    assert [(item.name, item.number == UNKNOWN) for item in world.listed(number, 2)] == [
        (b"file", False), (b"metadata", True), (b"plain", True),
    ]  # fmt: skip
    failed(errno.ENOENT, lambda: world.at(cid, "cbor"))
    failed(errno.ENOENT, lambda: world.at(cid, "metadata"))
    failed(errno.EIO, lambda: world.at(cid, "plain"))


# ── hostile content ──


@pytest.mark.parametrize("lie", LIES)
def test_a_file_that_contradicts_itself_is_an_error(world: World, lie: str) -> None:
    memory = Memory()
    cid = LIES[lie](memory, memory.raw(b"1234"))
    world.keep(memory)
    failed(errno.EIO, lambda: world.content(world.at(cid)))


def test_a_raw_leaf_of_another_length_than_its_parent_says_is_an_error(world: World) -> None:
    memory = Memory()
    leaf = memory.raw(b"1234")
    for size in (3, 5, 1 << 40):
        cid = memory.node(Data(Type.FILE, None, size, (size,)), [(leaf, "")])
        world.keep(memory)
        attr = world.at(cid)
        assert attr.size == size
        failed(errno.EIO, world.tree.read, attr.number, 0, 2)
        failed(errno.EIO, world.tree.cached, attr.number, 0, 2)


def test_a_file_of_2_to_the_62_bytes_is_read_where_it_is_asked_for(world: World) -> None:
    memory = Memory()
    cid, size = memory.raw(b"ab"), 2
    for _ in range(61):
        cid, size = memory.node(Data(Type.FILE, None, 2 * size, (size, size)), [(cid, ""), (cid, "")]), 2 * size
    world.keep(memory)
    attr = world.at(cid)
    assert (attr.size, attr.blocks) == (1 << 62, 1 << 53)
    assert world.tree.read(attr.number, (1 << 61) + 7, 5) == b"babab"
    assert world.tree.read(attr.number, (1 << 62) - 3, 50) == b"bab"
    failed(errno.EIO, lambda: world.content(world.at(deep(world))))


def deep(world: World) -> Cid:
    memory = Memory()
    cid = chain(memory, 65)
    world.keep(memory)
    return cid


@pytest.mark.parametrize("names", [["..", "a"], ["a", "."], ["a/b"], ["a", "a"], [""], ["a\0b"]])
def test_a_directory_with_such_names_is_an_error(world: World, names: list[str]) -> None:
    memory = Memory()
    bad = memory.node(Data(Type.DIRECTORY), [(memory.raw(b"x"), name) for name in names])
    above = memory.node(Data(Type.DIRECTORY), [(bad, "bad"), (memory.raw(b"x"), "good")])
    world.keep(memory)
    failed(errno.EIO, lambda: world.at(bad))
    failed(errno.EIO, lambda: world.at(above, "bad"))
    assert [(item.name, bool(item.attr)) for item in world.listed(world.at(above).number)] == [
        (b"bad", False), (b"good", True),
    ]  # fmt: skip


def test_a_shard_with_a_name_that_leads_elsewhere_is_no_way_there(world: World) -> None:
    memory = Memory()
    cid = sharded(memory, [".."])
    world.keep(memory)
    number = world.at(cid).number
    failed(errno.ENOENT, lambda: world.tree.lookup(number, b".."))
    failed(errno.EIO, lambda: world.listed(number))


@pytest.mark.parametrize("target", [b"", b"a\0b", b"x" * 4096, b"\xff"])
def test_a_link_that_no_link_can_be_is_an_error(world: World, target: bytes) -> None:
    memory = Memory()
    cid = memory.node(Data(Type.SYMLINK, target))
    fine = memory.node(Data(Type.SYMLINK, b"x" * 4095))
    world.keep(memory)
    failed(errno.EIO, lambda: world.at(cid))
    assert world.tree.target(world.at(fine).number) == b"x" * 4095


@pytest.mark.parametrize(
    ("mtime", "told"),
    [
        (Mtime(5, 7), 5 * SECOND + 7),
        (Mtime(-1, 1), 1 - SECOND),
        (Mtime(1 << 62), (1 << 63) - 1),
        (Mtime(-(1 << 63)), 1 - (1 << 63)),
    ],
)
def test_any_time_is_one_that_a_kernel_can_have(world: World, mtime: Mtime, told: int) -> None:
    memory = Memory()
    cid = memory.node(Data(Type.FILE, b"x", 1, mtime=mtime, mode=0o7777))
    world.keep(memory)
    attr = world.at(cid)
    assert (attr.modified, attr.mode) == (told, FILE | 0o555)
    world.begun()
    assert world.tree.attr(attr.number) == attr


def test_what_is_damaged_on_disk_is_an_error(world: World) -> None:
    data = content(5, 3 * MIB)
    number = world.at(world.file(data)).number
    world.begun()
    segments = sorted((world.path / "store").rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    whole = segments[-1].read_bytes()
    at = whole.index(data[MIB : MIB + 100])
    with segments[-1].open("r+b") as file:
        file.seek(at + 50)
        file.write(bytes([data[MIB + 50] ^ 1]))
    assert world.tree.read(number, 0, 100) == data[:100]
    failed(errno.EIO, lambda: world.tree.read(number, MIB + 4096, 100))
