"""What a node gives out at once: as much as was asked for, and as much as may be held."""

from pathlib import Path

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.ipc import ahead
from commonhold.ipc.nodeclient import NodeStore
from tests.node.serving import running, serving
from tests.node.wire import archive, ask, packed, put
from tests.suites.blockstore import key_of

BLOCKS = [b"a" * 100, b"", b"b" * 50, b"c" * 200, b"d"]
KEYS = [key_of(data) for data in BLOCKS]


@pytest.mark.parametrize(
    ("most", "count"), [(0, 0), (99, 0), (100, 2), (149, 2), (150, 3), (350, 4), (351, 5), (10**15 - 1, 5)]
)
def test_an_archive_ends_before_the_block_that_would_be_too_much(tmp_path: Path, most: int, count: int) -> None:
    with serving(tmp_path) as (config, _):
        put(config.socket, "some", *BLOCKS)
        answer = ask(config.socket, "POST", f"/v1/blocks/read?most={most}", packed(KEYS[0], key_of(b"none"), *KEYS[1:]))
        assert answer.body == archive(*list(zip(KEYS, BLOCKS, strict=True))[:count])


def test_what_was_fetched_ahead_is_given_out_once_and_no_more_is_held_than_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "BYTES", 160)
    with running(tmp_path) as node:
        put(node.socket, "some", *BLOCKS)
        store = NodeStore(node.socket)
        store.expect(KEYS)
        store.expect(KEYS)
        node.stop()
        assert [store.size(key) for key in KEYS[:3]] == [100, 0, 50]
        assert [store.get(key) for key in KEYS[:3]] == BLOCKS[:3]
        for key in (KEYS[0], KEYS[3], KEYS[4]):
            with pytest.raises(HoldError, check=lambda error: error.kind is Kind.UNREACHABLE):
                store.get(key)
        store.close()
