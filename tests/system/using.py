"""Use the installed node as one of its users: many blocks in, back out, given up; who is behind the socket."""

import os
import pwd
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from commonhold.formats import cid, multihash
from commonhold.ipc.nodeclient import NodeStore

# Before the node's first start it is systemd that listens.
_BEHIND = {0, pwd.getpwnam("commonhold").pw_uid}


def keep_and_give_up(number: int) -> None:
    """A retain set of some large and many small blocks."""
    blocks = [os.urandom(1 << 20) for _ in range(12)] + [os.urandom(2000) for _ in range(500)]
    keys = [multihash.sha2_256(block) for block in blocks]
    session = node.session()
    for key, block in zip(keys, blocks, strict=True):
        session.put(key, block)
    session.commit(f"set {number}", cid.make_v1(cid.RAW, keys[0]))
    assert [node.get(key) for key in keys] == blocks
    node.unpin(f"set {number}")


if __name__ == "__main__":
    node = NodeStore(Path("/run/commonhold/node.sock"), _BEHIND)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(keep_and_give_up, range(8)))
    gone = node.collect()
    assert gone.blocks == 8 * 512, gone
    assert node.account()["bytes"] == 0
    node.close()
    sys.stdout.write("all came back\n")
