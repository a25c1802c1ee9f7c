"""Checking what a node keeps for one user: every block is asked for, and hashed here."""

from collections.abc import Callable
from itertools import islice

from commonhold.api import BlockStore, Damage, Report
from commonhold.errors import HoldError, Kind
from commonhold.formats.multihash import Multihash

_BATCH = 256


def check(store: BlockStore, tell: Callable[[int], None] = lambda done: None) -> Report:
    """Ask for every block that is ours to read; what is missing or wrong, and the pins of ours that it touches."""
    report = Report()
    bad: dict[Multihash, str] = {}
    keys = iter(store.keys())
    while batch := list(islice(keys, _BATCH)):
        try:
            store.expect(batch)
        except HoldError as error:
            if error.kind is not Kind.CORRUPT:  # which of them it is shows below
                raise
        for key in batch:
            report.blocks += 1
            try:
                report.bytes += len(store.get(key))
            except HoldError as error:
                if error.kind is not Kind.CORRUPT:
                    raise
                bad[key] = str(error)
        tell(report.bytes)
    touched: dict[Multihash, list[str]] = {key: [] for key in bad}
    for pin in store.pins():
        listed = 0
        for key in store.pin_keys(pin.name):
            listed += 1
            if key in touched and pin.name not in touched[key]:
                touched[key].append(pin.name)
        if listed != pin.blocks:
            report.damage.append(Damage(f"{pin.blocks} blocks were kept, {listed} are listed", None, (pin.name,)))
    report.damage += [Damage(why, key, tuple(touched[key])) for key, why in bad.items()]
    return report
