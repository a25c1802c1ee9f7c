"""Files the way a store needs them."""

import os

from commonhold.host import disk


def test_a_forked_process_has_memory_of_its_own() -> None:
    """What two of them fill and send must not be what the other one wrote meanwhile."""
    memory = disk.aligned(3 * disk.PAGE)
    memory[:4] = b"mine"
    child = os.fork()
    if not child:
        memory[:4] = b"your"
        os._exit(0 if bytes(memory[:4]) == b"your" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert bytes(memory[:4]) == b"mine"
