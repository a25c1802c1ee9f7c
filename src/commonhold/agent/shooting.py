"""Making one snapshot: a point in time, traced into blocks, which are pinned and written down."""

import sqlite3
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

from commonhold.agent.chronicle import Chronicle, Entry
from commonhold.agent.looms import Loom, Missing, PlainLoom, SealedLoom, Woven
from commonhold.agent.own import Own
from commonhold.agent.places import text
from commonhold.agent.remembering import FILE, Memory
from commonhold.agent.tracing import KINDS, Tracer
from commonhold.agent.weaving import Attributes, Weaver, of_bytes
from commonhold.api import Session
from commonhold.calls import Shooting, Watcher
from commonhold.errors import HoldError, Kind
from commonhold.formats import cid as cids
from commonhold.formats import supplement
from commonhold.formats.capability import ReadCapability
from commonhold.host.names import shown
from commonhold.trees import ROOT
from commonhold.volume.point import Point
from commonhold.volume.tables import Object, translated

_MAX_NAME = 200  # bytes: a pin's has a prefix


def shoot(own: Own, path: Sequence[bytes], how: Shooting, watcher: Watcher, *, automatic: bool = False) -> Entry:
    """Make a snapshot of what is at a path. EXISTS, NOT_FOUND."""
    volume = own.volume()
    with own.shooting, volume.point() as point:
        now = time.time_ns()
        with chronicle_of(own) as chronicle:
            name = _dated(chronicle, now, automatic=automatic) if how.name is None else how.name
            chronicle.check_free(name)
        if not 0 < len(name.encode(errors="surrogatepass")) <= _MAX_NAME or not name.isprintable():
            why = f"a name has up to {_MAX_NAME} bytes, all of them printable"
            raise HoldError("snapshot", Kind.USAGE, shown(name), why)
        row = _found(point, path)
        kind = "plain" if how.plain else "sealed"
        try:
            with closing(Memory(own.state / FILE, f"{kind} {volume.id}")) as memory:
                return _Shot(own, point, memory, tuple(path), row, name, now, how, watcher, automatic).take()
        except sqlite3.Error as error:
            raise translated("snapshot", str(own.state), error) from error


@contextmanager
def chronicle_of(own: Own) -> Iterator[Chronicle]:
    """The chronicle of the caller's own tree; nobody else has it as long as the block runs."""
    with own.writing, closing(Chronicle(own.state, own.volume().id, own.store)) as chronicle:
        yield chronicle


def _dated(chronicle: Chronicle, now: int, *, automatic: bool) -> str:
    """A name that says when."""
    base = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now / 1e9))
    base = f"before-{base}" if automatic else base
    taken = {entry.name for entry in chronicle.all()}
    number = 2
    name = base
    while name in taken:
        name, number = f"{base}-{number}", number + 1
    return name


def _found(point: Point, path: Sequence[bytes]) -> Object:
    row = point.object(ROOT)
    for depth, name in enumerate(path):
        row = point.found(row.number, name) if row is not None else None
        if row is None:
            where = shown(text(path[: depth + 1]))
            raise HoldError(
                "snapshot", Kind.NOT_FOUND, where, "no such file or directory", hint="hold ls shows what is"
            )
    assert row is not None
    if stat.S_IFMT(row.mode) not in KINDS:
        why = "is neither a file, directory nor link"
        raise HoldError("snapshot", Kind.UNSUPPORTED, shown(text(path)), why, hint="name the directory that it is in")
    return row


@dataclass(frozen=True, slots=True)
class _Shot:
    """One snapshot: what of, and how."""

    own: Own
    point: Point
    memory: Memory
    path: tuple[bytes, ...]
    row: Object
    name: str
    now: int
    how: Shooting
    watcher: Watcher
    automatic: bool

    def take(self) -> Entry:
        """Trace it; once more from the beginning, if what is remembered is there no more."""
        try:
            entry = self._attempt()
        except Missing:
            self.memory.forget()
            entry = self._once_more()
        try:
            self._tidy()
            self.memory.commit()
        except sqlite3.Error as error:  # it is made; the next one takes longer
            self.watcher.remark(f"note: {self.own.state / FILE} cannot be written: {error}")
        return entry

    def _once_more(self) -> Entry:
        try:
            return self._attempt()
        except Missing as error:
            why = "blocks of the tree are not in the store"
            raise HoldError("snapshot", Kind.CORRUPT, shown(text(self.path)), why) from error

    def _attempt(self) -> Entry:
        with closing(self.own.store.session(self.how.readers)) as session:
            loom = self._loom(session)
            tracer = Tracer(self.point, loom, self.memory, self.now, self.watcher)
            woven = tracer.trace(self.row)
            said = self._supplement(session, woven, tracer)
            loom.settle()
            root = woven.cid if woven.row is None else _capability(woven)
            cid = woven.cid if woven.row is None else cids.from_digest(cids.RAW, woven.digest)
            sizes = (tracer.size, tracer.files)
            entry = Entry(self.name, self.path, str(root), cid, str(said), self.now, *sizes, self.automatic)
            self.watcher.bytes(0)  # whoever has left by now wants no snapshot
            self._commit(session, entry)
            return entry

    def _loom(self, session: Session) -> Loom:
        if self.how.plain:
            return PlainLoom(session, self.point.fetch)
        return SealedLoom(session, self.own.secret())

    def _supplement(self, session: Session, woven: Woven, tracer: Tracer) -> ReadCapability:
        """What UnixFS does not say, sealed in any case: whose what is goes nobody else on."""
        sealing = SealedLoom(session, self.own.secret())
        content = supplement.encode(woven.cid, tracer.records)
        made = Weaver(sealing).file(of_bytes(content, sealing), Attributes())
        return _capability(made)

    def _commit(self, session: Session, entry: Entry) -> None:
        """Write it down, and pin it. If that fails, whoever opens the chronicle next finds out how far it went."""
        with chronicle_of(self.own) as chronicle:
            chronicle.begin(entry)
            session.commit(chronicle.pin_of(entry.name), entry.cid)
            chronicle.complete(entry.name)

    def _tidy(self) -> None:
        """Forget what is no longer there, when that is much."""
        numbers = self.memory.numbers()
        if len(numbers) > 2 * self.point.count():
            for number in numbers:
                if self.point.object(number) is None:
                    self.memory.drop(number)


def _capability(woven: Woven) -> ReadCapability:
    row = woven.row
    assert row is not None
    return ReadCapability(row.digest, row.rows, row.read_key)
