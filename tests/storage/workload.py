"""A storage server's work until it is killed: uploads in pieces by three threads, drops, sweeps. Says what is done.

`python -m tests.storage.workload DIRECTORY SEED [moving]`; a line for each share that is finished and before each drop.
Moving: one thread uploads, and one empties shelves onto each other, with a line for each share that was moved.
"""

import json
import random
import sys
import threading
from pathlib import Path

from commonhold.errors import HoldError, Kind
from commonhold.storage.ledger import Account
from tests.storage.keeping import MOST, QUOTA, Clock, Place, bytes_of, hash_of, index_of

SHARES = 12
THREADS = 3


def data_of(name: int) -> bytes:
    """What is kept under a name: never anything else."""
    return bytes_of(name, 1 + (name * 77_777) % 400_000)


def _say(line: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


_MAY_BE = (  # what whoever uploads has to expect, and tries again after
    Kind.CORRUPT,  # after a power cut an upload may have a tail that is not what came
    Kind.NOT_FOUND,  # nobody touched it for a minute, as this clock goes, or it was moved
    Kind.BUSY,  # it is being moved
)


def _work(place: Place, rng: random.Random, names: list[int]) -> None:
    account = place.account()
    while True:
        name = rng.choice(names)
        try:
            if rng.random() < 0.2:
                _say({"dropping": name})
                place.keeper.drop(account, [index_of(name)])
                place.keeper.sweep()
            else:
                _upload(place, rng, account, name)
                _say({"finished": name})
        except HoldError as error:
            if error.kind not in _MAY_BE:
                raise


def _upload(place: Place, rng: random.Random, account: Account, name: int) -> None:
    index, data = index_of(name), data_of(name)
    at = place.keeper.begin(account, QUOTA, index, len(data), place.clock.now + 1000)
    while at < len(data):
        at = place.keeper.append(account, index, at, data[at : at + rng.randint(1, 8000)])
    place.keeper.finish(account, index, hash_of(data))


def _move(place: Place, rng: random.Random) -> None:
    while True:
        shelf = rng.choice(place.ledger.shelves())
        place.keeper.empty_shelf(shelf)
        for _ in range(rng.randint(1, 30)):
            place.clock.now += 5  # nothing is waited for
            before = place.ledger.on_shelf(shelf.id, (0, b""))
            place.keeper.mover.step()
            if before is not None and before.sha256 and before != place.ledger.own(before.account, before.index):
                _say({"moved": before.file.hex()})
        place.keeper.add_shelf(shelf.path, MOST)


def main() -> None:
    directory, seed = Path(sys.argv[1]), sys.argv[2]
    uploading = 1 if sys.argv[3:] else THREADS
    place = Place(directory, Clock(), (MOST, MOST))
    _say({"ready": True})
    threads = [
        threading.Thread(
            target=_work, args=(place, random.Random(f"{seed}-{number}"), list(range(number, SHARES, uploading)))
        )
        for number in range(uploading)
    ]
    if uploading == 1:
        threads.append(threading.Thread(target=_move, args=(place, random.Random(f"{seed}-moving"))))
    for thread in threads:
        thread.start()


if __name__ == "__main__":
    main()
