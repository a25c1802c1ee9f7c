"""What a client keeps on a grid: its sets, their packs, and which block is in which. SQLite.

A projection: all of it can be had from the servers by whoever has a set's seed. It spares asking, and sending twice.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from commonhold.errors import HoldError, Kind
from commonhold.exchange.reusing import ALL
from commonhold.exchange.tending import Care, State
from commonhold.formats.inventory import Inventory, Packed
from commonhold.formats.multihash import Multihash
from commonhold.formats.pin import SpkiPin
from commonhold.host.sqlite import Database

VERSION: Final = 3
_TENDING = """
create table cares (
  name text primary key, next integer not null, deep_due integer not null, looked integer, state text,
  said text not null, failures integer not null);
create table servers (pin blob primary key, reached integer not null) without rowid;
"""
_WANTS = "alter table set_packs add column wanted blob;"  # the blocks of it that the set wants, as bits; null: all
_SCHEMA = f"""{_TENDING}
create table packs (
  id integer primary key, seed blob not null unique, length integer not null, k integer not null, n integer not null,
  blocks blob not null);
create table blocks (key blob primary key, pack integer not null) without rowid;
create table sets (
  name text primary key, seed blob not null, k integer not null, n integer not null, made integer not null,
  until integer not null);
create table set_packs (name text not null, place integer not null, pack integer not null, primary key (name, place))
  without rowid;
{_WANTS}
"""
_ALONE = (
    "select pack from set_packs where name = :name and pack not in (select pack from set_packs where name != :name)"
)


@dataclass(frozen=True, slots=True)
class KeptSet:
    """A set under the name of what it keeps; times in seconds since 1970. `until`: its leases."""

    name: str
    seed: bytes
    k: int
    n: int
    made: int
    until: int


class Book:
    """See the module. Safe from many threads of the one process that has it."""

    def __init__(self, path: Path) -> None:
        self._db = Database(path, _SCHEMA, VERSION, "a book of kept sets", {1: _TENDING + _WANTS, 2: _WANTS})

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def put_pack(self, packed: Packed, keys: Iterable[Multihash]) -> None:
        """Note a pack, all of whose shares are kept. Blocks that another one has are from now on taken from this."""
        with self._db.writing("note pack") as db:
            db.execute(
                "insert or ignore into packs values (null, ?, ?, ?, ?, ?)",
                (packed.seed, packed.length, packed.k, packed.n, packed.table),
            )
            found = db.execute("select id from packs where seed = ?", (packed.seed,)).fetchone()[0]
            db.executemany("insert or replace into blocks values (?, ?)", ((key, found) for key in keys))

    def pack_of(self, key: Multihash, k: int, n: int) -> Packed | None:
        """The pack of this shape that has a block."""
        with self._db.reading("look up block") as db:
            found = db.execute(
                "select seed, length, k, n, blocks from packs where k = ? and n = ? "
                "and id = (select pack from blocks where key = ?)",
                (k, n, key),
            ).fetchone()
            return Packed(*found) if found else None

    def forget(self, packed: Packed) -> None:
        """A pack is not to be counted on any more: what is in it is nowhere, until another pack has it."""
        with self._db.writing("forget pack") as db:
            db.execute("delete from blocks where pack = (select id from packs where seed = ?)", (packed.seed,))

    def wants(self, besides: Collection[str]) -> dict[bytes, int]:
        """Which blocks of each pack are wanted by a set, but for these sets, by the pack's seed: see `reusing`."""
        found: dict[bytes, int] = {}
        with self._db.reading("list packs") as db:
            for name, seed, wanted in db.execute(
                "select name, seed, wanted from set_packs join packs on packs.id = set_packs.pack"
            ):
                if name not in besides:
                    found[seed] = found.get(seed, 0) | (ALL if wanted is None else int.from_bytes(wanted, "little"))
        return found

    def put_set(self, kept: KeptSet, packs: Sequence[Packed], wanted: Mapping[bytes, int] | None = None) -> None:
        """Note a set that is kept, in place of the one of that name. CHANGED if one of its packs is none any more.

        `wanted`: which blocks of a pack the set wants, by the pack's seed, where that is not all of them."""
        with self._db.writing("note set") as db:
            db.execute("delete from cares where name = ?", (kept.name,))
            db.execute("delete from set_packs where name = ?", (kept.name,))
            db.execute(
                "insert or replace into sets values (?, ?, ?, ?, ?, ?)",
                (kept.name, kept.seed, kept.k, kept.n, kept.made, kept.until),
            )
            for place, packed in enumerate(packs):
                some = (wanted or {}).get(packed.seed, ALL)
                noted = db.execute(
                    "insert into set_packs select ?, ?, id, ? from packs where seed = ?",
                    (kept.name, place, None if some == ALL else _little(some), packed.seed),
                )
                if not noted.rowcount:
                    why = "what it shares with another set was let go meanwhile"
                    raise HoldError("keep", Kind.CHANGED, kept.name, why, hint="keep it again")

    def alone(self, name: str) -> list[bytes]:
        """The seeds of what no set but this one has: its packs, and its own, under which its inventory is."""
        with self._db.reading("list packs") as db:
            rows = db.execute(
                "select seed from sets where name = :name and (select count(*) from sets as others "
                "where others.seed = sets.seed) = 1 union all "
                f"select seed from packs where id in ({_ALONE})",
                {"name": name},
            ).fetchall()
            return [bytes(row[0]) for row in rows]

    def end_set(self, name: str) -> None:
        """Forget a set, and the packs that no other one has."""
        with self._db.writing("end set") as db:
            db.execute(f"delete from blocks where pack in ({_ALONE})", {"name": name})
            db.execute(f"delete from packs where id in ({_ALONE})", {"name": name})
            db.execute("delete from set_packs where name = ?", (name,))
            db.execute("delete from cares where name = ?", (name,))
            db.execute("delete from sets where name = ?", (name,))

    def mirror(self, sets: Sequence[tuple[KeptSet, Sequence[Packed]]]) -> None:
        """Have these sets, of these packs, and no others. One that was made when it says it was stays as it is, with
        what is known of it, and leases that end later here."""
        with self._db.writing("note sets") as db:
            there = {(kept.name, kept.made) for kept, _ in sets}
            for name, made in db.execute("select name, made from sets").fetchall():
                if (name, made) not in there:
                    for table in ("cares", "set_packs", "sets"):
                        db.execute(f"delete from {table} where name = ?", (name,))
            for kept, packs in sets:
                db.execute(
                    "insert into sets values (?, ?, ?, ?, ?, ?) "
                    "on conflict (name) do update set until = max(until, excluded.until)",
                    (kept.name, kept.seed, kept.k, kept.n, kept.made, kept.until),
                )
                db.executemany(
                    "insert or ignore into packs values (null, ?, ?, ?, ?, ?)",
                    [(one.seed, one.length, one.k, one.n, one.table) for one in packs],
                )
                db.execute("delete from set_packs where name = ?", (kept.name,))
                db.executemany(
                    "insert into set_packs select ?, ?, id, null from packs where seed = ?",
                    [(kept.name, place, one.seed) for place, one in enumerate(packs)],
                )
            db.execute("delete from packs where id not in (select pack from set_packs)")

    def sets(self) -> list[KeptSet]:
        """All sets, by name."""
        with self._db.reading("list sets") as db:
            return [KeptSet(*row) for row in db.execute("select * from sets order by name")]

    def packs(self, name: str) -> Iterator[Packed]:
        """The packs of a set, in order."""
        with self._db.reading("list packs") as db:
            rows = db.execute(
                "select seed, length, k, n, blocks from set_packs join packs on packs.id = set_packs.pack "
                "where name = ? order by place",
                (name,),
            ).fetchall()
        return (Packed(*row) for row in rows)

    def inventory(self, kept: KeptSet) -> tuple[Packed, bytes] | None:
        """The inventory of a set, and its bytes; None where the same is kept under another name since: there is one for
        both."""
        with self._db.reading("look up set") as db:
            newer = db.execute(
                "select 1 from sets where seed = ? and (made, name) > (?, ?)", (kept.seed, kept.made, kept.name)
            ).fetchone()
        if newer:
            return None
        encoded = Inventory(tuple(self.packs(kept.name))).encoded
        return Packed(kept.seed, len(encoded), kept.k, kept.n, b""), encoded

    # ── how sets are looked after ──

    def cares(self) -> dict[str, Care]:
        """What is known of those sets that were looked at, or are to be, by name."""
        with self._db.reading("list looks") as db:
            rows = db.execute("select name, next, deep_due, looked, state, said, failures from cares").fetchall()
        return {
            name: Care(after, deep, looked, State(state) if state else None, said, failures)
            for name, after, deep, looked, state, said, failures in rows
        }

    def put_care(self, kept: KeptSet, care: Care, until: int | None = None) -> None:
        """Note how a set is looked after, and the end of its leases; nothing if it was ended or kept anew."""
        state = care.state.value if care.state else None
        with self._db.writing("note look") as db:
            db.execute(
                "insert or replace into cares select name, ?, ?, ?, ?, ?, ? from sets where name = ? and made = ?",
                (care.next, care.deep_due, care.looked, state, care.said, care.failures, kept.name, kept.made),
            )
            if until is not None:
                db.execute("update sets set until = ? where name = ? and made = ?", (until, kept.name, kept.made))

    def has(self, kept: KeptSet) -> bool:
        """Whether a set is kept still, as it was."""
        with self._db.reading("look up set") as db:
            found = db.execute("select 1 from sets where name = ? and made = ?", (kept.name, kept.made)).fetchone()
            return found is not None

    def met(self, reached: Iterable[SpkiPin], away: Iterable[SpkiPin], now: int) -> None:
        """Note who was reached now; of those away that were never met, that they are looked for from now on."""
        with self._db.writing("note servers") as db:
            db.executemany("insert or replace into servers values (?, ?)", ((pin, now) for pin in reached))
            db.executemany("insert or ignore into servers values (?, ?)", ((pin, now) for pin in away))

    def reached(self) -> dict[SpkiPin, int]:
        """When servers were last reached, or first looked for."""
        with self._db.reading("list servers") as db:
            return {SpkiPin(pin): when for pin, when in db.execute("select pin, reached from servers")}


def _little(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "little")
