"""The newest list counts, an older one never again, and one that contradicts it is told.

REQUIREMENTS B8.
"""

from dataclasses import replace

import pytest

from commonhold.authority.lists import Taken
from commonhold.authority.times import SKEW
from commonhold.crypto.statements import verified
from commonhold.formats.malformed import Malformed
from commonhold.formats.statement import Kind, decode
from tests.authority.parties import HOUR, NOW, grid, lists, public, revocations, seed
from tests.authority.twice import signature

BLESSER = public("blesser")


def revoked(found: object, *serials: int) -> list[int]:
    return [serial for serial in serials if found.revoked(BLESSER, grid(), serial)]  # type: ignore[attr-defined]


def test_b8_a_newer_list_takes_the_place_of_an_older_one_and_never_gives_it_back() -> None:
    found = lists(revocations(1, 5))
    assert revoked(found, 0, 1, 2, 5, 6) == [1, 5]
    assert found.take(revocations(1, 5)) is Taken.SAME
    assert found.take(revocations(5, 6, sequence=2)) is Taken.NEWER
    assert found.take(revocations(1, 5)) is Taken.OLDER
    assert revoked(found, 0, 1, 2, 5, 6) == [5, 6]


def test_b8_two_lists_of_one_number_that_differ_revoke_what_either_names_and_are_not_fresh() -> None:
    found = lists(revocations(1))
    assert found.contradicted(BLESSER, grid()) is None and found.fresh_end(BLESSER, grid(), NOW)
    for _ in range(2):
        assert found.take(revocations(2)) in (Taken.CONTRADICTS, Taken.SAME)
    assert found.take(revocations(3)) is Taken.CONTRADICTS
    assert revoked(found, 1, 2) == [1, 2] and found.fresh_end(BLESSER, grid(), NOW) is None
    assert found.contradicted(BLESSER, grid()) == (revocations(1), revocations(2))
    assert found.take(revocations(2, sequence=2)) is Taken.NEWER
    assert revoked(found, 1, 2) == [2] and found.fresh_end(BLESSER, grid(), NOW)
    assert found.contradicted(BLESSER, grid()) is None


def test_a_list_that_was_signed_twice_is_one_list() -> None:
    first = decode(Kind.REVOCATIONS, revocations(1))
    again = replace(first, signature=signature(seed("blesser"), first.message, 12345)).encoded
    assert again != first.encoded and verified(Kind.REVOCATIONS, again)
    found = lists(revocations(1))
    assert found.take(again) is Taken.SAME and found.contradicted(BLESSER, grid()) is None
    assert found.kept == (revocations(1),)


def test_a_list_by_a_stranger_or_of_another_grid_is_not_kept() -> None:
    found = lists(revocations())
    assert found.take(revocations(by="mallory")) is Taken.STRANGE
    assert found.take(revocations(grid=grid("test"))) is Taken.STRANGE
    assert found.kept == (revocations(),)


def test_a_list_that_its_blesser_did_not_sign_changes_nothing() -> None:
    found = lists(revocations(1))
    forged = revocations(sequence=2)
    with pytest.raises(Malformed):
        found.take(forged[:-1] + bytes([forged[-1] ^ 1]))
    with pytest.raises(Malformed):
        found.take(b"nonsense")
    assert revoked(found, 1) == [1]


def test_blessers_and_grids_revoke_each_their_own() -> None:
    found = lists(revocations(1), revocations(2, by="second"))
    assert revoked(found, 1, 2) == [1]
    assert found.revoked(public("second"), grid(), 2) and not found.revoked(public("second"), grid("test"), 2)


@pytest.mark.parametrize(
    ("now", "fresh"),
    [
        (NOW - HOUR - SKEW - 1, False),
        (NOW - HOUR - SKEW, True),
        (NOW + HOUR + SKEW - 1, True),
        (NOW + HOUR + SKEW, False),
    ],
)
def test_b8_a_list_is_fresh_between_its_times_and_the_tolerance(now: int, fresh: bool) -> None:
    assert lists(revocations()).fresh_end(BLESSER, grid(), now) == (NOW + HOUR + SKEW if fresh else None)


def test_a_stale_list_still_revokes() -> None:
    found = lists(revocations(1))
    assert found.fresh_end(BLESSER, grid(), NOW + 10 * HOUR) is None and revoked(found, 1) == [1]


def test_what_is_kept_makes_the_same_lists() -> None:
    found = lists(revocations(1), revocations(2), revocations(3, by="second"))
    again = lists(*found.kept)
    assert again.kept == found.kept and revoked(again, 1, 2) == [1, 2]
    assert again.contradicted(BLESSER, grid()) == found.contradicted(BLESSER, grid())
