"""Trees built by the plans into a plain dict of blocks: the store of these tests."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from commonhold.api import Block
from commonhold.formats.cid import Cid
from commonhold.formats.unixfs import Mtime
from commonhold.unixfs.build import Built, FileBuilder, build_symlink, leaf_wrapping
from commonhold.unixfs.directory import Entry, build_directory
from commonhold.unixfs.profile import Profile
from tests import vectors


class Memory:
    """Blocks by CID, and a count of what was asked for."""

    def __init__(self) -> None:
        self.blocks: dict[Cid, bytes] = {}
        self.fetched = 0

    def fetch(self, cids: Sequence[Cid]) -> Iterable[bytes]:
        self.fetched += len(cids)
        return [self.blocks[cid] for cid in cids]

    def put(self, block: Block) -> None:
        self.blocks[block.cid] = block.data

    def file(
        self, profile: Profile, data: bytes, chunk: int, mode: int | None = None, mtime: Mtime | None = None
    ) -> Built:
        builder = FileBuilder(profile, mode=mode, mtime=mtime)
        for at in range(0, len(data), chunk) if data else [0]:
            payload = data[at : at + chunk]
            prefix, suffix = leaf_wrapping(profile, len(payload))
            block = prefix + payload + suffix
            digest = hashlib.sha256(block).digest()
            self.put(Block(profile.leaf_cid(digest), block))
            for made in builder.leaf(digest, len(payload), len(block)):
                self.put(made)
        built, rest = builder.finish()
        for made in rest:
            self.put(made)
        return built

    def directory(self, profile: Profile, entries: Sequence[Entry]) -> Built:
        plan = build_directory(profile, entries)
        while True:
            try:
                self.put(next(plan))
            except StopIteration as end:
                built: Built = end.value
                return built

    def tree(self, profile: Profile, recipe: dict[str, Any], chunk: int) -> Built:
        if "symlink" in recipe:
            built, block = build_symlink(profile, recipe["symlink"].encode())
            self.put(block)
            return built
        if "text" in recipe or "stream" in recipe:
            return self.file(profile, vectors.content(recipe), chunk)
        entries = []
        for name, below in vectors.children(recipe):
            built = self.tree(profile, below, chunk)
            entries.append(Entry(name, built.cid, built.tsize))
        return self.directory(profile, entries)
