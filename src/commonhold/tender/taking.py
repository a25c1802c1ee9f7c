"""A charge taken: what it says is checked, and written down as a ward's files. Whoever calls may be anybody's program.

docs/spec/tender.md.
"""

import tomllib
from pathlib import Path
from typing import Final

from commonhold.authority.lists import Lists
from commonhold.crypto import sign
from commonhold.errors import HoldError, Kind, os_errors
from commonhold.exchange.book import Book, KeptSet
from commonhold.formats import credential
from commonhold.formats.charge import Charge, Entrusted, Seat
from commonhold.formats.hint import UnixHint
from commonhold.formats.inventory import Packed
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import SpkiPin
from commonhold.formats.statement import Kind as Said
from commonhold.formats.statement import decode
from commonhold.grids import files, membership, reading, writing
from commonhold.grids.membership import Membership, Mode
from commonhold.grids.rounds import BOOK
from commonhold.host import disk
from commonhold.tender.keys import holder_seed
from commonhold.tender.ward import CHARGE, HERE, UNTIL, Ward

AGENT: Final = SpkiPin(bytes(32))  # in whose name what an agent knew of servers is cached
LONGEST: Final = 400 * 86_400  # seconds that a charge is good for, whatever it says


def take(ward: Ward, charge: Charge, now: int) -> None:
    """Write a charge down in place of the one before, on disk on return. INVALID, USAGE; what the disk says."""
    said = _membership(ward.directory, charge)
    for seat in charge.seats:
        _check(ward, charge, seat)
    if not now < charge.until <= now + LONGEST:
        raise _refused("it is over, or ends too late")
    try:
        lists = _lists(ward, said, charge)
        entries = writing.renewed((), charge.shown, {}, now)
    except Malformed as error:
        raise _refused(str(error)) from error
    with os_errors("write", str(ward.directory)):
        disk.make_directory(ward.directory, 0o700)
        disk.replace_file(str(ward.directory / membership.FILE), charge.membership)
        disk.replace_file(str(ward.directory / reading.OVERRIDE), charge.override)
    files.write_lists(ward.directory, lists)
    files.write_cache(ward.directory, AGENT, entries, said.rules)
    note(ward.directory, charge.sets)
    with os_errors("write", str(ward.directory)):
        disk.replace_file(str(ward.directory / UNTIL), b"%d\n" % charge.until)
        disk.replace_file(str(ward.directory / HERE), b"%d\n" % now)  # whoever hands something over is not away
        disk.replace_file(str(ward.directory / CHARGE), charge.encoded)  # last: without it there is no ward


def note(directory: Path, sets: tuple[Entrusted, ...]) -> None:
    """Have a ward's book say what a charge does: what was seen of sets that are as they were stays."""
    book = Book(directory / BOOK)
    try:
        book.mirror([(_kept(one), [Packed(p.seed, p.length, p.k, p.n, b"") for p in one.packs]) for one in sets])
    finally:
        book.close()


def _kept(one: Entrusted) -> KeptSet:
    return KeptSet(one.seed.hex(), one.seed, one.packs[0].k, one.packs[0].n, one.made, one.until)


def _membership(directory: Path, charge: Charge) -> Membership:
    """How the grid is taken part in. Nothing of it may lead to sockets of this host, where a tender is not its user."""
    try:
        said = membership.parse(directory, tomllib.loads(charge.membership.decode()))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _refused("its membership is no TOML") from error
    if said.grid != charge.grid or said.mode is not Mode.NONE:
        raise _refused("its membership is another grid's, or has an account")
    override = reading.override(charge.override)
    named = [
        hint
        for clause in override.clauses.values()
        for marked in (clause.local.hints, clause.local.add_hints, *(copy.addresses for copy in clause.copies))
        for hint in (marked.value if marked is not None else ())
    ]
    if any(isinstance(one, UnixHint) for one in (*named, said.rules.tor, said.rules.i2p)):
        raise _refused("it names a socket of this host, which a tender does not dial")
    return said


def _check(ward: Ward, charge: Charge, seat: Seat) -> None:
    """Whether a warrant is for the key that the tender has there. All else about it is the server's to judge."""
    try:
        said = credential.parse_warrant(decode(Said.WARRANT, seat.warrant))
    except Malformed as error:
        raise _refused(str(error)) from error
    own = sign.public_key(holder_seed(ward.secret, ward.uid, charge.grid, seat.server))
    if (said.grid, said.server, said.holder) != (charge.grid, seat.server, own):
        raise _refused("a warrant in it is for another holder, server or grid")


def _lists(ward: Ward, said: Membership, charge: Charge) -> Lists:
    there = ward.directory.exists()
    found = files.read_lists(ward.directory, said.trust, ward.owner) if there else Lists(said.trust.watched)
    for statement in charge.lists:
        found.take(statement)
    return found


def _refused(why: str) -> HoldError:
    return HoldError("take charge", Kind.INVALID, "charge", why)
