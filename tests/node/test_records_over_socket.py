"""Records behind a node's socket: the same store, for whom the kernel says is calling."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from commonhold.api import MAX_RECORD
from commonhold.errors import HoldError, Kind
from commonhold.ipc.noderecords import NodeRecords
from commonhold.ipc.unixhttp import Client
from commonhold.node.records import FILE, RecordStore
from tests.node.serving import serving

SOMEBODY = 4321


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[Path, Client]]:
    with serving(tmp_path) as (config, _):
        client = Client(config.socket)
        yield config.repository, client
        client.close()


def test_a_record_is_its_callers_whatever_owner_is_named(place: tuple[Path, Client]) -> None:
    repository, client = place
    records = NodeRecords(client)
    records.put(SOMEBODY, "ipns", b"name", b"value")
    assert records.get(SOMEBODY, "ipns", b"name") == [b"value"] and records.keys(SOMEBODY, "ipns") == [b"name"]
    beside = RecordStore(repository / FILE)
    assert beside.keys(os.geteuid(), "ipns") == [b"name"] and beside.keys(SOMEBODY, "ipns") == []
    beside.put(SOMEBODY, "ipns", b"name", b"theirs")
    records.remove(SOMEBODY, "ipns", b"name")
    assert records.get(SOMEBODY, "ipns", b"name") == [b"theirs"]
    with pytest.raises(HoldError) as caught:
        records.remove(SOMEBODY, "ipns", b"name")
    assert caught.value.kind is Kind.NOT_FOUND
    beside.close()


def test_what_is_no_record_or_too_large_is_refused(place: tuple[Path, Client]) -> None:
    records = NodeRecords(place[1])
    for kind, key, record, why in [
        ("ipns", b"k", bytes(MAX_RECORD + 1), Kind.TOO_LARGE),
        ("ipns", bytes(129), b"", Kind.INVALID),
        ("Not-a-kind", b"k", b"", Kind.INVALID),
    ]:
        with pytest.raises(HoldError) as caught:
            records.put(0, kind, key, record)
        assert caught.value.kind is why
    with pytest.raises(HoldError) as caught:
        place[1].read(place[1].call("GET", "/v1/records/ipns/xyz"))
    assert caught.value.kind is Kind.INVALID
