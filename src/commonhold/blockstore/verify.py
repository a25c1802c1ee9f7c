"""Verifying: every block is read and hashed; every frame's table, the catalogue, the counts of references and each
pin's blocks are checked.
"""

from collections.abc import Callable

from commonhold.api import Damage, Report
from commonhold.blockstore.index import Row
from commonhold.blockstore.layout import Place
from commonhold.blockstore.store import Store
from commonhold.formats import multihash
from commonhold.formats.multihash import Multihash, describe

Tell = Callable[[int], None]  # bytes read so far


def verify(store: Store, tell: Tell = lambda done: None) -> Report:
    """Read everything. Damaged blocks are remembered, so that adding their content again mends them."""
    report = Report()
    bad: dict[Multihash, str] = {}
    expected = _expected(store)
    for number in store.segments.numbers():
        seen = _verify_segment(store, number, report, bad, tell)
        if seen != expected.pop(number, 0):
            _verify_rows(store, number, report, bad)
    for number, blocks in expected.items():
        report.damage.append(Damage(f"segment {number} with {blocks} blocks is missing", None))
        _verify_rows(store, number, report, bad)
    _verify_catalog(store, report)
    report.damage += [Damage(what, None) for what in store.index.audit()]
    _name_pins(store, report, bad)
    with store.mutex:
        store.index.set_damaged(bad)
        store.damaged = set(bad)
    return report


def _expected(store: Store) -> dict[int, int]:
    counts: dict[int, int] = {}
    for _, row in store.index.rows():
        counts[row.place.segment] = counts.get(row.place.segment, 0) + 1
    return counts


def _check(store: Store, key: Multihash, row: Row, report: Report, bad: dict[Multihash, str]) -> None:
    report.blocks += 1
    report.bytes += row.length
    where = f"segment {row.place.segment} at offset {row.place.offset}"
    try:
        data = store.segments.read(row.place, row.length)
    except OSError as error:
        bad[key] = f"{where} cannot be read: {error.strerror}"
        return
    if not multihash.matches(key, data):
        bad[key] = f"wrong bytes in {where}" if len(data) == row.length else f"{where} is cut short"


def _verify_segment(store: Store, number: int, report: Report, bad: dict[Multihash, str], tell: Tell) -> int:
    """Check a segment by its own tables; how many live blocks they name."""
    seen = 0
    if store.segments.key_in(number) is None:
        report.damage.append(Damage(f"the first page of segment {number} is damaged", None))
    for found in store.segments.frames(number):
        for key, offset, _ in found.blocks:
            row = store.index.row(key)
            if row is not None and row.place == Place(number, offset):
                seen += 1
                _check(store, key, row, report, bad)
        tell(report.bytes)
    return seen


def _verify_rows(store: Store, number: int, report: Report, bad: dict[Multihash, str]) -> None:
    """Check a segment whose tables do not name all that the index has there."""
    named = {
        (key, offset)
        for found in (store.segments.frames(number) if store.segments.path(number).exists() else ())
        for key, offset, _ in found.blocks
    }
    lost = 0
    for key, row in store.index.rows():
        if row.place.segment == number and (key, row.place.offset) not in named:
            lost += 1
            _check(store, key, row, report, bad)
    if lost:
        report.damage.append(Damage(f"segment {number}: a table that names {lost} blocks is damaged", None))


def _verify_catalog(store: Store, report: Report) -> None:
    report.damage += [Damage(what, None) for what in store.catalogue_damage()]
    doubt = store.index.doubt()
    if doubt:
        report.damage.append(Damage(f"when the index was made anew, {doubt}: pins may be missing", None))


def _name_pins(store: Store, report: Report, bad: dict[Multihash, str]) -> None:
    """Say which pins each damaged block touches, and which pins lack a block altogether."""
    touched: dict[Multihash, list[str]] = {key: [] for key in bad}
    for pin in store.index.sets.pins():
        missing = listed = 0
        for key in store.pin_keys(pin.name, pin.owner):
            listed += 1
            if key in touched:
                if not touched[key] or touched[key][-1] != pin.name:
                    touched[key].append(pin.name)
            elif store.index.row(key) is None:
                missing += 1
        if listed != pin.blocks:
            report.damage.append(Damage(f"{pin.blocks} blocks were kept, {listed} are listed", None, (pin.name,)))
        if missing:
            report.damage.append(Damage(f"{missing} blocks are missing", None, (pin.name,)))
    report.damage += [Damage(f"block {describe(key)}: {why}", key, tuple(touched[key])) for key, why in bad.items()]
