"""Archives: CAR out and in, and trees as tar. Streams in bounded memory; every block coming in is checked."""

import hashlib
import tarfile
from collections.abc import Callable, Iterator
from typing import BinaryIO

from commonhold.agent.blocks import Blocks, malformed
from commonhold.agent.getting import MAX_DEPTH
from commonhold.agent.streaming import Reader
from commonhold.api import Session
from commonhold.errors import HoldError, Kind
from commonhold.formats import car, multihash
from commonhold.formats.cid import Cid
from commonhold.formats.malformed import Malformed, Unsupported
from commonhold.formats.unixfs import Type
from commonhold.unixfs import read, run

Tell = Callable[[int], None]  # bytes


def export_car(blocks: Blocks, root: Cid, out: BinaryIO, tell: Tell) -> int:
    """Write a graph as a CARv1, each block once, parents first; how many blocks."""
    out.write(car.encode_header([root]))
    written: set[bytes] = set()
    count = 0
    for visited in blocks.walk(root):
        if visited.cid.inline is not None:
            continue
        mark = hashlib.blake2b(visited.cid, digest_size=16).digest()  # half the memory of a CID
        if mark in written:
            continue
        written.add(mark)
        data = visited.data if visited.data is not None else blocks.block(visited.cid)
        out.write(car.encode_section(visited.cid, data))
        tell(len(data))
        count += 1
    return count


class Imported:
    """What an archive held."""

    def __init__(self, roots: list[Cid]) -> None:
        self.roots = roots
        self.blocks = 0
        self.bytes = 0


def import_car(session: Session, source: car.Source, name: str, tell: Tell) -> Imported:
    """Put every block of an archive, each checked against its CID. CORRUPT names the first that is wrong."""
    try:
        reader = car.Reader(source)
        found = Imported(reader.roots)
        for section in reader:
            _put_checked(session, section, name)
            found.blocks += 1
            found.bytes += len(section.data)
            tell(len(section.data))
    except Unsupported as error:
        raise HoldError("import", Kind.UNSUPPORTED, name, str(error), hint="export it as CARv1 or CARv2") from error
    except Malformed as error:
        raise HoldError(
            "import", Kind.INVALID, name, str(error), hint="get the archive again: it is damaged"
        ) from error
    session.flush()
    return found


def _put_checked(session: Session, section: car.Section, name: str) -> None:
    key = section.cid.multihash
    if not multihash.matches(key, section.data):
        why = f"the bytes of block {section.cid} are not what its name says"
        raise HoldError("import", Kind.CORRUPT, name, why, hint="get the archive again: it is damaged")
    if section.cid.inline is None:
        session.put(key, section.data)


class _PieceFile:
    """A file's pieces as tarfile reads them."""

    def __init__(self, reader: Reader, cid: Cid, tell: Tell) -> None:
        self._chunks = self._read(reader, cid, tell)
        self._held = b""

    @staticmethod
    def _read(reader: Reader, cid: Cid, tell: Tell) -> Iterator[bytes]:
        for piece in reader.pieces(cid):
            data = bytes(piece.data)
            reader.give_back(piece)
            tell(len(data))
            yield data

    def read(self, size: int = 0, /) -> bytes:
        """Exactly size bytes, unless the file ends."""
        parts, left = [], size
        while left:
            if not self._held:
                self._held = next(self._chunks, b"")
                if not self._held:
                    break
            part, self._held = self._held[:left], self._held[left:]
            parts.append(part)
            left -= len(part)
        return b"".join(parts)


def export_tar(blocks: Blocks, root: Cid, name: str, out: BinaryIO, tell: Tell) -> int:
    """Write a file or tree as a pax tar below one name; how many entries. Without a stored mtime it is 0."""
    reader = Reader(blocks)
    count = 0
    try:
        with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive:
            stack: list[Iterator[tuple[str, Cid]]] = [iter([(name, root)])]
            while stack:
                item = next(stack[-1], None)
                if item is None:
                    stack.pop()
                    continue
                path, cid = item
                count += 1
                info = blocks.stat(cid)
                member = _member(path, info)
                if len(stack) > MAX_DEPTH:
                    raise HoldError("get", Kind.TOO_LARGE, str(root), f"nested deeper than {MAX_DEPTH} directories")
                if member.isdir():
                    archive.addfile(member)
                    stack.append(_below(blocks, path, cid))
                elif member.issym():
                    archive.addfile(member)
                else:
                    archive.addfile(member, _PieceFile(reader, cid, tell))
    finally:
        reader.close()
    return count


def _below(blocks: Blocks, path: str, cid: Cid) -> Iterator[tuple[str, Cid]]:
    with malformed("get", cid):
        for entry in run.items(read.listing(cid), blocks.fetch):
            yield f"{path}/{entry.name}", entry.cid


def _member(path: str, info: read.Info) -> tarfile.TarInfo:
    member = tarfile.TarInfo(path)
    if info.mtime is not None:
        member.mtime = info.mtime.seconds
    if info.type in (Type.DIRECTORY, Type.HAMT):
        member.type, member.mode = tarfile.DIRTYPE, 0o755
    elif info.type is Type.SYMLINK:
        member.type, member.mode, member.linkname = tarfile.SYMTYPE, 0o777, info.target or ""
    else:
        member.size, member.mode = info.size, 0o644
    if info.mode is not None:
        member.mode = info.mode & 0o777
    return member
