"""Looks at a grid that was joined, for `health` to judge: its files, and everybody who is to answer, all at once.

Nothing is changed here. Who is anonymous calls nobody: many calls in one moment would tell that they have one client.
Then only the proxy's port is looked at. REQUIREMENTS D10, D20.
"""

import asyncio
import contextlib
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from commonhold.authority import times
from commonhold.authority.judging import Reason
from commonhold.authority.lists import Lists
from commonhold.errors import HoldError
from commonhold.exchange import tending
from commonhold.exchange.book import Book, KeptSet
from commonhold.exchange.tending import Care, State
from commonhold.formats import blessing, credential
from commonhold.formats.blessing import STORAGE
from commonhold.formats.charter import Blesser
from commonhold.formats.keys import PublicKey
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import SpkiPin
from commonhold.formats.statement import Kind as Said
from commonhold.formats.statement import decode
from commonhold.grids import accounts, broker, files, holder, looking, membership, policies
from commonhold.grids.accounts import AccountAsker
from commonhold.grids.asking import MAX_SEATS
from commonhold.grids.broker import Ground
from commonhold.grids.files import Files
from commonhold.grids.known import Known, KnownServer
from commonhold.grids.looking import Called, World, blesser_name, introducer_name, server_name
from commonhold.grids.member import lists_of
from commonhold.grids.membership import Membership, Mode
from commonhold.grids.seen import Account, Apart, Asked, How, Lease, ListSeen, Look, Seat, Seen, ServerSeen
from commonhold.grids.standing import FILE, Standing
from commonhold.host.private import refuse_shared

BOOK: Final = "kept.sqlite"
_MOST: Final = 64  # servers that are called
_PRIVATE: Final = (membership.FILE, holder.SECRET, holder.TICKET, FILE, BOOK, policies.FILE)


# ── the files ──


@dataclass(frozen=True, slots=True)
class Disk:
    """What a grid's files say. `statements` are credentials, by the server that they are about."""

    membership: Membership
    files: Files
    known: Known
    lists: Lists
    shared: tuple[HoldError, ...]
    statements: dict[bytes, list[bytes]] = field(default_factory=dict)
    ticket: bool = False
    leases: tuple[Lease, ...] = ()
    policies: tuple[tuple[str, str | None], ...] = ()

    @property
    def closed(self) -> bool:
        """Whether the account's secret is not to be used, as others could have read it."""
        return any(Path(error.subject).name in (holder.SECRET, holder.TICKET) for error in self.shared)

    @property
    def servers(self) -> tuple[KnownServer, ...]:
        """Those for storage that somebody who counts has blessed, or the user names. Strangers may be many."""
        return tuple(
            one
            for one in self.known.servers
            if one.purpose == STORAGE and (one.read.allowed or any(address.named for address in one.addresses))
        )


def on_disk(directory: Path, world: World) -> Disk:
    """Read a grid's files. Errors as `membership.load` and `files.read` have them: nothing can be told then."""
    found = membership.load(directory)
    there = (directory / FILE).exists()
    lists = lists_of(found, world.owner) if there else files.read_lists(directory, found.trust, world.owner)
    read = files.read(directory, world.owner)
    known = broker.known(read.caches, read.override, Ground(found.trust, found.rules, lists, world.now))
    disk = Disk(
        found,
        read,
        known,
        lists,
        shared(directory, world.owner),
        leases=kept(directory, world.now),
        policies=policies.late(directory, world.now),
    )
    if found.mode is not Mode.ACCOUNT:
        return disk
    return replace(disk, statements=_statements(directory), ticket=(directory / holder.TICKET).exists())


def shared(directory: Path, owner: int) -> tuple[HoldError, ...]:
    """What of a grid's private files others can get at."""
    found: list[HoldError] = []
    for path, kind in [(directory, stat.S_IFDIR), *((directory / name, stat.S_IFREG) for name in _PRIVATE)]:
        try:
            refuse_shared("read", path.lstat(), path, owner, kind)
        except FileNotFoundError:
            continue
        except HoldError as error:
            found.append(error)
    return tuple(found)


def kept(directory: Path, now: int) -> tuple[Lease, ...]:
    """What is kept on a grid, and how it was when it was last looked at."""
    if not (directory / BOOK).exists():
        return ()
    with contextlib.closing(Book(directory / BOOK)) as book:
        cares = book.cares()
        return tuple(_lease(one, cares.get(one.name), now) for one in book.sets())


def _lease(one: KeptSet, care: Care | None, now: int) -> Lease:
    lost = care is not None and care.state is State.MISSING
    return Lease(one.name, one.until, tending.wrong(care, one.made, now), lost)


def _statements(directory: Path) -> dict[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = {}
    if (directory / FILE).exists():
        with contextlib.closing(Standing(directory / FILE)) as standing:
            for given in standing.all():
                found.setdefault(given.about, []).append(given.statement)
    return found


# ── all of it ──


async def seen(disk: Disk, world: World) -> Seen:
    """Call everybody, as far as the rules let, and say what was seen."""
    of = disk.membership
    if of.rules.anonymous:
        untried = tuple(_untried(disk.servers))
        apart = tuple(_early(disk, world.now))
        return replace(_still(disk, world), proxies=await looking.proxies(of.rules), servers=untried, apart=apart)
    heard = Lists(of.trust.watched)
    proxies, introducers, hidden, blessers, called, (account, clocks) = await asyncio.gather(
        looking.proxies(of.rules),
        asyncio.gather(*(looking.introducer(one, of.rules, world) for one in of.charter.introducers)),
        looking.hidden(of, heard, world),
        asyncio.gather(*(looking.blesser(one, of.rules, heard, world) for one in of.charter.blessers)),
        _servers(disk, world),
        _account(disk, world),
    )
    apart = _apart([*_early(disk, world.now), *clocks, *_clocks(blessers), *_clocks(called)])
    return replace(
        _still(disk, world),
        proxies=proxies,
        introducers=tuple(one.look for one in introducers),
        hidden=hidden,
        blessers=tuple(one.look for one in blessers),
        lists=tuple(_lists(disk, heard)),
        account=account,
        servers=(*_seen(disk.servers, called), *_untried(disk.servers[_MOST:])),
        apart=apart,
    )


def _still(disk: Disk, world: World) -> Seen:
    """What is seen without calling anybody."""
    of = disk.membership
    return Seen(
        of.name, str(of.directory), world.now, of.rules, (of.keep.k, of.keep.n), disk.shared,
        (*disk.files.problems, *disk.known.problems), lists=tuple(_lists(disk, Lists(()))), leases=disk.leases,
        policies=disk.policies,
        introducers=tuple(Look(introducer_name(one.pin), How.UNTRIED) for one in of.charter.introducers),
        blessers=tuple(Look(blesser_name(one.key), How.UNTRIED) for one in of.charter.blessers),
    )  # fmt: skip


# ── servers ──


async def _servers(disk: Disk, world: World) -> list[Called]:
    of = disk.membership
    with contextlib.ExitStack() as stack:
        badges = {}
        if of.mode is Mode.ACCOUNT and not disk.closed and (of.directory / FILE).exists():
            standing = stack.enter_context(contextlib.closing(Standing(of.directory / FILE)))
            secret = holder.secret(of.directory)
            badges = {one.pin: accounts.badge(of, secret, standing, one.pin) for one in disk.servers}
    looks = (looking.server(one, badges.get(one.pin), world) for one in disk.servers[:_MOST])
    return list(await asyncio.gather(*looks))


def _seen(servers: Sequence[KnownServer], called: Sequence[Called]) -> Iterator[ServerSeen]:
    for one, how in zip(servers, called, strict=False):
        use = how.use
        quota, used = (use.quota, use.used) if use else (None, None)
        yield ServerSeen(server_name(one), one.upload, how.look, quota, used)


def _untried(servers: Iterable[KnownServer]) -> Iterator[ServerSeen]:
    for one in servers:
        yield ServerSeen(server_name(one), one.upload, Look(server_name(one), How.UNTRIED))


# ── the account ──


async def _account(disk: Disk, world: World) -> tuple[Account | None, tuple[Apart, ...]]:
    """How the account stands; where credentials are missing, blessers are asked what becomes of it."""
    of = disk.membership
    if of.mode is not Mode.ACCOUNT:
        return None, ()
    seats = {one.pin: Seat(server_name(one), _until(disk, one.pin, world.now)) for one in disk.servers if _blessed(one)}
    lacking = [pin for pin, one in seats.items() if one.until is None]
    found = Account(tuple(seats.values()), ticket=disk.ticket)
    if disk.closed or (not lacking and not disk.ticket):
        return found, ()
    requests = _requests(of, lacking, world.now)
    answers = await asyncio.gather(*(looking.asking(one, data, of.rules, world) for one, data in requests))
    for wanted in (Asked.GRANTED, Asked.WAITS, Asked.CLOCK, Asked.REFUSED):
        for asked, why, _ in answers:
            if asked is wanted:
                return replace(found, asked=asked, why=why), tuple(one for _, _, apart in answers for one in apart)
    return found, ()


def _requests(of: Membership, lacking: Sequence[SpkiPin], now: int) -> list[tuple[Blesser, bytes]]:
    """What to ask of which blesser. Nothing of it is kept."""
    with contextlib.closing(Standing(of.directory / FILE)) as standing:
        asker = AccountAsker(of, holder.secret(of.directory), standing, lambda: lacking)
        counsel = asker.counsel()
        return [
            (of.charter.blesser(key), asker.request(key, about[:MAX_SEATS], now))
            for key in of.charter.accounts.blessers
            if (about := [one for one, keys in counsel.wanted.items() if key in keys])
        ]


def _blessed(server: KnownServer) -> bool:
    return any(one.genuine for one in server.upload.seen)


def _until(disk: Disk, server: SpkiPin, now: int) -> int | None:
    """The first second at which too few credentials let the account in; None if that is so now."""
    quorum = disk.membership.charter.accounts
    ends: dict[PublicKey, int] = {}
    for data in disk.statements.get(server, ()):
        try:
            statement = decode(Said.CREDENTIAL, data)
            claim = credential.parse(statement)
        except Malformed:
            continue
        end, revoked = times.end(claim.not_after), disk.lists.revoked(statement.key, claim.grid, claim.serial)
        if statement.key in quorum.blessers and times.begun(claim.not_before, now) and now < end and not revoked:
            ends[statement.key] = max(end, ends.get(statement.key, 0))
    return sorted(ends.values(), reverse=True)[quorum.needed - 1] if len(ends) >= quorum.needed else None


# ── lists and clocks ──


def _lists(disk: Disk, heard: Lists) -> Iterator[ListSeen]:
    """Of each blesser whose word takes a fresh list."""
    of = disk.membership
    fresh = {key for grid in of.trust.grids for rule in grid.rules.values() if rule.fresh for key in rule.blessers}
    for key in sorted(fresh):
        kept, given = disk.lists.newest(key, of.grid), heard.newest(key, of.grid)
        both = Lists(of.trust.watched)
        for data in (*disk.lists.kept, *heard.kept):
            both.take(data)
        yield ListSeen(
            blesser_name(key),
            kept.fresh_until if kept else None,
            both.contradicted(key, of.grid) is not None,
            given.fresh_until if given else None,
        )


def _early(disk: Disk, now: int) -> Iterator[Apart]:
    """What blessers have signed that has not begun by this clock: theirs were ahead of it then."""
    grid = disk.membership.grid
    for server in disk.servers:
        for one, data in zip(server.upload.seen, server.candidate.blessings, strict=False):
            if one.reason is Reason.EARLY and one.blesser is not None:
                yield Apart(blesser_name(one.blesser), _begins(data) - now)
    for by in disk.membership.charter.blessers:
        newest = disk.lists.newest(by.key, grid)
        if newest is not None and not times.begun(newest.issued, now):
            yield Apart(blesser_name(by.key), newest.issued - now)


def _begins(data: bytes) -> int:
    return blessing.parse(decode(Said.BLESSING, data)).not_before


def _clocks(called: Iterable[Called]) -> Iterator[Apart]:
    for one in called:
        yield from one.apart


def _apart(found: Iterable[Apart]) -> tuple[Apart, ...]:
    """Of each who has said anything of its clock, what is the farthest: the others are bounds that are weaker."""
    farthest = {one.who: one for one in sorted(found, key=lambda one: abs(one.seconds))}
    return tuple(farthest[who] for who in sorted(farthest))
