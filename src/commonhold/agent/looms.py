"""What becomes of the leaves and nodes of a snapshot: sealed or plain blocks of one session."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from commonhold.api import Block, Session
from commonhold.errors import HoldError, Kind
from commonhold.formats import cid as cids
from commonhold.formats.cid import Cid
from commonhold.formats.multihash import from_sha2_256_digest
from commonhold.sealing.block import NO_KEY, Header, Row
from commonhold.sealing.links import targets
from commonhold.sealing.seal import Sealer
from commonhold.volume.vault import Sealed

_AT_ONCE = 1024


class Woven(NamedTuple):
    """What something became: its plain CID, bytes of content and of all blocks; if sealed, the row for its parent."""

    cid: Cid
    size: int
    tsize: int
    row: Row | None

    @property
    def digest(self) -> bytes:
        """That of the block in the store."""
        return self.row.digest if self.row is not None else self.cid.multihash.digest


class Missing(Exception):
    """What should be in the store is not."""


class Loom(Protocol):
    """Puts blocks into a session, or has it keep what is there. Blocks have sha2-256 digests."""

    kind: str
    session: Session

    def leaf(self, content: bytes) -> Woven: ...

    def stored(self, block: Sealed) -> Woven:
        """What a volume has stored, as a leaf."""
        ...

    def node(self, block: Block, rows: Mapping[Cid, Row]) -> Row | None:
        """A dag-pb node, by the rows of what it links to."""
        ...

    def keep(self, digests: Sequence[bytes]) -> None:
        """Have blocks kept. Missing, at the latest by `settle`."""
        ...

    def settle(self) -> None: ...


class _Keeping:
    """The part of a loom that keeps: many blocks at once."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._waiting: list[bytes] = []

    def keep(self, digests: Sequence[bytes]) -> None:
        """See `Loom`."""
        self._waiting += digests
        if len(self._waiting) >= _AT_ONCE:
            self.settle()

    def settle(self) -> None:
        """See `Loom`."""
        waiting, self._waiting = list(dict.fromkeys(self._waiting)), []
        for at in range(0, len(waiting), _AT_ONCE):
            keys = [from_sha2_256_digest(digest) for digest in waiting[at : at + _AT_ONCE]]
            if not all(self.session.keep_all(keys)):
                raise Missing


class SealedLoom(_Keeping):
    """Seals under a convergence secret: what a volume has stored is taken as it is."""

    kind = "sealed"

    def __init__(self, session: Session, secret: bytes) -> None:
        super().__init__(session)
        self._sealer = Sealer(secret)

    def leaf(self, content: bytes) -> Woven:
        """See `Loom`."""
        digest = hashlib.sha256(content).digest()
        row = self._seal(content, digest, Header(1, cids.RAW, len(content), 0), ())
        return Woven(cids.from_digest(cids.RAW, digest), len(content), len(content), row)

    def stored(self, block: Sealed) -> Woven:
        """See `Loom`."""
        self.keep([block.digest])
        row = Row(block.digest, 0, block.key, NO_KEY, block.length)
        return Woven(cids.from_digest(cids.RAW, block.plain), block.length, block.length, row)

    def node(self, block: Block, rows: Mapping[Cid, Row]) -> Row:
        """See `Loom`."""
        below = [rows[cid] for cid in targets(block.data)]
        header = Header(1, cids.DAG_PB, len(block.data), len(below))
        return self._seal(block.data, block.cid.multihash.digest, header, below)

    def _seal(self, content: bytes, digest: bytes, header: Header, below: Sequence[Row]) -> Row:
        sealed = self._sealer.node(content, digest, header, below)
        self.session.put(from_sha2_256_digest(sealed.row.digest), sealed.data)
        return sealed.row


class PlainLoom(_Keeping):
    """Puts blocks as they are. `fetch` gives the content of what a volume has stored."""

    kind = "plain"

    def __init__(self, session: Session, fetch: Callable[[Sealed], bytes]) -> None:
        super().__init__(session)
        self._fetch = fetch

    def leaf(self, content: bytes) -> Woven:
        """See `Loom`."""
        cid = cids.from_digest(cids.RAW, hashlib.sha256(content).digest())
        self.session.put(cid.multihash, content)
        return Woven(cid, len(content), len(content), None)

    def stored(self, block: Sealed) -> Woven:
        """See `Loom`."""
        cid = cids.from_digest(cids.RAW, block.plain)
        if not self.session.keep(cid.multihash):
            self.session.put(cid.multihash, self._content(block))
        return Woven(cid, block.length, block.length, None)

    def _content(self, block: Sealed) -> bytes:
        content = self._fetch(block)
        if hashlib.sha256(content).digest() != block.plain:
            raise HoldError("snapshot", Kind.CORRUPT, block.digest.hex(), "its content is not what it was")
        return content

    def node(self, block: Block, rows: Mapping[Cid, Row]) -> None:
        """See `Loom`."""
        self.session.put(block.cid.multihash, block.data)
