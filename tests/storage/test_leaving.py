"""A server that is being emptied: it takes nothing new, what is there stays for its owners, and it comes to an end."""

from pathlib import Path

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.formats import storagewords
from commonhold.storage.keeping import GRACE, IDLE_SECONDS, MAX_LEASE
from commonhold.storage.moving import PATIENCE
from commonhold.storage.underway import UPLOAD_SECONDS
from tests.storage.keeping import QUOTA, Place, bytes_of, hash_of, index_of
from tests.storage.serving import serving

DAY = 86_400
HERE, NEW, BEGUN = index_of("here"), index_of("new"), index_of("begun")
DATA = bytes_of("here", 5000)


def refused(kept: Place, index: object = NEW) -> str:
    with pytest.raises(HoldError) as caught:
        kept.keeper.begin(kept.account(), QUOTA, index, 5000, kept.clock.now + DAY)  # type: ignore[arg-type]
    assert caught.value.kind is Kind.DENIED
    return caught.value.why


def test_it_takes_nothing_new_and_what_is_there_is_read_renewed_and_dropped(kept: Place) -> None:
    kept.store(kept.account(), HERE, DATA)
    kept.keeper.leave(True)
    assert "put it at another" in refused(kept)
    assert kept.read(HERE) == DATA and kept.keeper.check(HERE)
    until = kept.clock.now + 5 * DAY
    assert kept.keeper.begin(kept.account(), QUOTA, HERE, 5000, until) == 5000  # which renews it
    assert kept.ledger.listed(kept.account(), b"", 1)[0].until == until
    assert kept.keeper.renew(kept.account(), [HERE], until + DAY) == [True]
    kept.keeper.drop(kept.account(), [HERE])
    assert kept.ledger.left().shares == 0


def test_that_is_so_after_a_restart_until_it_is_taken_back(kept: Place) -> None:
    kept.keeper.leave(True)
    since = kept.keeper.leaving
    kept.clock.now += DAY
    again = kept.crash()
    try:
        assert again.keeper.leaving == again.ledger.leaving() == since
        again.keeper.leave(True)
        assert again.keeper.leaving == since  # said once more, it has no later beginning
        refused(again)
        again.keeper.leave(False)
        again.store(again.account(), NEW, DATA)
    finally:
        again.close()
    last = again.crash()
    assert last.keeper.leaving is None and last.read(NEW) == DATA
    last.close()


def test_no_lease_goes_beyond_what_was_given_before_so_that_it_comes_to_an_end(kept: Place) -> None:
    kept.store(kept.account(), HERE, DATA, until=kept.clock.now + 10 * MAX_LEASE)
    kept.keeper.leave(True)
    end = kept.clock.now + MAX_LEASE
    for _ in range(9):
        kept.clock.now += MAX_LEASE // 10
        kept.keeper.renew(kept.account(), [HERE], kept.clock.now + MAX_LEASE)
        kept.keeper.begin(kept.account(), QUOTA, HERE, 5000, kept.clock.now + MAX_LEASE)
    assert kept.ledger.left().until == end
    kept.clock.now = end + GRACE + 1
    kept.sweep()
    assert kept.ledger.left().shares == 0


def test_an_upload_that_was_begun_may_end_and_one_that_does_not_goes(kept: Place) -> None:
    for name in (BEGUN, NEW):
        kept.keeper.begin(kept.account(), QUOTA, name, 5000, kept.clock.now + DAY)
        kept.keeper.append(kept.account(), name, 0, DATA[:100])
    kept.keeper.leave(True)
    kept.sweep()
    kept.keeper.append(kept.account(), BEGUN, 100, DATA[100:])
    kept.keeper.finish(kept.account(), BEGUN, hash_of(DATA))
    refused(kept)  # nor is one gone on with
    kept.clock.now += IDLE_SECONDS + 1
    kept.sweep()
    assert kept.read(BEGUN) == DATA and kept.ledger.left().shares == 1
    kept.check_books()


def test_an_upload_that_creeps_goes_after_an_hour(kept: Place) -> None:
    kept.keeper.begin(kept.account(), QUOTA, BEGUN, 5000, kept.clock.now + 10 * DAY)
    kept.keeper.leave(True)
    at = 0
    for _ in range(PATIENCE // 50):
        kept.clock.now += 50
        kept.sweep()
        at = kept.keeper.append(kept.account(), BEGUN, at, b"x")
    assert at > 60 and PATIENCE < UPLOAD_SECONDS
    kept.clock.now += 50
    kept.sweep()
    assert kept.ledger.left().shares == 0 and not kept.files()


def test_what_is_left_is_counted(kept: Place) -> None:
    assert kept.ledger.left().until is None
    for number, name in ((0, "a"), (0, "b"), (1, "c")):
        kept.store(kept.account(number), index_of(name), DATA, until=kept.clock.now + number * DAY)
    kept.account(2)
    left = kept.ledger.left()
    assert (left.accounts, left.shares, left.bytes, left.until) == (2, 3, 15_000, kept.clock.now + DAY)


def test_a_client_is_told_in_words_and_by_a_kind(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        server.kept.store(server.kept.account(), HERE, DATA)
        server.kept.keeper.leave(True)
        facet = server.tenant()
        answer = server.ask("POST", f"{facet}/uploads/{NEW}", storagewords.begin(5000, 2_000_000_000))
        failure = storagewords.decode_failure(answer.body)
        assert (answer.status, failure.kind) == (403, Kind.DENIED) and "being emptied" in failure.why
        assert server.ask("GET", f"/v1/shares/{HERE}").body == DATA
        assert server.ask("POST", f"{facet}/drop", storagewords.indexes([HERE])).status == 200
