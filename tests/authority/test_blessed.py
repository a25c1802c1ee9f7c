"""Two questions about a server: may anything be put there, and may anything be read from there.

REQUIREMENTS B3, B8, B11, B16, B28, B29, B30, B32, B33, B35, D24.
"""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold.authority.blessed import MAX_BLESSINGS, announced, may_read, may_upload
from commonhold.authority.judging import Reason
from commonhold.authority.lists import Lists
from commonhold.authority.times import SKEW
from commonhold.authority.trust import Grid, Trust, of_its_blesser
from commonhold.crypto.statements import signed, verified
from commonhold.formats import announcement
from commonhold.formats.announcement import Announcement
from commonhold.formats.blessing import INTRODUCER, STORAGE, Purpose
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import GridId
from commonhold.formats.statement import Kind
from tests.authority.parties import (
    DAY,
    HOUR,
    NOW,
    blessing,
    candidate,
    grid,
    lists,
    pin,
    public,
    revocations,
    rule,
    seed,
)
from tests.examples import examples

ONE = Trust((of_its_blesser(grid()),))


def trust(*names: str, **other: Any) -> Trust:
    return Trust((Grid(grid(), {STORAGE: rule(*names, **other)}),))


def test_b3_a_server_that_its_blesser_has_blessed_is_uploaded_to() -> None:
    verdict = may_upload(candidate(blessing(classes=("reliable", "eu"))), ONE, lists(), NOW)
    assert verdict.allowed and verdict.by == (public("blesser"),) and verdict.classes == {"reliable", "eu"}
    assert verdict.until == NOW + HOUR + SKEW  # when the list is stale; the blessing would hold a day
    assert verdict.said == (
        f"blessed for storage until 2027-01-15T09:05:00Z by {GridId(public('blesser'))}, as eu, reliable"
    )


# Each is refused for its one reason, and everything else about it is sound.
FAULTS: dict[str, tuple[bytes, Reason, Lists | None]] = {
    "not a blessing": (b"nonsense", Reason.UNREADABLE, None),
    "of another server": (blessing(server=pin("cellar")), Reason.OTHER_SERVER, None),
    "for another purpose": (blessing(purpose=INTRODUCER), Reason.OTHER_PURPOSE, None),
    "of another grid": (blessing(grid=grid("test")), Reason.OTHER_GRID, None),
    "by nobody who counts": (blessing("mallory"), Reason.UNKNOWN_BLESSER, None),
    "forged": (blessing()[:-1] + bytes([blessing()[-1] ^ 1]), Reason.FORGED, None),
    "revoked": (blessing(), Reason.REVOKED, lists(revocations(7))),
    "not yet valid": (blessing(not_before=NOW + SKEW + 1), Reason.EARLY, None),
    "expired": (blessing(not_after=NOW - SKEW), Reason.EXPIRED, None),
    "beside a list that is stale": (blessing(), Reason.STALE, lists(revocations(fresh_until=NOW - SKEW))),
    "beside a list of the future": (
        blessing(),
        Reason.STALE,
        lists(revocations(issued=NOW + SKEW + 1, fresh_until=NOW + DAY)),
    ),
    "beside two lists": (blessing(), Reason.STALE, lists(revocations(1), revocations(2))),
    "beside no list": (blessing(), Reason.STALE, lists(revocations(by="second"))),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_b3_b11_what_is_wrong_with_a_blessing_is_said_and_nothing_is_put_there(fault: str) -> None:
    data, reason, known = FAULTS[fault]
    verdict = may_upload(candidate(data), ONE, known or lists(), NOW)
    assert not verdict.allowed and verdict.until is None
    assert [one.reason for one in verdict.seen] == [reason]
    assert reason.value in verdict.said and verdict.lines[1] == f"blessing {verdict.seen[0]}"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("revoked", "revoked: its blesser's list names 7"),
        ("expired", "expired at 2027-01-15T07:55:00Z"),
        ("not yet valid", "not valid before 2027-01-15T08:05:01Z"),
        ("of another server", f"another server's: {pin('cellar')}"),
        ("beside a list that is stale", "was fresh until 2027-01-15T07:55:00Z, and no newer one came"),
        ("beside a list of the future", "is of 2027-01-15T08:05:01Z: one of the clocks is wrong"),
        ("beside two lists", "signed two revocation lists of number 1 that differ"),
        ("beside no list", "no revocation list of its blesser has come yet"),
    ],
)
def test_a_reason_names_the_serial_the_time_or_the_key(fault: str, said: str) -> None:
    data, _, known = FAULTS[fault]
    line = may_upload(candidate(data), ONE, known or lists(), NOW).lines[1]
    assert said in line and line.startswith("blessing 7 by g")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_sound_blessing_beside_a_bad_one_is_enough(fault: str) -> None:
    data, reason, known = FAULTS[fault]
    if known is None:
        verdict = may_upload(candidate(data, blessing(serial=8)), ONE, lists(), NOW)
        assert verdict.allowed and [one.reason for one in verdict.seen] == [reason, Reason.HOLDS]


LOST = ("revoked", "not yet valid", "expired", "beside a list that is stale", "beside two lists", "beside no list")


@pytest.mark.parametrize("fault", LOST)
def test_b3_a_lost_blessing_never_stops_reads(fault: str) -> None:
    data, _, known = FAULTS[fault]
    verdict = may_read(candidate(data), ONE, known or lists(), NOW)
    assert verdict.allowed and verdict.by == (public("blesser"),) and "read from, as it was blessed" in verdict.said


@pytest.mark.parametrize("fault", ["not a blessing", "of another server", "by nobody who counts", "forged"])
def test_who_was_never_blessed_is_read_from_only_if_shares_were_put_there(fault: str) -> None:
    data = FAULTS[fault][0]
    assert not may_read(candidate(data), ONE, lists(), NOW).allowed
    verdict = may_read(candidate(data, held=True), ONE, lists(), NOW)
    assert verdict.allowed and "shares of yours are there" in verdict.said
    assert not may_upload(candidate(data, held=True), ONE, lists(), NOW).allowed


def test_a_server_whose_blesser_is_no_longer_believed_is_read_from_where_shares_are() -> None:
    nobody = Trust((Grid(grid(), {}),))
    assert not may_read(candidate(blessing()), nobody, lists(), NOW).allowed
    assert may_read(candidate(blessing(), held=True), nobody, lists(), NOW).allowed


def test_nothing_new_goes_to_a_server_that_says_it_is_leaving_and_reading_goes_on() -> None:
    leaving = candidate(blessing(classes=("eu",)), leaving=True)
    verdict = may_upload(leaving, ONE, lists(), NOW)
    assert not verdict.allowed and verdict.leaving and verdict.until is None and "being emptied" in verdict.said
    assert verdict.by == (public("blesser"),) and verdict.classes == {"eu"}  # it is blessed all the same
    read = may_read(leaving, ONE, lists(), NOW)
    assert read == may_read(candidate(blessing(classes=("eu",))), ONE, lists(), NOW) and read.allowed
    assert not may_upload(candidate(blessing()), ONE, lists(), NOW).leaving


@pytest.mark.parametrize("fault", FAULTS)
def test_of_lost_blessings_one_that_was_taken_back_alone_has_shares_moved(fault: str) -> None:
    data, reason, known = FAULTS[fault]
    assert may_upload(candidate(data), ONE, known or lists(), NOW).leaving is (reason is Reason.REVOKED)
    said = may_upload(candidate(data, leaving=True), ONE, known or lists(), NOW)
    assert said.leaving and not said.by and said.said.startswith("not blessed for storage")


@pytest.mark.parametrize(
    ("other", "leaving"),
    [
        (blessing("second", serial=8), False),  # its blesser's list has not come
        (blessing("second", serial=8, not_before=NOW + DAY // 2), False),
        (blessing("second", serial=8, not_after=NOW - HOUR), True),
        (blessing("third", serial=8), True),  # whose word does not count
    ],
)
def test_shares_stay_where_another_blessing_can_still_hold(other: bytes, leaving: bool) -> None:
    asked = candidate(blessing(), other)
    verdict = may_upload(asked, trust("blesser", "second"), lists(revocations(7)), NOW)
    assert not verdict.allowed and verdict.leaving is leaving
    both = may_upload(asked, trust("blesser", "second", needed=2), lists(revocations(7)), NOW)
    assert not both.allowed and both.leaving  # two are needed, and one was taken back


def test_an_announcement_says_whether_its_server_is_leaving() -> None:
    assert not announced(announce("tcp:a.example:1")).leaving
    assert announced(replace(announce("tcp:a.example:1"), leaving=True)).leaving


def test_b3_a_server_without_a_blessing_is_refused() -> None:
    assert may_upload(candidate(), ONE, lists(), NOW).said == "not blessed for storage: it shows no blessing"


def test_b16_blessers_are_believed_for_their_purpose_alone() -> None:
    split = Trust((Grid(grid(), {STORAGE: rule("blesser"), INTRODUCER: rule("second")}),))
    both = lists(revocations(), revocations(by="second"))
    for name, purpose, allowed in (
        ("blesser", STORAGE, True), ("second", STORAGE, False), ("blesser", INTRODUCER, False),
        ("second", INTRODUCER, True), ("blesser", Purpose("oven"), False),
    ):  # fmt: skip
        found = candidate(blessing(name, purpose=purpose), purpose=purpose)
        assert may_upload(found, split, both, NOW).allowed is allowed


def test_b28_b29_another_grid_s_server_is_neither_put_to_nor_read_from() -> None:
    test_net = GridId(public("test"))
    theirs = candidate(blessing("test", grid=test_net), grid=test_net, held=True)
    for ask in (may_upload, may_read):
        verdict = ask(theirs, ONE, lists(), NOW)
        assert not verdict.allowed and str(test_net) in verdict.said


def test_b30_of_two_grids_each_is_judged_by_its_own_blessers() -> None:
    both = Trust((of_its_blesser(grid()), of_its_blesser(grid("test"))), several=True)
    known = Lists(both.watched)
    for data in (revocations(), revocations(by="test", grid=grid("test"))):
        known.take(data)
    for by, of, allowed in (("test", "test", True), ("blesser", "test", False), ("test", "blesser", False)):
        found = candidate(blessing(by, grid=grid(of)), grid=grid(of))
        assert may_upload(found, both, known, NOW).allowed is allowed


# ── several blessers ──

ALL = lists(revocations(), revocations(by="second"), revocations(by="third", fresh_until=NOW + 2 * HOUR))


@pytest.mark.parametrize("by", ["blesser", "second", "third"])
def test_b32_b33_of_several_blessers_one_is_enough_and_no_key_is_shared(by: str) -> None:
    verdict = may_upload(candidate(blessing(by)), trust("blesser", "second", "third"), ALL, NOW)
    assert verdict.allowed and verdict.by == (public(by),)


def test_b32_where_two_must_agree_one_is_not_enough_whatever_it_signs() -> None:
    two = trust("blesser", "second", "third", needed=2)
    alone = candidate(blessing(), blessing(serial=8), blessing(serial=8), blessing("mallory"))
    verdict = may_upload(alone, two, ALL, NOW)
    assert not verdict.allowed and "1 of the 2 blessers that are needed agree" in verdict.said
    assert may_upload(candidate(blessing(), blessing("third")), two, ALL, NOW).allowed


def test_b32_an_answer_lasts_as_long_as_enough_blessers_agree() -> None:
    two = trust("blesser", "second", "third", needed=2)
    three = candidate(
        blessing(not_after=NOW + 10), blessing("second", not_after=NOW + 20), blessing("third", not_after=NOW + 30)
    )
    assert may_upload(three, two, ALL, NOW).until == NOW + 20 + SKEW


@given(
    blessings=st.lists(
        st.tuples(
            st.sampled_from(["blesser", "second", "third"]), st.integers(-DAY, HOUR), st.integers(1, 2 * HOUR),
            st.sets(st.sampled_from(["a", "b"])), st.integers(0, 2),
        ),
        max_size=6,
    ),
    needed=st.integers(1, 3),
    wanted=st.sets(st.sampled_from(["a", "b"])),
    gone=st.sets(st.integers(0, 2)),
)  # fmt: skip
@settings(deadline=None, max_examples=examples(150))
def test_b32_the_answer_is_that_of_counting_and_ends_when_it_says(
    blessings: list[tuple[str, int, int, set[str], int]], needed: int, wanted: set[str], gone: set[int]
) -> None:
    """A plain count of who agrees, second by second, is the oracle."""
    names = ("blesser", "second", "third")
    known = lists(*(revocations(*gone, by=name, fresh_until=NOW + HOUR) for name in names))
    policy = trust(*names, needed=needed, classes=frozenset(wanted))
    found = candidate(*(
        blessing(name, not_before=NOW + start, not_after=NOW + start + length, classes=tuple(sorted(classes)), serial=n)
        for name, start, length, classes, n in blessings
    ))  # fmt: skip

    def expected(now: int) -> bool:
        agree = {
            name for name, start, length, classes, n in blessings
            if wanted <= classes and n not in gone and NOW + start - SKEW <= now < NOW + start + length + SKEW
        }  # fmt: skip
        return len(agree) >= needed and now < NOW + HOUR + SKEW

    verdict = may_upload(found, policy, known, NOW)
    assert verdict.allowed is expected(NOW)
    if verdict.until is not None:
        assert expected(verdict.until - 1)
        assert not may_upload(found, policy, known, verdict.until).allowed or any(
            start > 0
            for _, start, _, _, _ in blessings  # one that begins meanwhile
        )


# ── classes and freshness ──


def test_b35_only_servers_of_the_wanted_classes_are_put_to_and_any_is_read_from() -> None:
    picky = trust(classes=frozenset(("reliable",)))
    plain = candidate(blessing(classes=("eu",)))
    verdict = may_upload(plain, picky, lists(), NOW)
    assert not verdict.allowed and "it says nothing of reliable" in verdict.lines[1]
    assert may_read(plain, picky, lists(), NOW).allowed
    assert may_upload(candidate(blessing(classes=("eu", "reliable"))), picky, lists(), NOW).allowed


def test_b35_a_class_is_what_as_many_blessers_say_as_are_needed() -> None:
    said = candidate(blessing(classes=("eu", "fast")), blessing("second", classes=("eu",)))
    assert may_upload(said, trust("blesser", "second", needed=2), ALL, NOW).classes == {"eu"}
    assert may_upload(said, trust("blesser", "second"), ALL, NOW).classes == {"eu", "fast"}


def test_b8_a_withheld_revocation_expires_closed() -> None:
    known = lists(revocations())
    assert may_upload(candidate(blessing()), ONE, known, NOW + HOUR + SKEW - 1).allowed
    assert not may_upload(candidate(blessing()), ONE, known, NOW + HOUR + SKEW).allowed
    assert known.take(revocations(7, sequence=2, fresh_until=NOW + DAY))
    assert not may_upload(candidate(blessing()), ONE, known, NOW).allowed


def test_who_does_not_ask_for_fresh_lists_still_obeys_those_that_came() -> None:
    easy = trust(fresh=False)
    assert may_upload(candidate(blessing()), easy, lists(revocations(by="second")), NOW).until == NOW + DAY + SKEW
    stale = lists(revocations(7, fresh_until=NOW - HOUR + 1))
    assert [one.reason for one in may_upload(candidate(blessing()), easy, stale, NOW).seen] == [Reason.REVOKED]


@pytest.mark.parametrize(
    ("now", "allowed"),
    [(NOW - SKEW - 1, False), (NOW - SKEW, True), (NOW + 10 + SKEW - 1, True), (NOW + 10 + SKEW, False)],
)
def test_b8_clocks_may_differ_by_the_stated_tolerance(now: int, allowed: bool) -> None:
    short = candidate(blessing(not_before=NOW, not_after=NOW + 10))
    assert may_upload(short, ONE, lists(revocations(issued=NOW - DAY)), now).allowed is allowed


# ── what is announced ──


def announce(*addresses: str) -> Announcement:
    said = Announcement(grid(), STORAGE, pin("attic"), addresses, 1, NOW + DAY, (blessing(),))
    return announcement.parse(verified(Kind.ANNOUNCEMENT, signed(Kind.ANNOUNCEMENT, said.body, seed("attic")).encoded))


def test_d24_an_address_makes_no_difference_to_who_a_server_is() -> None:
    near, far = announced(announce("tcp:10.0.0.1:7")), announced(announce("tor:abc.onion:7", "tcp:attic.example:7"))
    assert near == far and may_upload(near, ONE, lists(), NOW).allowed


def test_b11_an_announcement_passed_on_by_anybody_gives_its_server_no_blessing_of_another() -> None:
    """Mallory announces herself with the attic's blessing."""
    said = Announcement(grid(), STORAGE, pin("mallory"), ("tcp:evil.example:7",), 1, NOW + DAY, (blessing(),))
    theirs = announcement.parse(signed(Kind.ANNOUNCEMENT, said.body, seed("mallory")))
    assert [one.reason for one in may_upload(announced(theirs), ONE, lists(), NOW).seen] == [Reason.OTHER_SERVER]


def test_there_is_a_limit_of_blessings_that_are_looked_at() -> None:
    assert may_upload(candidate(*[blessing()] * MAX_BLESSINGS), ONE, lists(), NOW).allowed
    with pytest.raises(Malformed):
        candidate(*[blessing()] * (MAX_BLESSINGS + 1))
