"""A storage server's work until it is killed: uploads in pieces by three threads, drops, sweeps. Says what is done.

`python -m tests.storage.workload DIRECTORY SEED`; a line for each share that is finished, and before each drop.
"""

import json
import random
import sys
import threading
from pathlib import Path

from commonhold.errors import HoldError, Kind
from tests.storage.keeping import MOST, QUOTA, Clock, Place, bytes_of, hash_of, index_of

SHARES = 12
THREADS = 3


def data_of(name: int) -> bytes:
    """What is kept under a name: never anything else."""
    return bytes_of(name, 1 + (name * 77_777) % 400_000)


def _say(line: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _work(place: Place, rng: random.Random, names: list[int]) -> None:
    account = place.account()
    while True:
        name = rng.choice(names)
        index, data = index_of(name), data_of(name)
        if rng.random() < 0.2:
            _say({"dropping": name})
            place.keeper.drop(account, [index])
            place.keeper.sweep()
            continue
        at = place.keeper.begin(account, QUOTA, index, len(data), place.clock.now + 1000)
        try:
            while at < len(data):
                at = place.keeper.append(account, index, at, data[at : at + rng.randint(1, 8000)])
            place.keeper.finish(account, index, hash_of(data))
        except HoldError as error:  # after a power cut an upload may have a tail that is not what came
            if error.kind is not Kind.CORRUPT:
                raise
            continue
        _say({"finished": name})


def main() -> None:
    directory, seed = Path(sys.argv[1]), sys.argv[2]
    place = Place(directory, Clock(), (MOST, MOST))
    _say({"ready": True})
    threads = [
        threading.Thread(
            target=_work, args=(place, random.Random(f"{seed}-{number}"), list(range(number, SHARES, THREADS)))
        )
        for number in range(THREADS)
    ]
    for thread in threads:
        thread.start()


if __name__ == "__main__":
    main()
