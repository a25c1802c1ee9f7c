"""Trees built by the plans into a plain dict of blocks: the store of these tests."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

from commonhold.api import Block
from commonhold.formats import cid as cids
from commonhold.formats import dagpb, multihash, unixfs
from commonhold.formats.cid import Cid
from commonhold.formats.unixfs import Data, Mtime
from commonhold.unixfs import read, run
from commonhold.unixfs.build import Built, FileBuilder, build_symlink, leaf_wrapping
from commonhold.unixfs.chunk import fixed
from commonhold.unixfs.directory import Entry, build_directory
from commonhold.unixfs.profile import Profile
from tests import vectors

MAX_WANTS = 100_000


class Memory:
    """Blocks by CID, and a list of what was asked for. `leaves`: whether those of files are kept, too."""

    def __init__(self, *, leaves: bool = True) -> None:
        self._leaves = leaves
        self.blocks: dict[Cid, bytes] = {}
        self.wants: list[tuple[Cid, ...]] = []

    @property
    def fetched(self) -> int:
        return sum(map(len, self.wants))

    def fetch(self, cids: Sequence[Cid]) -> Iterable[bytes]:
        self.wants.append(tuple(cids))
        assert len(self.wants) < MAX_WANTS, "a plan that asks without end"
        return [self.blocks[cid] for cid in cids]

    # ── building ──

    def put(self, block: Block) -> None:
        assert multihash.matches(block.cid.multihash, block.data)
        self.blocks[block.cid] = block.data

    def raw(self, data: bytes) -> Cid:
        cid = cids.make_v1(cids.RAW, multihash.sha2_256(data))
        self.put(Block(cid, data))
        return cid

    def node(self, data: Data, links: Sequence[tuple[Cid, str]] = ()) -> Cid:
        """A dag-pb node with any links and message, sound or not."""
        return self.dag_pb(dagpb.encode([dagpb.Link(cid, name, 1) for cid, name in links], unixfs.encode(data)))

    def dag_pb(self, block: bytes) -> Cid:
        cid = cids.make_v1(cids.DAG_PB, multihash.sha2_256(block))
        self.put(Block(cid, block))
        return cid

    def file(
        self, profile: Profile, data: bytes, chunk: int, mode: int | None = None, mtime: Mtime | None = None
    ) -> Built:
        builder = FileBuilder(profile, mode=mode, mtime=mtime)
        attributes = builder.attributes if len(data) <= chunk else (None, None)
        at, wrapped = 0, -1
        for length in fixed(len(data), chunk):
            if length != wrapped:
                (prefix, suffix), wrapped = leaf_wrapping(profile, length, *attributes), length
            block = prefix + data[at : at + length] + suffix
            at += length
            digest = hashlib.sha256(block).digest()
            if self._leaves:
                self.blocks[profile.leaf_cid(digest)] = block
            for made in builder.leaf(digest, length, len(block)):
                self.put(made)
        built, rest = builder.finish()
        for made in rest:
            self.put(made)
        return built

    def directory(
        self, profile: Profile, entries: Sequence[Entry], mode: int | None = None, mtime: Mtime | None = None
    ) -> Built:
        plan = build_directory(profile, entries, mode=mode, mtime=mtime)
        while True:
            try:
                self.put(next(plan))
            except StopIteration as end:
                built: Built = end.value
                return built

    def tree(self, profile: Profile, recipe: dict[str, Any], chunk: int, *, hidden: bool = True) -> Built:
        """What a recipe of the vectors stands for."""
        mode = recipe.get("mode")
        mtime = Mtime(*recipe["mtime"]) if "mtime" in recipe else None
        if "symlink" in recipe:
            built, block = build_symlink(profile, recipe["symlink"], mtime)
            self.put(block)
            return built
        if "dir" not in recipe and "many" not in recipe:
            return self.file(profile, content(recipe.get("file", recipe)), chunk, mode, mtime)
        entries = []
        known: dict[int, Built] = {}  # what stands under many names is built once
        for name, below in children(recipe):
            if hidden or not name.startswith("."):
                built = known.get(id(below)) or self.tree(profile, below, chunk, hidden=hidden)
                known[id(below)] = built
                entries.append(Entry(name, built.cid, built.tsize))
        return self.directory(profile, entries, mode, mtime)

    # ── reading ──

    def bytes_of(self, cid: Cid, start: int = 0, stop: int | None = None) -> bytes:
        """A range of a file, put together as any caller of `extents` would, with the checks it owes."""
        found = []
        at = start
        for extent in run.items(read.extents(cid, start, stop), self.fetch):
            data = extent.data
            if data is None:
                assert extent.cid is not None
                data = self.blocks[extent.cid]
                assert extent.whole in (None, len(data))
            size = len(data) if extent.size < 0 else extent.size
            assert extent.offset == at
            assert extent.skip + size <= len(data)
            at += size
            found.append(data[extent.skip : extent.skip + size])
        return b"".join(found)

    def entries(self, cid: Cid) -> list[Entry]:
        return list(run.items(read.listing(cid), self.fetch))

    def visits(self, cid: Cid) -> list[read.Visited]:
        return list(run.items(read.walk(cid), self.fetch))


def content(recipe: dict[str, Any]) -> bytes:
    """The bytes of a file's recipe."""
    if "zeros" in recipe:
        return bytes(recipe["zeros"])
    if "stream" not in recipe:
        return vectors.content(recipe)
    seed, size = recipe["stream"]["seed"], recipe["stream"]["bytes"]
    return _stream(seed, 6 << 20)[:size] if size <= 6 << 20 else vectors.content(recipe)


@cache
def _stream(seed: str, size: int) -> bytes:
    return vectors.content({"stream": {"seed": seed, "bytes": size}})


def children(recipe: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The entries of a directory's recipe."""
    if "many" in recipe:
        many = recipe["many"]
        for i in range(many["count"]):
            yield many["name"].format(i=i), many["of"]
    yield from recipe.get("dir", {}).items()
    yield from recipe.get("plus", {}).items()
