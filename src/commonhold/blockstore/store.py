"""The local block store: reads, and the parts that write, brought together. See `api.BlockStore`."""

import contextlib
import errno
import json
import secrets
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from commonhold.api import OWNERLESS, Pin, Usage
from commonhold.blockstore import holders, layout, recovery
from commonhold.blockstore.catalog import Catalog
from commonhold.blockstore.holders import NOBODYS, Holding
from commonhold.blockstore.index import Index, Row
from commonhold.blockstore.layout import Gone
from commonhold.blockstore.quota import Ledgers
from commonhold.blockstore.records import RecordKind
from commonhold.blockstore.segments import Segments
from commonhold.blockstore.session import StoreSession, check_name
from commonhold.blockstore.sets import State
from commonhold.blockstore.writer import Writer
from commonhold.errors import HoldError, Kind, os_errors
from commonhold.formats import multihash
from commonhold.formats.multihash import Multihash, describe
from commonhold.host import disk
from commonhold.host.disk import PAGE, round_up
from commonhold.host.interruption import held_back

FORMAT = 2  # 1 knew no owners; it is taken up as it is
FORMAT_NAME = "format.json"
INDEX_NAME = "index"
_DIRECT_FROM = 64 << 10


def create(directory: Path) -> None:
    """Make an empty store in a directory that has nothing yet but what an earlier try left. EXISTS otherwise."""
    with os_errors("init", str(directory)):
        disk.make_directory(directory, 0o700)
        with disk.turn_on(directory):
            _refuse_used(directory)
            (directory / "segments").mkdir(mode=0o700, exist_ok=True)
            _write_format(directory, secrets.token_bytes(32))


def _refuse_used(directory: Path) -> None:
    found = {path.name for path in directory.iterdir()}
    if FORMAT_NAME in found:
        why, hint = "there is a repository already", "use it as it is, or name another place with --repo"
        raise HoldError("init", Kind.EXISTS, str(directory), why, hint=hint)
    if found - {"segments", f"{FORMAT_NAME}.new"} or ("segments" in found and any((directory / "segments").iterdir())):
        why, hint = "the directory is not empty", "name another place with --repo"
        raise HoldError("init", Kind.EXISTS, str(directory), why, hint=hint)


def _write_format(directory: Path, secret: bytes) -> None:
    text = json.dumps({"format": FORMAT, "secret": secret.hex()}, indent=1) + "\n"
    disk.replace_file(str(directory / FORMAT_NAME), text.encode())


def discard_index(directory: Path) -> None:
    """Remove the index of a store that nobody has open: the next to open it makes it anew from the files."""
    with os_errors("rebuild", str(directory)), contextlib.suppress(FileNotFoundError):
        shutil.rmtree(directory / INDEX_NAME)


def _read_format(directory: Path) -> bytes:
    path = directory / FORMAT_NAME
    try:
        value = json.loads(path.read_text())
        version, secret = int(value["format"]), bytes.fromhex(value["secret"])
    except FileNotFoundError:
        raise HoldError("open", Kind.NO_REPOSITORY, str(directory), "not a repository", hint="hold init") from None
    except (ValueError, KeyError, TypeError) as error:
        raise HoldError(
            "open", Kind.CORRUPT, str(path), f"cannot be read: {error}", hint="restore it from a copy"
        ) from error
    except OSError as error:
        raise HoldError("open", Kind.DENIED, str(path), error.strerror or "cannot be read") from error
    if version == 1:
        _write_format(directory, secret)  # so that a program which knows no owners keeps away from now on
    elif version != FORMAT:
        raise HoldError(
            "open",
            Kind.VERSION,
            str(directory),
            f"a repository of format {version}; this program knows format {FORMAT}",
            hint="use a newer hold" if version > FORMAT else None,
        )
    return secret


class Store:
    """A store in a directory of this process's own; whoever opens it holds the repository's lock."""

    def __init__(self, directory: Path) -> None:
        secret = _read_format(directory)
        self.mutex = threading.RLock()  # held by whatever changes sets, or deletes or moves blocks
        self.sessions: set[StoreSession] = set()
        self.moving: set[Multihash] = set()  # being written to another place: deleted only when they are there
        self.moved = threading.Condition(self.mutex)
        self.segments = Segments(directory / "segments", secret)
        self.catalog = Catalog(directory, secret)
        self.index = Index(directory / INDEX_NAME)
        self.notes = recovery.recover(self.segments, self.catalog, self.index)
        for set_id, state, _ in self.index.sets.all():
            if state != state.WHOLE:
                self.undo_set(set_id)
        self.damaged = self.index.damaged()
        self.ledgers = Ledgers(self.index)
        self.writer = Writer(self.segments, self.catalog, self.index, self.mutex, self.change)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Acknowledge what is under way, let go of open sessions, close the files."""
        for session in list(self.sessions):
            session.close()
        self.writer.close()
        self.segments.close()
        self.catalog.close()
        self.index.close()

    @contextlib.contextmanager
    def change(self) -> Iterator[None]:
        """Catalogue and index change together in the block, or neither does. Under the mutex.

        Where what a failure left cannot be taken back, nothing more is written: opening the store anew sorts it out.
        """
        self.writer.check(self.writer.failures)
        start = self.catalog.end
        with held_back(), os_errors("write", "the block store"):
            try:
                yield
            except BaseException:
                self._take_back(start)
                raise

    def _take_back(self, start: int) -> None:
        """Take back what the catalogue was told since an offset, unless the index has followed it."""
        try:
            mark = self.index.mark()
            if mark is None or mark.catalog <= start:
                self.catalog.cut(start)
            self.damaged = self.index.damaged()
            sure = not self.catalog.unsure
        except (OSError, HoldError):
            sure = False
        if not sure:
            why = "what a failed write left is not certain"
            self.writer.fail(HoldError("write", Kind.FAILED, "the block store", why, hint="try again, from the start"))

    # ── blocks ──

    def has(self, key: Multihash) -> bool:
        """See `api.BlockStore`."""
        return self.index.row(key) is not None

    def _row(self, key: Multihash) -> Row:
        row = self.index.row(key)
        if row is None:
            raise HoldError("get", Kind.NOT_FOUND, f"block {describe(key)}", "not in this store")
        return row

    def size(self, key: Multihash) -> int:
        """See `api.BlockStore`."""
        return self._row(key).length

    def get(self, key: Multihash) -> bytes:
        """See `api.BlockStore`."""
        return self.read(key, self._row(key))

    def read(self, key: Multihash, row: Row) -> bytes:
        """A block that was in the index a moment ago, checked."""
        while True:
            data = self._read(key, row)
            if data is not None:
                return data
            row = self._moved(key, row)

    def _read(self, key: Multihash, row: Row) -> bytes | None:
        try:
            data = self.segments.read(row.place, row.length)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(key, row, error) from error
        return data if multihash.matches(key, data) else None

    def lay(self, key: Multihash, row: Row, into: memoryview) -> None:
        """The same, not checked, into memory of its length. The block was where it lies until it was read: what is
        moved or deleted is so in the index first."""
        while True:
            try:
                got = self.segments.read_into(row.place, into)
            except FileNotFoundError:
                got = -1
            except OSError as error:
                raise _unreadable(key, row, error) from error
            now = self.index.row(key)
            if got == row.length and now is not None and now.place == row.place:
                return
            row = self._moved(key, row)

    def _moved(self, key: Multihash, row: Row) -> Row:
        """A block did not check out: it was moved or deleted meanwhile, or its bytes are wrong."""
        now = self.index.row(key)
        if now is None:
            raise HoldError("get", Kind.NOT_FOUND, f"block {describe(key)}", "not in this store")
        if now.place == row.place:
            raise HoldError(
                "get",
                Kind.CORRUPT,
                f"block {describe(key)}",
                f"wrong bytes in segment {row.place.segment} at offset {row.place.offset}",
                hint="hold verify",
            )
        return now

    def read_into(self, key: Multihash, into: memoryview, *, unchecked: bool = False) -> int:
        """See `api.BlockStore`. A buffer of whole, aligned pages is read past the page cache."""
        row = self._row(key)
        while True:
            found = self._read_direct(key, row, into)
            if found:
                return row.length
            row = self._moved(key, row)

    def _read_direct(self, key: Multihash, row: Row, into: memoryview) -> bool:
        whole = round_up(row.length)
        if row.length >= _DIRECT_FROM and row.place.offset % PAGE == 0 and len(into) >= whole:
            try:
                got = self.segments.read_direct(row.place, into[:whole])
            except FileNotFoundError:
                return False
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise _unreadable(key, row, error) from error
                got = -1  # memory that is not aligned after all
            if got >= 0:
                return got >= row.length and multihash.matches(key, into[: row.length])
        data = self._read(key, row)
        if data is None:
            return False
        into[: row.length] = data
        return True

    def delete(self, key: Multihash) -> int:
        """See `api.BlockStore`."""
        with self.mutex:
            self.moved.wait_for(lambda: key not in self.moving)
            row = self._row(key)
            self._refuse_held(key)
            self.forget([(key, row)])
        return row.length

    def _refuse_held(self, key: Multihash) -> None:
        row = self._row(key)
        if row.refs:
            names = sorted(pin.name for pin in self.index.sets.pins() if key in set(self.pin_keys(pin.name, pin.owner)))
            raise HoldError(
                "delete",
                Kind.BUSY,
                f"block {describe(key)}",
                "kept by pin " + ", ".join(repr(name) for name in names[:5]) if names else "kept by an add under way",
                hint=f"hold pin rm {names[0]}" if names else None,
            )
        if self.held(key):
            raise HoldError("delete", Kind.BUSY, f"block {describe(key)}", "kept by an add under way")

    def held(self, key: Multihash) -> bool:
        """Whether a block is being moved, or a session has put or found it and not yet counted it. Under the mutex."""
        if key in self.writer.pending or key in self.moving:
            return True
        return any(key in session.kept_now or key in session.placed for session in self.sessions)

    def held_by(self, owner: int, key: Multihash) -> bool:
        """Whether a session of an owner's has put or found this block and not yet counted it. Under the mutex."""
        return any(session.has_open(owner, key) for session in self.sessions)

    def forget(self, dead: list[tuple[Multihash, Row]]) -> None:
        """Delete blocks for good: the catalogue says so first, then the index, then the disk space. Under the mutex."""
        with self.change():
            self.catalog.append(RecordKind.GONE, layout.pack_gone(Gone(key, row.place, None) for key, row in dead))
            self.catalog.sync()
            with self.index.write() as txn:
                for key, _ in dead:
                    self.index.remove(txn, key)
                    self.index.clear_damaged(txn, key)
                self.index.update_mark(txn, catalog=self.catalog.end)
        self.damaged.difference_update([key for key, _ in dead])
        for _, row in dead:
            for who in holders.charged(row.holders):
                self.ledgers.charged(who, (), -row.length)
        self.segments.punch((row.place, row.length) for _, row in dead)

    def keys(self) -> Iterator[Multihash]:
        """See `api.BlockStore`."""
        return (key for key, _ in self.index.rows())

    # ── retain sets ──

    def expect(self, keys: Iterable[Multihash]) -> None:
        """See `api.BlockStore`. They are near enough."""

    def session(self, readers: tuple[int, ...] = ()) -> StoreSession:
        """See `api.BlockStore`."""
        if readers:
            why = "nobody else reads this repository: it is single user"
            raise HoldError("add", Kind.USAGE, "readers", why, hint="hold status")
        return self.session_of(NOBODYS, None)

    def session_of(self, holding: Holding, quota: int | None, pause: Callable[[], None] = lambda: None) -> StoreSession:
        """A session on somebody's behalf; how many bytes they may be charged for in all. `pause`: see `OwnedStore`."""
        return StoreSession(self, holding, quota, pause)

    def pins(self, owner: int = OWNERLESS) -> list[Pin]:
        """See `api.BlockStore`."""
        return self.index.sets.pins(owner)

    def pin(self, name: str, owner: int = OWNERLESS) -> Pin | None:
        """See `api.BlockStore`."""
        found = self.index.sets.named(name, owner)
        return found[1] if found else None

    def _set(self, name: str, owner: int) -> int:
        found = self.index.sets.named(name, owner)
        if found is None:
            raise HoldError("pin", Kind.NOT_FOUND, repr(name), "no pin of that name", hint="hold pin ls")
        return found[0]

    def pin_keys(self, name: str, owner: int = OWNERLESS) -> Iterator[Multihash]:
        """See `api.BlockStore`."""
        for _, packed in self.index.sets.members(self._set(name, owner)):
            yield from layout.unpack_keys(packed)

    def unpin(self, name: str, owner: int = OWNERLESS) -> None:
        """See `api.BlockStore`."""
        with self.mutex:
            set_id = self._set(name, owner)
            with self.change():
                self.catalog.append(RecordKind.DROP, layout.pack_drop(set_id))
                self.catalog.sync()
                with self.index.write() as txn:
                    self.index.sets.leave(txn, set_id)
                    self.index.update_mark(txn, catalog=self.catalog.end)
        self.undo_set(set_id)

    def rename_pin(self, old: str, new: str, owner: int = OWNERLESS) -> None:
        """See `api.BlockStore`."""
        check_name(new)
        with self.mutex:
            set_id = self._set(old, owner)
            if new == old:
                return
            if self.pin(new, owner) is not None:
                raise HoldError("pin", Kind.EXISTS, repr(new), "there is a pin of that name")
            with self.change():
                self.catalog.append(RecordKind.RENAME, layout.pack_rename(set_id, new))
                self.catalog.sync()
                with self.index.write() as txn:
                    self.index.sets.rename(txn, set_id, new)
                    self.index.update_mark(txn, catalog=self.catalog.end)

    def undo_set(self, set_id: int) -> None:
        """Undo the references of a set that is leaving or was never finished, a run at a time; then forget it."""
        with self.index.write() as txn:
            self.index.sets.leave(txn, set_id)
        holding = self.index.sets.holding(set_id)
        for row, packed in self.index.sets.members(set_id):
            with self.index.write() as txn:
                self.index.add_refs(txn, layout.unpack_keys(packed), -1, holding)
                self.index.sets.remove_members(txn, row)
        with self.index.write() as txn:
            self.index.sets.forget(txn, set_id)

    def catalogue_damage(self) -> list[str]:
        """What is wrong with the catalogue: what could not be read, and pins that it has not as the index has them."""
        with self.mutex:
            said = recovery.Said(self.catalog)
            whole = {set_id: pin for set_id, state, pin in self.index.sets.all() if state is State.WHOLE}
        found = [f"{said.damaged} bytes of the catalogue are damaged"] if said.damaged else []
        if said.live() != whole:
            found.append("the catalogue does not have the pins that there are")
        return found

    def usage(self) -> Usage:
        """See `api.BlockStore`."""
        numbers = self.segments.numbers()
        disk_bytes = sum(self.segments.path(number).stat().st_blocks * 512 for number in numbers)
        return Usage(
            self.index.block_count(), self.index.byte_count(), len(self.index.sets.pins()), len(numbers), disk_bytes
        )


def _unreadable(key: Multihash, row: Row, error: OSError) -> HoldError:
    return HoldError(
        "get",
        Kind.CORRUPT,
        f"block {describe(key)}",
        f"segment {row.place.segment} at offset {row.place.offset}: {error.strerror}",
    )
