"""What must hold of a storage server's shares after its process or its machine has died."""

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from commonhold.errors import HoldError, Kind
from tests.killing import killed
from tests.storage.keeping import QUOTA, Clock, Place, index_of
from tests.storage.workload import SHARES, data_of


def run_for(
    directory: Path, seed: int, seconds: float, there: set[int], cut: Callable[[], None] | None = None, *words: str
) -> int:
    """Run the workload; `there` are the shares of which it promised that they are. How many it moved. See `killed`."""
    said = killed(["tests.storage.workload", directory, seed, *words], seconds, cut)
    lines = [json.loads(line) for line in said.lines]
    assert lines[0] == {"ready": True}
    for at, line in enumerate(lines):
        if "finished" in line and at < said.promises:
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
