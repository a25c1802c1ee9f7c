"""What an agent hands to its host's tender for one grid, so that what its user keeps there is looked after meanwhile.

Warrants begin and end as the credentials do beside which they are shown: they say nothing new to anybody.
docs/spec/tender.md.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from commonhold.crypto.statements import signed
from commonhold.exchange.badge import Badge
from commonhold.exchange.book import Book
from commonhold.formats import credential
from commonhold.formats.blessing import STORAGE
from commonhold.formats.charge import (
    MAX_CREDENTIALS,
    MAX_LISTS,
    MAX_PACKS,
    MAX_SEATS,
    MAX_SETS,
    Bundle,
    Charge,
    Entrusted,
    Seat,
)
from commonhold.formats.credential import Warrant
from commonhold.formats.keys import PublicKey
from commonhold.formats.pin import GridId, SpkiPin
from commonhold.formats.statement import Kind, decode
from commonhold.grids import files, membership
from commonhold.grids.client import GridClient
from commonhold.grids.member import Member
from commonhold.grids.membership import Membership, Mode
from commonhold.grids.rounds import BOOK

Keys = Callable[[GridId, list[SpkiPin]], list[PublicKey]]  # the tender's, at servers


def charge_of(of: Membership, uid: int, keys: Keys, now: Callable[[], int]) -> Charge | None:
    """Return what is handed over for a grid now. None: nothing, as nothing is kept there, or its user wants none."""
    if of.mode is not Mode.ACCOUNT or of.keep.alone or not (of.directory / BOOK).exists():
        return None
    with contextlib.closing(Book(of.directory / BOOK)) as book:
        sets = tuple(_entrusted(book))
    if not sets:
        return None
    with contextlib.closing(Member(of, uid)) as member:
        client = GridClient(member, uid, now, os.urandom)
        badges = [(one.pin, member.badge(one.pin)) for one in client.known() if one.read.allowed]
        having = sorted((pin, badge) for pin, badge in badges if badge is not None)[:MAX_SEATS]
        lists = tuple(sorted(member.lists().kept))[:MAX_LISTS]
    if not having:
        return None
    made = [
        _seat(of.grid, pin, badge, key)
        for (pin, badge), key in zip(having, keys(of.grid, [pin for pin, _ in having]), strict=True)
    ]
    anybodys = replace(of, mode=Mode.NONE, account="", serves=())
    return Charge(
        of.grid,
        max(end for _, end in made),
        membership.text(anybodys).encode(),
        files.read_override(of.directory, uid),
        lists,
        tuple(_shown(of.directory, uid, {pin for pin, _ in having})),
        tuple(seat for seat, _ in made),
        sets,
    )


def _seat(grid: GridId, server: SpkiPin, badge: Badge, holder: PublicKey) -> tuple[Seat, int]:
    """What lets the tender in at a server, and until when."""
    shown = badge.credentials[:MAX_CREDENTIALS]
    longest = credential.parse(decode(Kind.CREDENTIAL, shown[0]))
    warrant = Warrant(grid, server, holder, longest.not_before, longest.not_after)
    return Seat(server, shown, signed(Kind.WARRANT, warrant.body, badge.key).encoded), longest.not_after


def _shown(directory: Path, uid: int, of: set[SpkiPin]) -> Iterator[bytes]:
    """The newest announcement of each of these servers, as far as introducers have shown one."""
    newest: dict[SpkiPin, tuple[int, bytes]] = {}
    for cache in files.read(directory, uid).caches:
        for clause in cache.clauses.values():
            for copy in clause.copies:
                if copy.said is not None and copy.said.purpose == STORAGE and clause.server in of:
                    newest[clause.server] = max(newest.get(clause.server, (-1, b"")), (copy.said.sequence, copy.data))
    return (data for _, (_, data) in sorted(newest.items()))


def _entrusted(book: Book) -> Iterator[Entrusted]:
    """All sets that there is room for, those kept last first. One whose inventory is another name's is that one."""
    left = MAX_PACKS
    for kept in sorted(book.sets(), key=lambda one: (-one.made, one.name))[:MAX_SETS]:
        of = book.inventory(kept)
        packs = [] if of is None else [of[0], *book.packs(kept.name)]
        if packs and len(packs) <= left:
            left -= len(packs)
            bundles = tuple(Bundle(one.seed, one.length, one.k, one.n) for one in packs)
            yield Entrusted(kept.made, kept.until, bundles)
