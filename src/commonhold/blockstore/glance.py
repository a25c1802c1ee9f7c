"""A look at the index of a store that nobody has open: a few keys, and what is known to be wrong. Changes nothing.

No recovery is done first, so it may lag behind the files. Whoever looks sees to it that nobody writes meanwhile.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import lmdb

from commonhold.blockstore.store import INDEX_NAME
from commonhold.errors import HoldError, Kind
from commonhold.formats.multihash import Multihash

_DATABASES = (b"blocks", b"meta", b"damaged")


class State(NamedTuple):
    """How many blocks are known to be wrong on disk, and why pins may be missing (empty: nothing says so)."""

    damaged: int
    doubt: str


def indexed(store: Path) -> bool:
    """Whether there is an index to look at: a store that was never opened has none."""
    return (store / INDEX_NAME).is_dir()


def first_keys(store: Path, most: int) -> list[Multihash]:
    """The first keys in their order, which for digests is as good as chance. CORRUPT where there is no sound index."""
    with _reading(store) as (txn, databases), txn.cursor(databases[b"blocks"]) as cursor:
        return [Multihash(key) for key in islice(cursor.iternext(values=False), most)]


def present(store: Path, keys: Sequence[Multihash]) -> set[Multihash]:
    """Which of these blocks the store has. Errors as in `first_keys`."""
    with _reading(store) as (txn, databases):
        return {key for key in keys if txn.get(key, db=databases[b"blocks"]) is not None}


def state(store: Path) -> State:
    """What the index knows to be wrong. Errors as in `first_keys`."""
    with _reading(store) as (txn, databases):
        doubt = (txn.get(b"doubt", db=databases[b"meta"]) or b"").decode(errors="replace")
        return State(int(txn.stat(databases[b"damaged"])["entries"]), doubt)


@contextmanager
def _reading(store: Path) -> Iterator[tuple[Any, dict[bytes, Any]]]:
    try:
        # Without LMDB's own locks nothing is written, not even who reads.
        with lmdb.open(
            str(store / INDEX_NAME), readonly=True, lock=False, create=False, max_dbs=len(_DATABASES), readahead=False
        ) as env:
            databases = {name: env.open_db(name, create=False) for name in _DATABASES}
            with env.begin() as txn:
                yield txn, databases
    except lmdb.Error as error:
        hint = "hold verify"
        raise HoldError("look", Kind.CORRUPT, str(store / INDEX_NAME), str(error), hint=hint) from error
