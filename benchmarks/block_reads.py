"""Read blocks of 4 KiB from a node in batches, again and again; print how many a second. See `node_rows`."""

import sys
import time
from pathlib import Path

from commonhold.ipc.nodeclient import NodeStore

_BATCH = 256

store = NodeStore(Path(sys.argv[1]))
wanted = int(sys.argv[2])
found = list(store.keys())
keys = [key for key, size in zip(found, store.sizes(found), strict=True) if size == 4096]
batches = [keys[at : at + _BATCH] for at in range(0, len(keys), _BATCH)]
for batch in batches:  # so that they are cached
    store.batch(batch)
done, number = 0, 0
start = time.perf_counter()
while done < wanted:
    batch = batches[number % len(batches)]
    if len(store.batch(batch)) != len(batch):
        raise SystemExit("a block is missing")
    done += len(batch)
    number += 1
print(f"{done / (time.perf_counter() - start):.0f}")
store.close()
