"""Leases: how long a share is kept, who can let it go, and what the books say then."""

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.storage import keeping
from commonhold.storage.keeping import GRACE, MAX_LEASE
from commonhold.storage.underway import UPLOAD_SECONDS
from tests.storage.keeping import QUOTA, Place, bytes_of, index_of

INDEX = index_of("a share")
DATA = bytes_of("a share", 1000)


def until(kept: Place) -> int:
    (row,) = kept.ledger.listed(kept.account(), b"", 10)
    return row.until


def test_a_lease_is_made_longer_and_never_shorter(kept: Place) -> None:
    now = kept.clock.now
    kept.store(kept.account(), INDEX, DATA, now + 1000)
    assert kept.keeper.renew(kept.account(), [INDEX, index_of("none"), INDEX], now + 500) == [True, False, True]
    assert until(kept) == now + 1000
    kept.keeper.renew(kept.account(), [INDEX], now + 2000)
    assert until(kept) == now + 2000
    assert kept.keeper.renew(kept.account(1), [INDEX], now + 9000) == [False]
    assert until(kept) == now + 2000
    kept.keeper.begin(kept.account(), QUOTA, INDEX, len(DATA), now + 3000)
    kept.keeper.begin(kept.account(), QUOTA, INDEX, len(DATA), now)
    assert until(kept) == now + 3000


@pytest.mark.parametrize("asked", [MAX_LEASE, MAX_LEASE + 1, (1 << 63) - 1 - 1_900_000_000])
def test_no_lease_is_longer_than_400_days(kept: Place, asked: int) -> None:
    kept.store(kept.account(), INDEX, DATA, kept.clock.now + asked)
    assert until(kept) == kept.clock.now + MAX_LEASE
    kept.keeper.renew(kept.account(), [INDEX], kept.clock.now + asked)
    assert until(kept) == kept.clock.now + MAX_LEASE


def test_the_lease_is_that_of_the_last_begin(kept: Place) -> None:
    now = kept.clock.now
    kept.keeper.begin(kept.account(), QUOTA, INDEX, len(DATA), now + 10)
    kept.store(kept.account(), INDEX, DATA, now + 5000)
    assert until(kept) == now + 5000


def test_a_share_is_kept_seven_days_longer_than_its_lease(kept: Place) -> None:
    kept.store(kept.account(), INDEX, DATA, kept.clock.now + 10)
    kept.clock.now += 10 + GRACE
    kept.sweep()
    assert kept.read(INDEX) == DATA
    kept.clock.now += 1
    kept.sweep()
    with pytest.raises(HoldError):
        kept.read(INDEX)
    assert kept.used() == 0 and not kept.files()
    assert kept.keeper.renew(kept.account(), [INDEX], kept.clock.now + 10) == [False]


def test_who_renews_within_the_grace_loses_nothing(kept: Place) -> None:
    kept.store(kept.account(), INDEX, DATA, kept.clock.now + 10)
    kept.clock.now += 10 + GRACE
    kept.keeper.renew(kept.account(), [INDEX], kept.clock.now)
    kept.clock.now += GRACE
    kept.sweep()
    assert kept.read(INDEX) == DATA


def test_an_upload_without_end_is_forgotten(kept: Place) -> None:
    kept.keeper.begin(kept.account(), QUOTA, INDEX, len(DATA), kept.clock.now + MAX_LEASE)
    kept.clock.now += UPLOAD_SECONDS + GRACE
    kept.keeper.append(kept.account(), INDEX, 0, DATA[:10])
    kept.sweep()
    assert kept.used() == len(DATA)
    kept.clock.now += 1
    kept.sweep()
    assert kept.used() == 0 and not kept.files()
    with pytest.raises(HoldError) as caught:
        kept.keeper.append(kept.account(), INDEX, 10, DATA[10:])
    assert caught.value.kind is Kind.NOT_FOUND
    assert kept.keeper.begin(kept.account(), QUOTA, INDEX, len(DATA), 0) == 0


def test_a_sweep_goes_in_pieces(kept: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "_SWEEP", 3)
    for number in range(8):
        kept.store(kept.account(), index_of(number), DATA, kept.clock.now + number)
    kept.clock.now += GRACE + 7
    rows = []
    while kept.keeper.sweep():
        rows.append(len(kept.rows()))
        kept.check_books()
    assert rows[:3] == [5, 2, 1] and kept.read(index_of(7)) == DATA
    assert kept.ledger.gone(1, 100) == []


def test_an_owner_lets_shares_and_uploads_go_and_nobody_elses(kept: Place) -> None:
    mine, other = kept.account(), kept.account(1)
    kept.store(mine, INDEX, DATA)
    kept.store(other, INDEX, DATA)
    kept.keeper.begin(mine, QUOTA, index_of("upload"), 500, kept.clock.now)
    kept.keeper.drop(mine, [index_of("none"), INDEX, index_of("upload"), INDEX])
    assert kept.used() == 0 and kept.used(1) == len(DATA)
    assert kept.read(INDEX) == DATA and len(kept.files()) == 1


def test_files_to_be_removed_are_after_a_crash_too(kept: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.store(kept.account(), INDEX, DATA)
    with monkeypatch.context() as patched:
        patched.setattr(kept.shelves, "unlink", lambda gone: None)  # it dies before
        kept.keeper.drop(kept.account(), [INDEX])
    assert len(kept.files()) == 1 and kept.used() == 0
    again = kept.crash()
    again.sweep()
    assert not again.files() and again.ledger.gone(1, 10) == []
    again.close()
