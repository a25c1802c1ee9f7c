"""Files into blocks: leaves in, interior nodes out, a layer at a time. The balanced layout: all leaves equally deep.

Source: UnixFS specification, "balanced" in IPIP-0499.
"""

import hashlib
from typing import NamedTuple

from commonhold.api import MAX_BLOCK, Block
from commonhold.errors import HoldError, Kind
from commonhold.formats import dagpb, unixfs, varint
from commonhold.formats.cid import Cid
from commonhold.formats.unixfs import Data, Mtime, Type
from commonhold.unixfs.profile import Profile, cid_for


class Built(NamedTuple):
    """What came of a file or tree: its CID, its content's bytes, and the bytes of all its blocks.

    A directory's `size` is the sum of its entries' `tsize`: their contents' bytes are not known where it is built.
    A block that is met twice counts twice.
    """

    cid: Cid
    size: int
    tsize: int


def leaf_wrapping(
    profile: Profile, payload_size: int, mode: int | None = None, mtime: Mtime | None = None
) -> tuple[bytes, bytes]:
    """Return what goes before and after a payload to make it a leaf's block: nothing for raw leaves.

    A file's attributes are in its root: give them here for the only leaf of a file, which is its root.
    """
    mode = mode or None
    if profile.raw_leaves:
        return b"", b""
    size = varint.encode(payload_size)
    data = b"\x12" + size if payload_size else b""
    suffix = b"\x18" + size + unixfs.encode(Data(Type.FILE, mode=mode, mtime=mtime))[2:]
    inner = 2 + len(data) + payload_size + len(suffix)
    return b"\x0a" + varint.encode(inner) + b"\x08\x02" + data, suffix


class FileBuilder:
    """Takes leaves in order; memory is one unfinished node a layer.

    A file with attributes needs dag-pb leaves (`effective_profile`), else it is USAGE. A mode of 0 is none, as in Kubo.
    """

    def __init__(self, profile: Profile, *, mode: int | None = None, mtime: Mtime | None = None) -> None:
        mode = mode or None
        if profile.raw_leaves and (mode is not None or mtime is not None):
            raise HoldError("add", Kind.USAGE, profile.name, "raw leaves cannot carry a mode or modification time")
        self._profile = profile
        self.attributes = (mode, mtime)
        self._layers: list[list[Built]] = [[]]  # the children of each unfinished node, leaves first

    def leaf(self, digest: bytes, payload_size: int, block_size: int) -> list[Block]:
        """Take the next leaf by its block's sha2-256 digest; the interior blocks that are complete now."""
        return self._take(0, Built(self._profile.leaf_cid(digest), payload_size, block_size))

    def _take(self, depth: int, child: Built) -> list[Block]:
        done: list[Block] = []
        if depth == len(self._layers):
            self._layers.append([])
        layer = self._layers[depth]
        if len(layer) == self._profile.width:
            built, block = self._node(layer)
            done.append(block)
            self._layers[depth] = layer = []
            done += self._take(depth + 1, built)
        layer.append(child)
        return done

    def _node(self, layer: list[Built], mode: int | None = None, mtime: Mtime | None = None) -> tuple[Built, Block]:
        sizes = tuple([child.size for child in layer])
        data = Data(Type.FILE, filesize=sum(sizes), blocksizes=sizes, mode=mode, mtime=mtime)
        links = [dagpb.encode_link(child.cid, b"", child.tsize) for child in layer]
        block = b"".join(links) + dagpb.encode_data(unixfs.encode(data))
        cid = cid_for(self._profile, block)
        return Built(cid, sum(sizes), sum(child.tsize for child in layer) + len(block)), Block(cid, block)

    def _empty(self) -> tuple[Built, list[Block]]:
        block = b"".join(leaf_wrapping(self._profile, 0, *self.attributes))
        cid = self._profile.leaf_cid(hashlib.sha256(block).digest())
        return Built(cid, 0, len(block)), [Block(cid, block)]

    def _single(self, leaf: Built) -> tuple[Built, list[Block]]:
        prefix, suffix = leaf_wrapping(self._profile, leaf.size, *self.attributes)
        if leaf.tsize != len(prefix) + leaf.size + len(suffix):
            raise ValueError("the only leaf of a file is its root, and has to be wrapped with the file's attributes")
        return leaf, []

    def finish(self) -> tuple[Built, list[Block]]:
        """Return the root, and the blocks that were still open, the root's last. Without leaves, the empty file's."""
        first = self._layers[0]
        if not first:
            return self._empty()
        if len(self._layers) == 1 and len(first) == 1:
            return self._single(first[0])
        blocks: list[Block] = []
        depth = 0
        while True:
            layer = self._layers[depth]
            top = depth == len(self._layers) - 1
            built, block = self._node(layer, *(self.attributes if top else (None, None)))
            blocks.append(block)
            if top:
                return built, blocks
            blocks += self._take(depth + 1, built)
            depth += 1


def build_symlink(profile: Profile, target: bytes | str, mtime: Mtime | None = None) -> tuple[Built, Block]:
    """Return a symbolic link's node. A target that is not UTF-8, or too long for a block, is INVALID."""
    try:
        target = target.encode() if isinstance(target, str) else target
        target.decode()
    except UnicodeError as error:
        raise HoldError("add", Kind.INVALID, repr(target)[:80], "the target of a link is not UTF-8") from error
    data = unixfs.encode(Data(Type.SYMLINK, data=target, mtime=mtime))
    block = dagpb.encode_data(data)
    if len(block) > MAX_BLOCK:
        raise HoldError("add", Kind.INVALID, repr(target[:60]), f"a link's target of {len(target)} bytes")
    cid = cid_for(profile, block)
    return Built(cid, len(target), len(block)), Block(cid, block)
