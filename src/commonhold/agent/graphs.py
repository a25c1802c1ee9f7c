"""Blocks and graphs of any codec: `calls.Graphs` over an open repository."""

from commonhold.agent.blocks import malformed, parse_path
from commonhold.agent.naming import unread
from commonhold.agent.opened import Opened
from commonhold.calls import Imported, Measure, Open, Watcher
from commonhold.errors import HoldError, Kind, os_errors
from commonhold.formats import cid as cids
from commonhold.formats import dagcbor, multihash
from commonhold.formats.cid import Cid
from commonhold.formats.malformed import Malformed
from commonhold.host import passed
from commonhold.unixfs.nodes import children


class LocalGraphs:
    """See `calls.Graphs`."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self._store = opened.store

    # ── blocks ──

    def put_block(self, data: bytes, codec: str, hashing: str, name: str | None) -> Cid:
        """See `calls.Graphs`."""
        try:
            cid = cids.make_v1(cids.codec_of(codec), multihash.compute(multihash.code_of(hashing), data))
            if cid.codec in (cids.DAG_PB, cids.DAG_CBOR, cids.DAG_JSON):
                children(cid, data)  # refuse what is not of its codec
        except Malformed as error:
            hint = "--codec raw takes any bytes"
            raise HoldError("block put", Kind.INVALID, "the block", str(error), hint=hint) from error
        if cid.inline is None:
            session = self._store.session()
            try:
                session.put(cid.multihash, data)
                session.flush()
            finally:
                session.close()
        if name:
            self._opened.blocks.pin(self._store.session(), cid, name)
        return cid

    def block(self, cid: str) -> bytes:
        """See `calls.Graphs`."""
        found = _alone("block get", cid)
        with malformed("block get", found):
            return self._opened.blocks.block(found)

    def block_size(self, cid: str) -> int:
        """See `calls.Graphs`."""
        found = _alone("block stat", cid)
        inline = found.inline
        with malformed("block stat", found):
            return len(inline) if inline is not None else self._store.size(found.multihash)

    def delete_block(self, cid: str) -> int:
        """See `calls.Graphs`."""
        found = _alone("block rm", cid)
        if found.inline is not None:
            why = "carries its content in its name: nothing is stored"
            raise HoldError("block rm", Kind.USAGE, str(found), why, hint="there is nothing to remove")
        with malformed("block rm", found):
            return self._store.delete(found.multihash)

    # ── graphs ──

    def node(self, what: str) -> tuple[Cid, str]:
        """See `calls.Graphs`."""
        from commonhold.agent.nodes import get_node

        blocks = self._opened.blocks
        cid, below = blocks.follow(*parse_path(what))
        return cid, dagcbor.to_json(get_node(blocks, cid, below))

    def measure(self, what: str) -> Measure:
        """See `calls.Graphs`."""
        named = self._opened.named(what)
        capability = unread(named, self._store)
        if capability is not None:
            from commonhold.agent.unread import sealed_size

            return Measure(capability.cid, *sealed_size(self._store, capability))
        from commonhold.agent.nodes import graph_size

        root = self._opened.find(named).cid
        return Measure(root.plain, *graph_size(self._opened.blocks, root))

    # ── archives ──

    def export(self, what: str, into: Open, watcher: Watcher) -> Measure:
        """See `calls.Graphs`."""
        from commonhold.agent.archiving import export_car

        blocks = self._opened.blocks
        root = blocks.resolve(*parse_path(what))
        size = 0

        def tell(count: int) -> None:
            nonlocal size
            size += count
            watcher.bytes(count)

        with passed.writing(into) as sink:
            return Measure(root, export_car(blocks, root, sink, tell), size)

    def take(self, source: Open, name: str | None, pin: bool, watcher: Watcher) -> Imported:
        """See `calls.Graphs`."""
        from commonhold.agent.archiving import import_car

        session = self._store.session()
        try:
            with os_errors("import", source.said), passed.reading(source) as stream:
                found = import_car(session, stream, source.said, watcher.bytes)
            if name and len(found.roots) != 1:
                why = f"has {len(found.roots)} roots, --name names one"
                raise HoldError("import", Kind.USAGE, source.said, why, hint="leave out --name")
            for root in found.roots if pin else []:
                self._opened.blocks.pin(self._store.session(), root, name or str(root))
        finally:
            session.close()
        return Imported(list(found.roots), found.blocks, found.bytes)


def _alone(op: str, text: str) -> Cid:
    """The CID that a text is, without a path."""
    cid, path = parse_path(text)
    if path or cid.codec == cids.LIBP2P_KEY:
        raise HoldError(op, Kind.USAGE, text, "a CID alone, without a path", hint="hold dag get takes paths")
    return cid
