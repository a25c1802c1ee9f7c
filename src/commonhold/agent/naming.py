"""What people name things by: `CID[/path]`, `/ipns/NAME[/path]`; `CAPABILITY[/path]`, `LINK[/path]` if it is sealed."""

from typing import NamedTuple

from commonhold.agent.blocks import Blocks, Source, malformed, parse_path, split_path
from commonhold.errors import HoldError, Kind
from commonhold.formats import capability as capabilities
from commonhold.formats import link as links
from commonhold.formats.capability import ReadCapability, VerifyCapability
from commonhold.formats.cid import Cid
from commonhold.formats.link import Link, SealedLink
from commonhold.formats.malformed import Malformed


class Named(NamedTuple):
    """A root, and a path below it."""

    root: Cid | ReadCapability | VerifyCapability | Link | SealedLink
    path: list[str]


class Found(NamedTuple):
    """The blocks that something is among, and its name there."""

    blocks: Blocks
    cid: Cid


def parse_name(text: str) -> Named:
    """Return what a word of a command names. USAGE for what is neither CID nor capability nor link."""
    if not links.is_secret(text):
        return Named(*parse_path(text))
    first, _, rest = text.partition("/")
    try:
        root = links.parse(first) if links.looks_like(first) else capabilities.parse_text(first)
        return Named(root, split_path(rest))
    except Malformed as error:
        printed = "hold share" if links.looks_like(first) else "hold add --sealed"
        hint = f"copy the whole of it, as {printed} printed it"
        raise HoldError("read", Kind.USAGE, f"{first[:10]}…", str(error), hint=hint) from error


def find(named: Named, blocks: Blocks) -> Found:
    """Open what is named among the blocks of a store. Sealed links were opened before. DENIED for a verify one."""
    assert not isinstance(named.root, SealedLink)
    if isinstance(named.root, Link):
        return _below(named.root.capability, named.path, blocks.store)
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
    """The right to list and check what is named, if it is sealed; None for a CID. Reads only what a path needs.

    A sealed link was opened before.
    """
    assert not isinstance(named.root, SealedLink)
    if isinstance(named.root, Cid):
        return None
    if isinstance(named.root, VerifyCapability):
        if named.path:
            why = "a verify capability knows no names"
            raise HoldError("read", Kind.DENIED, str(named.root.cid), why, hint="leave out the path")
        return named.root
    from commonhold.sealing.seal import verify_capability

    capability = named.root.capability if isinstance(named.root, Link) else named.root
    return verify_capability(capability_below(capability, named.path, store))


def capability_below(capability: ReadCapability, path: list[str], store: Source) -> ReadCapability:
    """The right to read what is at a path below a sealed root."""
    if not path:
        return capability
    from commonhold.agent.sealed import capability_of

    below = _below(capability, path, store).cid
    with malformed("read", below):
        return capability_of(below)
