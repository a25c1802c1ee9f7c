"""Facets: private to one account over one connection, and gone with the credential that they are by.

REQUIREMENTS B8, B19, B21, B25.
"""

import hashlib
from dataclasses import replace

import pytest

from commonhold.authority.entering import Admitted, Door, Serial
from commonhold.authority.facets import LIFE, OF_ACCOUNT, Facet, Facets
from commonhold.authority.times import SKEW
from commonhold.formats.credential import AccountId
from tests.authority.parties import HOUR, NOW, grid, lists, pin, public, revocations, rule

DOOR = Door(pin("attic"), grid(), rule("blesser"))
LINE, OTHER = pin("line"), pin("other line")
ALICE = Admitted(
    AccountId(b"alice's number.."), 100, NOW + 2 * HOUR, (Serial(public("blesser"), 9),), LINE, grid(), public("alice")
)
BOB = replace(ALICE, account=AccountId(b"bob's number...."), serials=(Serial(public("blesser"), 8),), connection=OTHER)


def facet(number: int = 0) -> Facet:
    return Facet(hashlib.sha256(b"%d" % number).digest())


def test_b19_a_facet_leads_to_its_account() -> None:
    facets = Facets(DOOR)
    assert facets.open(facet(), ALICE, NOW) == NOW + LIFE
    assert facets.reader(facet(), LINE, NOW) == ALICE == facets.writer(facet(), LINE, lists(), NOW)


def test_b19_b21_a_facet_is_not_there_for_another_connection_and_stays_for_its_own() -> None:
    facets = Facets(DOOR)
    facets.open(facet(), ALICE, NOW)
    assert facets.reader(facet(), OTHER, NOW) is None is facets.reader(facet(1), LINE, NOW)
    assert facets.writer(facet(), OTHER, lists(), NOW) is None
    assert facets.reader(facet(), LINE, NOW) == ALICE


def test_b21_a_facet_of_another_account_is_not_there_either() -> None:
    facets = Facets(DOOR)
    facets.open(facet(), ALICE, NOW)
    facets.open(facet(1), BOB, NOW)
    assert facets.reader(facet(), BOB.connection, NOW) is None and facets.reader(facet(1), OTHER, NOW) == BOB


def test_b25_what_all_nodes_share_leads_to_no_account() -> None:
    """Pins, keys and numbers that anybody may know are no facet's name."""
    facets = Facets(DOOR)
    facets.open(facet(), ALICE, NOW)
    for known in (LINE, DOOR.server, DOOR.grid, ALICE.client, public("blesser"), ALICE.account):
        assert facets.reader(Facet(known), LINE, NOW) is None


@pytest.mark.parametrize(("until", "end"), [(NOW + 2 * HOUR, NOW + LIFE), (NOW + 10, NOW + 10)])
def test_a_facet_ends_in_time_and_with_its_credential(until: int, end: int) -> None:
    facets = Facets(DOOR)
    admitted = replace(ALICE, until=until)
    assert facets.open(facet(), admitted, NOW) == end
    assert facets.reader(facet(), LINE, end - 1) == admitted
    assert facets.reader(facet(), LINE, end) is None and len(facets) == 0


def test_b21_a_revoked_credential_s_facet_puts_nothing_at_once_and_ends_with_the_next_sweep() -> None:
    facets = Facets(DOOR)
    facets.open(facet(), ALICE, NOW)
    facets.open(facet(1), BOB, NOW)
    known = lists(revocations(9))
    assert facets.writer(facet(), LINE, known, NOW) == "the credential is revoked"
    assert facets.sweep(known, NOW) == [ALICE]
    assert facets.reader(facet(), LINE, NOW) is None and facets.reader(facet(1), OTHER, NOW) == BOB


def test_b8_while_the_list_is_stale_a_facet_reads_and_puts_nothing() -> None:
    facets = Facets(DOOR)
    facets.open(facet(), ALICE, NOW)
    stale = lists(revocations(fresh_until=NOW - SKEW))
    why = facets.writer(facet(), LINE, stale, NOW)
    assert isinstance(why, str) and "stale" in why
    assert facets.reader(facet(), LINE, NOW) == ALICE and facets.sweep(stale, NOW) == []


def test_what_has_expired_is_swept_and_what_has_left_too() -> None:
    facets = Facets(DOOR)
    facets.open(facet(), ALICE, NOW)
    facets.open(facet(1), BOB, NOW + 10)
    assert facets.sweep(lists(), NOW + LIFE) == [ALICE] and len(facets) == 1
    assert facets.left(LINE) == [] and facets.left(OTHER) == [BOB] and len(facets) == 0


def test_an_account_that_opens_too_many_loses_its_oldest_and_nobody_else_s() -> None:
    facets = Facets(DOOR)
    facets.open(facet(1000), BOB, NOW)
    for number in range(OF_ACCOUNT + 1):
        assert facets.open(facet(number), ALICE, NOW)
    assert len(facets) == OF_ACCOUNT + 1 and facets.reader(facet(0), LINE, NOW) is None
    assert facets.reader(facet(1), LINE, NOW) and facets.reader(facet(1000), OTHER, NOW)


def test_a_full_table_opens_no_more_until_some_expire() -> None:
    facets = Facets(DOOR, in_all=2)
    assert facets.open(facet(0), ALICE, NOW) and facets.open(facet(1), ALICE, NOW + 1)
    assert facets.open(facet(2), BOB, NOW + 2) is None
    assert facets.open(facet(2), BOB, NOW + LIFE) == NOW + 2 * HOUR and len(facets) == 2


def test_a_facet_is_opened_once_and_not_for_who_is_over() -> None:
    facets = Facets(DOOR)
    assert facets.open(facet(), ALICE, NOW)
    assert facets.open(facet(), BOB, NOW) is None and facets.reader(facet(), LINE, NOW) == ALICE
    assert facets.open(facet(1), ALICE, ALICE.until) is None


def test_a_facet_is_not_shown() -> None:
    for text in (repr(facet()), str(facet()), f"{facet()}", repr([facet()])):
        assert text.strip("[]") in ("Facet()", "a facet")
