"""The ledger: what it promises, and that nothing takes longer because it has many rows."""

import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.storage.ledger import Row
from tests.storage.keeping import QUOTA, Place, bytes_of, index_of


def test_no_call_looks_at_more_rows_than_it_is_about(kept: Place) -> None:
    """Every statement that a server's calls come to finds its rows by a key or an index."""
    said: list[str] = []
    account = kept.account()
    with kept.ledger._db.reading("watch") as db:
        db.set_trace_callback(said.append)
    kept.store(account, index_of(1), b"a share")
    kept.keeper.begin(account, QUOTA, index_of(2), 10, 0)
    kept.keeper.sizes([index_of(1)])
    kept.keeper.renew(account, [index_of(1)], kept.clock.now + 5000)
    kept.keeper.check(index_of(1))
    kept.ledger.listed(account, b"", 10)
    kept.ledger.used(account)
    kept.account(5)
    kept.keeper.drop(account, [index_of(1)])
    kept.clock.now += 500 * 86_400
    kept.sweep()
    with closing(sqlite3.connect(kept.directory / "ledger.sqlite")) as db:
        for statement in {one for one in said if re.match("select|update|delete|insert", one)}:
            for *_, plan in db.execute(f"explain query plan {statement}"):
                assert "TEMP B-TREE" not in plan, statement
                assert not plan.startswith("SCAN") or plan == "SCAN shelves", (plan, statement)
    assert len(said) > 20


def test_a_promise_is_kept_or_not_made(kept: Place) -> None:
    """Whatever chose the shelf: quota, shelf and row change together or not at all."""
    shelf = kept.ledger.put_shelf(kept.directory / "shelf-0", 100)
    row = Row(kept.account(), index_of(1), shelf.id, bytes(16), 60, None, 0)
    kept.ledger.promise(row, 100)
    for other, quota, kind in (
        (replace(row, index=index_of(2), file=bytes(15)), 119, Kind.QUOTA),
        (replace(row, index=index_of(2), file=bytes(15)), 120, Kind.DISK_FULL),
        (replace(row, size=10), 100, Kind.EXISTS),
        (replace(row, index=index_of(2), shelf=9), 1000, Kind.DISK_FULL),
    ):
        with pytest.raises(HoldError) as caught:
            kept.ledger.promise(other, quota)
        assert caught.value.kind is kind
        assert kept.ledger.used(row.account) == (60, 1) and kept.ledger.shelves()[0].used == 60
    with pytest.raises(HoldError) as caught:
        kept.ledger.complete(kept.account(), index_of(2), bytes(32), 0)
    assert caught.value.kind is Kind.NOT_FOUND


def test_many_small_shares_need_a_large_quota(kept: Place) -> None:
    """Each takes a row, a name and a block of a disk, whatever it is charged."""
    account = kept.account()

    def promise(number: int, quota: int) -> None:
        kept.ledger.promise(Row(account, index_of(number), 1, bytes_of(number, 16), 1, None, 0), quota)

    for number in range(1024):
        promise(number, 65_535)
    with pytest.raises(HoldError) as caught:
        promise(1024, 65_535)
    assert caught.value.kind is Kind.QUOTA
    promise(1024, 65_536)


def test_a_lease_that_is_renewed_while_its_end_is_seen_has_not_ended(kept: Place) -> None:
    account, now = kept.account(), kept.clock.now
    for number in range(3):
        kept.store(account, index_of(number), b"x", now + number)
    ended = kept.ledger.ended(now + 2, 10)
    assert [row.until for row in ended] == [now, now + 1]
    kept.keeper.renew(account, [index_of(0)], now + 50)
    gone = kept.ledger.expire(now + 2, [(account, index_of(number)) for number in range(3)])
    assert [one.file for one in gone] == [ended[1].file]
    assert kept.keeper.sizes([index_of(number) for number in range(3)]) == [1, 0, 1]


def test_a_ledger_is_for_its_owner_only_and_of_this_version(kept: Place, tmp_path: Path) -> None:
    assert (tmp_path / "ledger.sqlite").stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as db:
        assert db.execute("pragma user_version").fetchone() == (2,)


def test_accounts_are_told_apart_by_who_blessed_them(kept: Place) -> None:
    from commonhold.formats.credential import AccountId
    from commonhold.formats.keys import PublicKey

    numbers = [
        kept.ledger.account(PublicKey(bytes([key]) * 32), AccountId(bytes([number]) * 16))
        for key in range(2)
        for number in range(2)
    ]
    assert len(set(numbers)) == 4
    assert kept.ledger.account(PublicKey(bytes(32)), AccountId(bytes(16))) == numbers[0]
    kept.store(numbers[0], index_of(1), bytes_of(1, 10))
    assert [kept.ledger.used(number) for number in numbers] == [(10, 1), (0, 0), (0, 0), (0, 0)]
    assert kept.ledger.used(numbers[-1] + 1) == (0, 0)  # type: ignore[arg-type]
