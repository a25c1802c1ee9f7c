"""What every store of records must do. A test module makes the `records` fixture and imports these."""

import pytest

from commonhold.api import MAX_ANSWERS, MAX_RECORD, MAX_RECORD_KEY, MAX_RECORDS, MAX_USER, Records
from commonhold.errors import HoldError, Kind

ALICE, BOB, CAROL = 1001, 1002, 1003


def test_a_record_comes_back_as_it_was(records: Records) -> None:
    for data in (b"", b"\0\xff", bytes(MAX_RECORD)):
        records.put(ALICE, "ipns", b"name", data)
        assert records.get(ALICE, "ipns", b"name") == [data]


def test_a_key_of_which_there_is_nothing_has_no_records(records: Records) -> None:
    records.put(ALICE, "ipns", b"name", b"1")
    assert records.get(ALICE, "ipns", b"other") == [] == records.get(ALICE, "other", b"name")


def test_nobody_overwrites_anothers_record(records: Records) -> None:
    records.put(ALICE, "ipns", b"name", b"hers")
    records.put(BOB, "ipns", b"name", b"his")
    records.put(BOB, "ipns", b"name", b"his, again")
    assert records.get(CAROL, "ipns", b"name") == [b"hers", b"his, again"]
    with pytest.raises(HoldError) as caught:
        records.remove(CAROL, "ipns", b"name")
    assert caught.value.kind is Kind.NOT_FOUND
    records.remove(BOB, "ipns", b"name")
    assert records.get(BOB, "ipns", b"name") == [b"hers"]


def test_ones_own_record_comes_first(records: Records) -> None:
    for owner in (ALICE, BOB, CAROL):
        records.put(owner, "ipns", b"name", str(owner).encode())
    assert records.get(CAROL, "ipns", b"name") == [b"1003", b"1001", b"1002"]


def test_a_record_is_not_crowded_out_by_later_ones(records: Records) -> None:
    for owner in range(MAX_ANSWERS + 10):
        records.put(owner, "ipns", b"name", b"%d" % owner)
    records.put(0, "ipns", b"name", b"changed")
    found = records.get(MAX_ANSWERS + 5, "ipns", b"name")
    assert len(found) == MAX_ANSWERS and found[:2] == [b"%d" % (MAX_ANSWERS + 5), b"changed"]


def test_records_have_a_size_and_each_owner_a_number_of_them(records: Records) -> None:
    with pytest.raises(HoldError) as caught:
        records.put(ALICE, "ipns", b"name", bytes(MAX_RECORD + 1))
    assert caught.value.kind is Kind.TOO_LARGE
    for number in range(MAX_RECORDS):
        records.put(ALICE, "ipns" if number % 2 else "other", b"%d" % number, b"")
    with pytest.raises(HoldError) as caught:
        records.put(ALICE, "ipns", b"one more", b"")
    assert caught.value.kind is Kind.QUOTA
    records.put(ALICE, "ipns", b"1", b"in place of another")
    records.put(BOB, "ipns", b"one more", b"another's full store is not his")
    records.remove(ALICE, "ipns", b"1")
    records.put(ALICE, "ipns", b"one more", b"")


def test_an_owners_keys_are_listed_for_the_owner(records: Records) -> None:
    for owner, kind, key in ((ALICE, "ipns", b"b"), (ALICE, "ipns", b"a"), (ALICE, "other", b"c"), (BOB, "ipns", b"d")):
        records.put(owner, kind, key, b"")
    assert records.keys(ALICE, "ipns") == [b"a", b"b"] and records.keys(CAROL, "ipns") == []


@pytest.mark.parametrize(
    ("owner", "kind", "key", "why"),
    [
        (-1, "ipns", b"name", Kind.DENIED),
        (MAX_USER + 1, "ipns", b"name", Kind.DENIED),
        (ALICE, "", b"name", Kind.INVALID),
        (ALICE, "IPNS", b"name", Kind.INVALID),
        (ALICE, "i" * 33, b"name", Kind.INVALID),
        (ALICE, "ipns", b"", Kind.INVALID),
        (ALICE, "ipns", bytes(MAX_RECORD_KEY + 1), Kind.INVALID),
    ],
)
def test_a_place_that_cannot_be_is_refused(records: Records, owner: int, kind: str, key: bytes, why: Kind) -> None:
    for call in (
        lambda: records.put(owner, kind, key, b""),
        lambda: records.get(owner, kind, key),
        lambda: records.remove(owner, kind, key),
    ):
        with pytest.raises(HoldError) as caught:
            call()
        assert caught.value.kind is why
