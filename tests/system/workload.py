"""A process to be killed: adds, unpins, deletes, collects and compacts at once, and says what was acknowledged.

Run as `python -m tests.system.workload STORE SEED`. Each line on standard output is an intent or its success, so that
whoever reads them knows what must be there, what must not, and which one operation may have gone either way.
"""

import json
import random
import sys
import threading
from pathlib import Path

from commonhold.blockstore import reclaim, segments
from commonhold.blockstore.store import Store
from commonhold.errors import HoldError, Kind
from commonhold.formats import cid as cids
from commonhold.formats import multihash
from commonhold.formats.multihash import Multihash


def say(**row: object) -> None:
    """One line, out at once."""
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


def shrink() -> None:
    """Small segments and early checkpoints, so that little work passes every branch."""
    segments.SEGMENT_SIZE = 3 << 20
    reclaim._CHECKPOINT_FROM = 8 << 10


class Workload:
    """The writer's side; the collector runs beside it."""

    def __init__(self, store: Store, rng: random.Random) -> None:
        self.store = store
        self.rng = rng
        self.past: list[bytes] = []

    def block(self) -> bytes:
        """Mostly new bytes, sometimes ones that were there before."""
        if self.past and self.rng.random() < 0.2:
            return self.rng.choice(self.past)
        size = self.rng.choice([1, 50, 900, 4096, 20_000, 70_000, 300_000])
        data = self.rng.randbytes(size)
        self.past = [*self.past[-20:], data]
        return data

    def commit(self) -> None:
        """Pin a few blocks under one of a few names."""
        session = self.store.session()
        try:
            keys: list[Multihash] = []
            for data in [self.rng.randbytes(40), *(self.block() for _ in range(self.rng.randint(0, 12)))]:
                keys.append(multihash.sha2_256(data))
                session.put(keys[-1], data)
            name = f"pin{self.rng.randrange(6)}"
            root = cids.make_v1(cids.RAW, keys[0])
            say(op="commit", name=name, root=str(root), keys=[key.hex() for key in keys])
            session.commit(name, root)
            say(ok=True)
        finally:
            session.close()

    def unpin(self) -> None:
        """Let a name go."""
        pins = self.store.pins()
        if pins:
            name = self.rng.choice(pins).name
            say(op="unpin", name=name)
            self.store.unpin(name)
            say(ok=True)

    def delete(self) -> None:
        """Put a block that nobody else has, then delete it; the collector may be quicker."""
        data = self.rng.randbytes(self.rng.choice([64, 5000, 200_000]))
        key = multihash.sha2_256(data)
        session = self.store.session()
        session.put(key, data)
        session.close()
        say(op="delete", key=key.hex())
        try:
            self.store.delete(key)
        except HoldError as error:
            if error.kind is not Kind.NOT_FOUND:
                raise
        say(ok=True)


def main() -> None:
    """Work until killed."""
    shrink()
    rng = random.Random(int(sys.argv[2]))
    store = Store(Path(sys.argv[1]))

    def collector() -> None:
        while True:
            reclaim.collect(store)

    threading.Thread(target=collector, daemon=True).start()
    work = Workload(store, rng)
    say(ready=True)
    while True:
        rng.choice([work.commit, work.commit, work.commit, work.unpin, work.delete])()


if __name__ == "__main__":
    main()
