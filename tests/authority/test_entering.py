"""At a server's door: who is let in, and that nothing that was signed, shown or stolen elsewhere opens it.

Each attack is sound but for the one thing that makes it an attack, so that its test fails without its guard.

REQUIREMENTS B4, B8, B20, B21, B22, B26, B28, B29, B32.
"""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold.authority.entering import Admitted, Door, Refusal, Serial, knock, may_enter, may_store
from commonhold.authority.judging import Reason
from commonhold.authority.lists import Lists
from commonhold.authority.nonces import LIFE, Given
from commonhold.authority.times import SKEW
from commonhold.formats.credential import AccountId
from commonhold.formats.entry import Nonce
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import SpkiPin
from tests.authority.parties import (
    DAY,
    HOUR,
    NOW,
    blessing,
    credential,
    entry,
    grid,
    lists,
    pin,
    public,
    revocations,
    rule,
    warrant,
)
from tests.examples import examples

DOOR = Door(pin("attic"), grid(), rule("blesser"))
GIVEN = Given(Nonce(b"n" * 32), pin("line"), NOW - 1)
ALICE = AccountId(b"alice's number..")


def enter(
    *credentials: bytes,
    said: bytes | None = None,
    by: bytes | None = None,
    line: SpkiPin = GIVEN.connection,
    door: Door = DOOR,
    nonce: Given | None = GIVEN,
    known: Lists | None = None,
    now: int = NOW,
) -> Admitted | Refusal:
    shown = knock(line, credentials or (credential(),), said or entry(), by)
    return may_enter(door, shown, nonce, known or lists(), now)


def refused(found: Admitted | Refusal, reason: Reason) -> bool:
    assert isinstance(found, Refusal), found
    assert found.said and found.reason is reason, found
    return True


def test_b4_b20_b26_who_has_a_credential_is_let_in_as_its_account_with_its_quota() -> None:
    found = enter()
    assert found == Admitted(
        ALICE, 1 << 30, NOW + DAY + SKEW, (Serial(public("blesser"), 9),), pin("line"), grid(), public("alice")
    )
    assert isinstance(found, Admitted) and may_store(DOOR, found, lists(), NOW) is None


def test_a_warrant_s_holder_is_let_in_for_the_account_as_long_as_both_hold() -> None:
    found = enter(said=entry("node"), by=warrant(not_after=NOW + 50))
    assert isinstance(found, Admitted)
    assert (found.account, found.client, found.holder) == (ALICE, public("alice"), public("node"))
    assert found.until == NOW + 50 + SKEW


# ── B21: what a server, or whoever listens or steals, could try ──


def test_b21_a_stolen_credential_opens_nothing_without_its_key() -> None:
    assert refused(enter(said=entry("mallory")), Reason.OTHER_CLIENT)


def test_b21_an_entry_of_alice_with_a_signature_of_mallory_is_refused() -> None:
    sound, mallory = entry(), entry("mallory")
    assert refused(enter(said=sound[:-64] + mallory[-64:]), Reason.FORGED)


def test_b21_a_handshake_that_is_replayed_finds_its_nonce_used() -> None:
    assert refused(enter(nonce=None), Reason.NONCE)


def test_b21_a_handshake_that_is_replayed_finds_another_nonce() -> None:
    assert refused(enter(nonce=GIVEN._replace(nonce=Nonce(b"m" * 32))), Reason.NONCE)


def test_b21_a_nonce_of_another_connection_is_none() -> None:
    assert refused(enter(nonce=GIVEN._replace(connection=pin("other line"))), Reason.NONCE)


def test_b21_a_nonce_that_was_given_long_ago_is_none() -> None:
    assert isinstance(enter(nonce=GIVEN._replace(at=NOW - LIFE + 1)), Admitted)
    assert refused(enter(nonce=GIVEN._replace(at=NOW - LIFE)), Reason.NONCE)


def test_b21_an_entry_overheard_is_of_no_use_on_another_connection() -> None:
    """Mallory relays Alice's entry, with a nonce that the attic gave on Mallory's own line."""
    line = pin("mallory's line")
    assert refused(enter(line=line, nonce=GIVEN._replace(connection=line)), Reason.CONNECTION)


def test_b21_an_entry_signed_for_one_server_is_refused_by_another() -> None:
    """The cellar hands Alice the attic's nonce, and shows what she signed for the cellar at the attic."""
    assert refused(enter(said=entry(server=pin("cellar"))), Reason.OTHER_SERVER)


def test_b21_a_credential_of_one_server_is_refused_by_another() -> None:
    assert refused(enter(credential(server=pin("cellar"))), Reason.OTHER_SERVER)


def test_b21_b28_b29_a_client_of_another_grid_is_refused() -> None:
    assert refused(enter(credential(grid=grid("test"))), Reason.OTHER_GRID)


def test_b21_b29_an_entry_for_another_grid_is_refused() -> None:
    assert refused(enter(said=entry(grid=grid("test"))), Reason.OTHER_GRID)


def test_b21_a_forged_credential_is_refused() -> None:
    sound, mallory = credential(), credential("mallory")
    assert refused(enter(sound[:-64] + mallory[-64:]), Reason.FORGED)


def test_b21_b22_a_credential_by_who_is_no_client_blesser_here_is_refused() -> None:
    assert refused(enter(credential("mallory")), Reason.UNKNOWN_BLESSER)


def test_b21_an_expired_credential_is_refused() -> None:
    assert isinstance(enter(credential(not_after=NOW - SKEW + 1)), Admitted)
    assert refused(enter(credential(not_after=NOW - SKEW)), Reason.EXPIRED)


def test_b21_a_credential_of_tomorrow_is_refused() -> None:
    assert refused(enter(credential(not_before=NOW + SKEW + 1)), Reason.EARLY)


def test_b21_a_revoked_credential_is_refused() -> None:
    assert refused(enter(known=lists(revocations(9))), Reason.REVOKED)


def test_b21_a_blessing_is_no_credential() -> None:
    with pytest.raises(Malformed, match="another kind"):
        enter(blessing())


@pytest.mark.parametrize("off", [SKEW + 1, -SKEW - 1])
def test_b21_an_entry_of_another_time_is_refused(off: int) -> None:
    assert refused(enter(said=entry(time=NOW + off)), Reason.CLOCK)
    assert isinstance(enter(said=entry(time=NOW + off - off // abs(off))), Admitted)


def test_b21_a_warrant_of_another_account_is_refused() -> None:
    """Mallory, who has an account, warrants her node, which shows Alice's credential."""
    assert refused(enter(said=entry("node"), by=warrant("mallory")), Reason.OTHER_CLIENT)


# ── warrants ──

WARRANTS: dict[str, dict[str, Any]] = {
    "for another holder": {"holder": public("mallory")},
    "for another server": {"server": pin("cellar")},
    "for another grid": {"grid": grid("test")},
    "not yet valid": {"not_before": NOW + SKEW + 1},
    "expired": {"not_after": NOW - SKEW},
}


@pytest.mark.parametrize("fault", WARRANTS)
def test_b21_a_warrant_that_does_not_fit_is_refused(fault: str) -> None:
    assert refused(enter(said=entry("node"), by=warrant(**WARRANTS[fault])), Reason.WARRANT)


def test_b21_a_forged_warrant_is_refused() -> None:
    sound, mallory = warrant(), warrant("mallory")
    assert refused(enter(said=entry("node"), by=sound[:-64] + mallory[-64:]), Reason.WARRANT)


def test_a_warrant_does_not_outlive_its_credential() -> None:
    found = enter(credential(not_after=NOW + 10), said=entry("node"), by=warrant())
    assert isinstance(found, Admitted) and found.until == NOW + 10 + SKEW
    assert refused(enter(credential(not_after=NOW - SKEW), said=entry("node"), by=warrant()), Reason.EXPIRED)


def test_a_holder_without_the_warrant_is_a_stranger() -> None:
    assert refused(enter(said=entry("node")), Reason.OTHER_CLIENT)


# ── several client blessers ──

TWO = replace(DOOR, clients=rule("blesser", "second", "third", needed=2))
KNOWN = lists(revocations(), revocations(by="second"), revocations(by="third", fresh_until=NOW - HOUR + 1))


def test_b22_b32_any_client_blesser_is_enough_unless_more_are_needed() -> None:
    any_of = replace(DOOR, clients=rule("blesser", "second"))
    for by in ("blesser", "second"):
        assert isinstance(enter(credential(by), door=any_of, known=KNOWN), Admitted)
        assert refused(enter(credential(by), door=TWO, known=KNOWN), Reason.TOO_FEW)


def test_b32_where_two_must_agree_the_lesser_quota_and_the_shorter_time_hold() -> None:
    found = enter(
        credential(quota=50), credential("second", quota=70, serial=3, not_after=NOW + 10), door=TWO, known=KNOWN
    )
    assert isinstance(found, Admitted) and (found.quota, found.until) == (50, NOW + 10 + SKEW)
    assert set(found.serials) == {Serial(public("blesser"), 9), Serial(public("second"), 3)}


def test_b32_two_who_name_different_accounts_do_not_agree() -> None:
    found = enter(credential(), credential("second", account=AccountId(bytes(16))), door=TWO, known=KNOWN)
    assert refused(found, Reason.TOO_FEW)
    assert refused(enter(credential(), credential(serial=4), door=TWO, known=KNOWN), Reason.TOO_FEW)


def test_of_more_credentials_than_are_needed_those_count_by_which_shares_can_be_put() -> None:
    either = replace(DOOR, clients=rule("blesser", "third"))
    found = enter(credential("third", not_after=NOW + 9 * DAY), credential(), door=either, known=KNOWN)
    assert isinstance(found, Admitted) and may_store(either, found, KNOWN, NOW) is None


def test_what_was_wrong_with_each_credential_is_kept() -> None:
    found = enter(credential(not_after=NOW - DAY + 1), credential("mallory"))
    assert isinstance(found, Refusal) and [one.reason for one in found.seen] == [Reason.EXPIRED, Reason.UNKNOWN_BLESSER]
    assert found.said.startswith("credential 9 by g") and "expired at" in found.said


# ── what may be put ──


def test_b4_b8_while_the_revocation_list_is_stale_one_may_read_and_not_put() -> None:
    for known in (lists(revocations(fresh_until=NOW - SKEW)), lists(revocations(by="second"))):
        found = enter(known=known)
        assert isinstance(found, Admitted)
        why = may_store(DOOR, found, known, NOW)
        assert why and "stale" in why and may_store(DOOR, found, lists(), NOW) is None
        easy = replace(DOOR, clients=rule("blesser", fresh=False))
        assert may_store(easy, found, known, NOW) is None


def test_b4_what_was_admitted_may_put_only_until_it_expires_or_is_revoked() -> None:
    found = enter(credential(not_after=NOW + 10))
    assert isinstance(found, Admitted)
    assert may_store(DOOR, found, lists(), NOW + 10 + SKEW - 1) is None
    assert "expired" in (may_store(DOOR, found, lists(), NOW + 10 + SKEW) or "")
    assert "revoked" in (may_store(DOOR, found, lists(revocations(9)), NOW) or "")


# ── what is shown ──


@pytest.mark.parametrize("count", [0, 9])
def test_there_is_a_limit_of_credentials(count: int) -> None:
    with pytest.raises(Malformed):
        knock(pin("line"), [credential()] * count, entry())


@given(data=st.binary(max_size=200), which=st.integers(0, 2))
@settings(deadline=None, max_examples=examples(100))
def test_any_bytes_at_the_door_are_a_knock_or_malformed(data: bytes, which: int) -> None:
    with pytest.raises(Malformed):
        knock(
            pin("line"), [credential(), data] if which == 0 else [credential()],
            data if which == 1 else entry(), data if which == 2 else None,
        )  # fmt: skip


@given(
    faults=st.sets(st.sampled_from(["server", "grid", "connection", "nonce", "time", "signer", "credential"])),
)
@settings(deadline=None)
def test_b21_nobody_is_let_in_with_any_number_of_faults(faults: set[str]) -> None:
    wrong = {
        "server": pin("cellar"),
        "grid": grid("test"),
        "connection": pin("x"),
        "nonce": Nonce(bytes(32)),
        "time": 5,
    }
    said = entry("mallory" if "signer" in faults else "alice", **{k: v for k, v in wrong.items() if k in faults})
    found = enter(credential("mallory") if "credential" in faults else credential(), said=said)
    assert isinstance(found, Refusal) is bool(faults)
