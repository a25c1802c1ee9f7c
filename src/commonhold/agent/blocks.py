"""Blocks for plans: answers a Want from a block store, and keeps or lists whole graphs."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Protocol, TypeAlias

from commonhold.api import Pin, Session
from commonhold.errors import HoldError, Kind
from commonhold.formats import cid as cids
from commonhold.formats import link as links
from commonhold.formats.cid import Cid
from commonhold.formats.malformed import Malformed, Unsupported
from commonhold.formats.multihash import Multihash
from commonhold.formats.unixfs import Type
from commonhold.unixfs import read, run

_KEPT_AT_ONCE = 1024

Follow: TypeAlias = Callable[[Cid, Sequence[str]], tuple[Cid, Sequence[str]]]
"""Whoever can say what an IPNS name, given as its CID, and a path below it point at."""


class Source(Protocol):
    """The part of an `api.BlockStore` that reading needs."""

    def size(self, key: Multihash) -> int: ...

    def get(self, key: Multihash) -> bytes: ...

    def read_into(self, key: Multihash, into: memoryview) -> int: ...

    def expect(self, keys: Iterable[Multihash]) -> None: ...


class Blocks:
    """A store as the plans see it: `fetch` is an `api.Fetch`."""

    def __init__(self, store: Source, names: Follow | None = None) -> None:
        self.store = store
        self._names = names

    def fetch(self, cids: Sequence[Cid]) -> Iterable[bytes]:
        """The blocks of these CIDs, checked, in order."""
        if len(cids) > 1:
            self.expect(cids)
        return [self.block(cid) for cid in cids]

    def expect(self, cids: Sequence[Cid]) -> None:
        """Say which blocks will be asked for soon. A store that does not care has no work of it."""
        self.store.expect(cid.multihash for cid in cids if cid.inline is None)

    def block(self, cid: Cid) -> bytes:
        """One block; the content of an inline CID is in its name."""
        inline = cid.inline
        if inline is not None:
            return inline
        try:
            return self.store.get(cid.multihash)
        except HoldError as error:
            if error.kind is Kind.NOT_FOUND:
                raise HoldError("get", Kind.NOT_FOUND, str(cid), "not in this store") from error
            raise
        except Unsupported as error:
            raise HoldError("get", Kind.UNSUPPORTED, str(cid), error.why) from error

    def follow(self, cid: Cid, path: Sequence[str]) -> tuple[Cid, Sequence[str]]:
        """The same, or if it is a name, what that points at."""
        if cid.codec != cids.LIBP2P_KEY:
            return cid, path
        if self._names is None:
            raise HoldError("resolve", Kind.UNSUPPORTED, str(cid), "names are not known here")
        return self._names(cid, path)

    def resolve(self, cid: Cid, path: Sequence[str]) -> Cid:
        """The CID at a path below another, or below a name."""
        cid, path = self.follow(cid, path)
        with malformed("resolve", cid):
            return run.run(read.resolve(cid, path), self.fetch)

    def stat(self, cid: Cid) -> read.Info:
        """What a UnixFS node is. Of a raw leaf its length is all there is to say, and it is not read for that."""
        if cid.codec == cids.RAW and cid.inline is None:
            try:
                return read.Info(Type.FILE, self.store.size(cid.multihash), 0, None, None, None)
            except HoldError as error:
                raise HoldError("stat", error.kind, str(cid), error.why) from error
        with malformed("stat", cid):
            return run.run(read.stat(cid), self.fetch)

    def walk(self, root: Cid) -> Iterator[read.Visited]:
        """Every block of a graph, parents first."""
        with malformed("walk", root):
            yield from run.items(read.walk(root), self.fetch)

    def keep_graph(self, session: Session, root: Cid) -> int:
        """Have a session keep every block of a graph; how many. NOT_FOUND names the first that is missing."""
        return keep_all(session, root, self._all_of(root))

    def _all_of(self, root: Cid) -> Iterator[Cid]:
        try:
            for visited in self.walk(root):
                yield visited.cid
        except HoldError as error:
            if error.kind is not Kind.NOT_FOUND:
                raise
            raise _incomplete(root, error.subject) from error

    def keep_if_whole(self, session: Session, root: Cid) -> bool:
        """Have a session keep a graph if all of it is here; whether it is."""
        if root.codec == cids.RAW:
            return root.inline is not None or session.keep(root.multihash)
        try:
            self.keep_graph(session, root)
        except HoldError:
            return False
        return True

    def pin(self, session: Session, root: Cid, name: str) -> Pin:
        """Pin a graph that is here, whole, by a session of its own."""
        try:
            self.keep_graph(session, root)
            return session.commit(name, root)
        finally:
            session.close()


def keep_all(session: Session, root: Cid, blocks: Iterable[Cid]) -> int:
    """Have a session keep a root's blocks, many in one go; how many. NOT_FOUND names the first that is missing."""
    count = 0
    left = iter(blocks)
    while batch := list(islice(left, _KEPT_AT_ONCE)):
        count += len(batch)
        named = [cid for cid in batch if cid.inline is None]
        for cid, kept in zip(named, session.keep_all([cid.multihash for cid in named]), strict=True):
            if not kept:
                raise _incomplete(root, str(cid))
    return count


def _incomplete(root: Cid, block: str) -> HoldError:
    return HoldError("pin", Kind.NOT_FOUND, str(root), f"incomplete: block {block} is not in this store")


class malformed:  # noqa: N801  (a context manager, read as a phrase)
    """Run a block in which `Malformed` is about one CID."""

    def __init__(self, op: str, cid: Cid) -> None:
        self._op = op
        self._cid = cid

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Unsupported):
            raise HoldError(self._op, Kind.UNSUPPORTED, str(self._cid), str(error)) from error
        if isinstance(error, Malformed):
            raise HoldError(self._op, Kind.INVALID, str(self._cid), str(error)) from error


def parse_path(text: str) -> tuple[Cid, list[str]]:
    """Return the CID and the path of `CID`, `CID/a/b`, `/ipfs/CID/a/b` or `/ipns/NAME/a/b`: a name has a CID too."""
    named = text.startswith(("/ipns/", "ipns://"))
    kind = "ipns" if named else "ipfs"
    bare = text.removeprefix(f"{kind}://").removeprefix(f"/{kind}/")
    first, _, rest = bare.partition("/")
    if links.is_secret(first):  # a secret, so no message repeats it
        raise HoldError(
            "read", Kind.USAGE, f"{first[:10]}…", "a CID is wanted here, not a capability", hint="hold get takes it"
        )
    try:
        cid = _name_cid(first) if named else cids.parse_text(first)
        if cid.codec == cids.LIBP2P_KEY and not named:
            raise Malformed("path", f"a name is written /ipns/{first}")
    except Malformed as error:
        hint = "a CID as hold add printed it, or as hold pin ls lists it"
        raise HoldError("read", Kind.USAGE, repr(first)[:120], str(error), hint=hint) from error
    return cid, split_path(rest)


def _name_cid(text: str) -> Cid:
    from commonhold.formats import ipns  # most commands meet no name

    return ipns.parse_name(text).cid


def split_path(text: str) -> list[str]:
    """Return the segments of a path below a root."""
    path = [segment for segment in text.split("/") if segment]
    for segment in path:
        if segment in (".", "..") or "\0" in segment:
            raise HoldError("read", Kind.USAGE, repr(text)[:120], f"{segment!r} cannot be part of a path below a CID")
    return path
