"""What must hold of a storage server's shares after its process or its machine has died."""

import json
import select
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from commonhold.errors import HoldError, Kind
from tests.storage.keeping import QUOTA, Clock, Place, index_of
from tests.storage.workload import SHARES, data_of
from tests.waiting import SECONDS, waiting

ROOT = Path(__file__).parents[2]


def run_for(
    directory: Path, seed: int, seconds: float, there: set[int], cut: Callable[[], None] | None = None, *words: str
) -> int:
    """Run the workload and kill it in so many seconds, after its disk is cut off if that is asked for. `there` are the
    shares of which it said that they are, in time (see `tests.volume.killing`). How many it moved."""
    command = [sys.executable, "-m", "tests.storage.workload", str(directory), str(seed), *words]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    try:
        assert select.select([process.stdout], [], [], SECONDS)[0]
        time.sleep(seconds)
        before = b""
        if cut is not None:
            before = waiting(process.stdout.fileno())
            cut()
    finally:
        process.kill()
        out, err = process.communicate(timeout=SECONDS)
    lines = [json.loads(line) for line in (before + out).split(b"\n")[:-1]]
    promised = len(lines) if cut is None else before.count(b"\n")
    assert lines and lines[0] == {"ready": True}
    assert cut is not None or not err, err.decode()
    for at, line in enumerate(lines):
        if "finished" in line and at < promised:
            there.add(line["finished"])
        elif "dropping" in line:
            there.discard(line["dropping"])
    return sum("moved" in line for line in lines)


def check_reopened(directory: Path, there: set[int], *, torn: bool) -> int:
    """Each share that was finished reads back; each upload goes on and ends; nothing is left over. How many went on.
    `torn`: an upload may have a tail that is not what came, and then begins anew."""
    resumed = 0
    with closing(Place(directory, Clock(), ())) as place:
        place.check_books()
        account = place.account()
        for name in there:
            assert place.read(index_of(name)) == data_of(name)
        for name in range(SHARES):
            data = data_of(name)
            at = place.keeper.begin(account, QUOTA, index_of(name), len(data), place.clock.now + 1000)
            assert at == len(data) or name not in there
            resumed += 0 < at < len(data)
            try:
                if not place.keeper.sizes([index_of(name)])[0]:
                    place.store(account, index_of(name), data)
            except HoldError as error:
                assert error.kind is Kind.CORRUPT and torn
                place.store(account, index_of(name), data)
            there.add(name)
        place.sweep()
        place.check_books()
        assert place.files() == place.rows().keys()
        for name in there:
            assert place.read(index_of(name)) == data_of(name) and place.keeper.check(index_of(name))
        gone = list(range(0, SHARES, 2))
        place.keeper.drop(account, [index_of(name) for name in gone])
        there -= set(gone)
    return resumed
