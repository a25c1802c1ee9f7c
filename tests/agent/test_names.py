"""Names over a node that is not to be believed: only what the name's key signed counts, and the best of that."""

import base64
import itertools
import json
import os
from pathlib import Path

import pytest

from commonhold.agent import names
from commonhold.agent.keystore import Key, Keystore
from commonhold.agent.names import KIND, Names, Verdict, issue, judge
from commonhold.errors import Kind
from commonhold.formats import cid as cids
from commonhold.formats import dagcbor, ipns
from commonhold.formats.instant import SECOND
from commonhold.formats.ipns import Claims, Record
from tests import vectors
from tests.agent.test_keystore import refused
from tests.fakes.records import MemoryRecords

ALICE, MALLORY = 1001, 6666
NOW = 1_800_000_000 * SECOND
HOUR = 3600 * SECOND
CID = cids.parse_text("bafkreifjjcie6lypi6ny7amxnfftagclbuxndqonfipmb64f2km2devei4")
OTHER = cids.parse_text("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku")
KEYS = json.loads((vectors.ROOT / "ipns.json").read_text())["keys"]


@pytest.fixture
def keystore(tmp_path: Path) -> Keystore:
    return Keystore(tmp_path, os.geteuid())


@pytest.fixture
def key(keystore: Keystore) -> Key:
    return keystore.make("blog", os.urandom)


@pytest.fixture
def records() -> MemoryRecords:
    return MemoryRecords()


@pytest.fixture
def alice(records: MemoryRecords) -> Names:
    return Names(records, ALICE)


def publish(who: Names, key: Key, path: str, now: int = NOW, lifetime: int = HOUR) -> Record:
    return who.publish(key, path, now, lifetime, SECOND)


def test_what_is_published_is_what_the_name_points_at(alice: Names, key: Key) -> None:
    publish(alice, key, f"{CID}/a")
    assert alice.resolve(key.name, ["b"], NOW) == (CID, ["a", "b"])
    assert alice.best(key.name).claims == Claims(f"/ipfs/{CID}/a".encode(), NOW + HOUR, 0, SECOND)


def test_each_publication_counts_one_on_and_replaces_the_last(alice: Names, key: Key) -> None:
    assert [publish(alice, key, str(cid)).claims.sequence for cid in (CID, OTHER, CID)] == [0, 1, 2]
    assert alice.resolve(key.name, [], NOW) == (CID, [])


def test_another_user_resolves_it_too(alice: Names, records: MemoryRecords, key: Key) -> None:
    publish(alice, key, str(CID))
    assert Names(records, MALLORY).resolve(key.name, [], NOW) == (CID, [])


def test_the_sequence_counts_on_from_the_best_record_of_anyone(alice: Names, records: MemoryRecords, key: Key) -> None:
    """The same key on two hosts or for two users: the later publication must win wherever both are known."""
    records.put(MALLORY, KIND, key.name, issue(key, Claims(b"/ipfs/bafkqaaa", NOW - HOUR, 41, 0)).raw)
    assert publish(alice, key, str(CID)).claims.sequence == 42


def test_a_name_that_nobody_published_points_nowhere(alice: Names, key: Key) -> None:
    refused(lambda: alice.resolve(key.name, [], NOW), Kind.NOT_FOUND)


def test_a_record_expires(alice: Names, key: Key) -> None:
    publish(alice, key, str(CID))
    alice.resolve(key.name, [], NOW + HOUR - 1)
    assert "expired at" in refused(lambda: alice.resolve(key.name, [], NOW + HOUR), Kind.NOT_FOUND).why


def test_a_record_that_was_replaced_does_not_come_back_when_the_later_expires(
    alice: Names, records: MemoryRecords, key: Key
) -> None:
    old = publish(alice, key, str(CID), lifetime=1000 * HOUR)
    publish(alice, key, str(OTHER))
    records.put(MALLORY, KIND, key.name, old.raw)
    assert alice.resolve(key.name, [], NOW) == (OTHER, [])
    refused(lambda: alice.resolve(key.name, [], NOW + 2 * HOUR), Kind.NOT_FOUND)


def test_nothing_that_another_user_puts_changes_what_a_name_points_at(
    alice: Names, records: MemoryRecords, key: Key, keystore: Keystore
) -> None:
    mine = publish(alice, key, str(CID))
    theirs = issue(keystore.make("mallory", os.urandom), Claims(f"/ipfs/{OTHER}".encode(), NOW + HOUR, 99, 0))
    claims = Claims(f"/ipfs/{OTHER}".encode(), NOW + HOUR, 99, 0)
    forged = ipns.encode(claims, mine.signature, mine.signature)
    flipped = bytearray(mine.raw)
    flipped[-1] ^= 1
    for number, raw in enumerate((theirs.raw, forged, bytes(flipped), b"", b"rubbish", bytes(10240))):
        records.put(MALLORY + number, KIND, key.name, raw)
    for who in (alice, Names(records, MALLORY)):
        assert who.resolve(key.name, [], NOW) == (CID, [])
        assert publish(who, key, str(CID)).claims.sequence < 99


def test_a_flood_of_false_records_does_not_hide_the_true_one(alice: Names, records: MemoryRecords, key: Key) -> None:
    publish(alice, key, str(CID))
    for owner in range(2000, 2200):
        records.put(owner, KIND, key.name, b"rubbish")
    assert Names(records, 2100).resolve(key.name, [], NOW) == (CID, [])


def test_names_may_point_at_names(alice: Names, keystore: Keystore) -> None:
    chain = [keystore.make(f"k{number}", os.urandom) for number in range(names.MAX_HOPS + 1)]
    publish(alice, chain[0], f"{CID}/a")
    for below, above in itertools.pairwise(chain):
        publish(alice, above, f"/ipns/{below.name}/b")
    depth = names.MAX_HOPS
    assert alice.resolve(chain[depth - 1].name, ["c"], NOW) == (CID, ["a"] + ["b"] * (depth - 1) + ["c"])
    refused(lambda: alice.resolve(chain[depth].name, [], NOW), Kind.INVALID)


def test_a_name_that_points_at_itself_is_refused(alice: Names, key: Key) -> None:
    publish(alice, key, f"/ipns/{key.name}")
    refused(lambda: alice.resolve(key.name, [], NOW), Kind.INVALID)


@pytest.mark.parametrize(
    "value", [b"", b"/", b"/ipfs/", b"/ipfs/x", b"/ipfs/bafkqaaa/../b", b"/ipns/example.com", b"/http/x", b"/ipfs/\xff"]
)
def test_a_value_that_is_no_path_is_refused(alice: Names, records: MemoryRecords, key: Key, value: bytes) -> None:
    records.put(ALICE, KIND, key.name, issue(key, Claims(value, NOW + HOUR, 0, 0)).raw)
    refused(lambda: alice.resolve(key.name, [], NOW), Kind.INVALID)


def test_a_binary_cid_is_a_value_too(alice: Names, records: MemoryRecords, key: Key) -> None:
    records.put(ALICE, KIND, key.name, issue(key, Claims(bytes(CID), NOW + HOUR, 0, 0)).raw)
    assert alice.resolve(key.name, ["a"], NOW) == (CID, ["a"])


def test_a_path_that_does_not_fit_a_record_is_refused(alice: Names, key: Key) -> None:
    refused(lambda: publish(alice, key, f"{CID}/" + "x" * names.MAX_VALUE), Kind.TOO_LARGE)


def test_the_largest_sequence_has_no_next(alice: Names, records: MemoryRecords, key: Key) -> None:
    records.put(ALICE, KIND, key.name, issue(key, Claims(b"/ipfs/bafkqaaa", NOW, ipns.MAX_WRITTEN, 0)).raw)
    refused(lambda: publish(alice, key, str(CID)), Kind.INVALID)


@pytest.mark.parametrize("case", vectors.cases("ipns"), ids=lambda case: case["name"])
def test_the_verdict_is_that_of_other_tools(case: dict[str, str]) -> None:
    raw, name = base64.b64decode(case["record"]), ipns.parse_name(KEYS[int(case["key"])]["name"])
    found = names.best(name, [b"rubbish", raw])
    expected = {"valid": Verdict(True, True), "RecordExpiredError": Verdict(True, False)}.get(case["verdict"])
    assert (judge(found, name, NOW) if found else None) == expected


def test_a_key_inside_the_record_must_be_the_names(key: Key, keystore: Keystore) -> None:
    other = keystore.make("other", os.urandom)
    claims = Claims(b"/ipfs/bafkqaaa", NOW + HOUR, 0, 0)
    data = ipns.encode_claims(claims)
    bare = issue(key, claims).raw
    for inside, good in ((key, True), (other, False)):
        public = b"\x3a\x24\x08\x01\x12\x20" + inside.name.public
        record = ipns.decode(public + bare)
        assert record.public == inside.name.public and record.data == data
        assert judge(record, key.name, NOW) == Verdict(good, True)
        assert judge(record, other.name, NOW).signed is False


def test_claims_of_others_are_kept_apart_but_signed(key: Key) -> None:
    document = dagcbor.decode(ipns.encode_claims(Claims(b"/ipfs/bafkqaaa", NOW + HOUR, 0, 0))) | {"_mine": b"x"}
    data = dagcbor.encode(document)
    signature = key.sign(ipns.signed(data))
    record = ipns.decode(b"\x42\x40" + signature + b"\x4a" + bytes([len(data)]) + data)
    assert record.extra == ("_mine",) and judge(record, key.name, NOW).valid
