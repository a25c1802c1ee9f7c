"""What people name things by: `CID[/path]`, `/ipns/NAME[/path]`, and `CAPABILITY[/path]` for what is sealed."""

from typing import NamedTuple

from commonhold.agent.blocks import Blocks, Source, malformed, parse_path, split_path
from commonhold.errors import HoldError, Kind
from commonhold.formats import capability as capabilities
from commonhold.formats.capability import ReadCapability, VerifyCapability
from commonhold.formats.cid import Cid
from commonhold.formats.malformed import Malformed


class Named(NamedTuple):
    """A root, and a path below it."""

    root: Cid | ReadCapability | VerifyCapability
    path: list[str]


class Found(NamedTuple):
    """The blocks that something is among, and its name there."""

    blocks: Blocks
    cid: Cid


def parse_name(text: str) -> Named:
    """Return what a word of a command names. USAGE for what is neither CID nor capability."""
    if not capabilities.looks_like(text):
        return Named(*parse_path(text))
    first, _, rest = text.partition("/")
    try:
        return Named(capabilities.parse_text(first), split_path(rest))
    except Malformed as error:
        hint = "copy the whole of it, as hold add --sealed printed it"
        raise HoldError("read", Kind.USAGE, f"{first[:10]}…", str(error), hint=hint) from error


def find(named: Named, blocks: Blocks) -> Found:
    """Open what is named among the blocks of a store. DENIED for a verify capability."""
    if isinstance(named.root, ReadCapability):
        return _below(named.root, named.path, blocks.store)
    if isinstance(named.root, VerifyCapability):
        why = "a verify capability opens nothing"
        raise HoldError("read", Kind.DENIED, str(named.root.cid), why, hint="ask its owner for the read capability")
    return Found(blocks, blocks.resolve(named.root, named.path))


def _below(capability: ReadCapability, path: list[str], store: Source) -> Found:
    from commonhold.agent.sealed import open_sealed

    opened, root = open_sealed(store, capability)
    return Found(opened, opened.resolve(root, path))


def unread(named: Named, store: Source) -> VerifyCapability | None:
    """The right to list and check what is named, if it is sealed; None for a CID. Reads only what a path needs."""
    if isinstance(named.root, Cid):
        return None
    if isinstance(named.root, VerifyCapability):
        if named.path:
            why = "a verify capability knows no names"
            raise HoldError("read", Kind.DENIED, str(named.root.cid), why, hint="leave out the path")
        return named.root
    from commonhold.agent.sealed import capability_of
    from commonhold.sealing.seal import verify_capability

    capability = named.root
    if named.path:
        below = _below(capability, named.path, store).cid
        with malformed("read", below):
            capability = capability_of(below)
    return verify_capability(capability)
