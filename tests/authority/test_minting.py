"""What a blesser signs blindly, and for whom: no more than it grants, however it is asked. REQUIREMENTS B26, D19."""

from collections.abc import Iterable

from commonhold.authority.minting import Minting, over, refusal, spent
from commonhold.authority.times import SKEW
from commonhold.formats.blinded import Blank, Mint, MintId, Spot, Terms
from commonhold.formats.request import Order
from tests.authority.minted import GIB, START, mint, named
from tests.authority.parties import DAY, NOW

NEXT = mint(not_before=START + 30 * DAY, not_after=START + 60 * DAY, serial=78)
LARGE = mint(quota=5 * GIB, serial=79)
MINTS: dict[MintId, Mint] = {named(one): one for one in (mint(), NEXT, LARGE)}
TERMS = Terms(GIB, 3)


def orders(count: int, of: Mint | None = None, first: int = 0) -> list[Order]:
    return [Order(named(of or mint()), Blank(bytes([first + one]) * 384)) for one in range(count)]


def asked(wanted: Iterable[Order], had: Iterable[Order] = (), terms: Terms = TERMS, now: int = NOW) -> str | None:
    return refusal(terms, MINTS, wanted, set(map(spent, had)), now)


def test_an_account_gets_the_greatest_denomination_within_its_quota() -> None:
    terms = Minting((GIB, 10 * GIB, 100 * GIB), seats=7)
    assert terms.terms(GIB - 1) is None and terms.terms(GIB) == Terms(GIB, 7)
    assert terms.terms(99 * GIB) == Terms(10 * GIB, 7) and terms.terms(1 << 60) == Terms(100 * GIB, 7)
    assert Minting().terms(1 << 60) is None


def test_periods_are_everybody_s_and_the_next_one_s_keys_are_there_in_advance() -> None:
    found = Minting((GIB, 5 * GIB), 30 * DAY).spots(NOW)
    later = START + 30 * DAY
    assert found == [Spot(START, GIB), Spot(START, 5 * GIB), Spot(later, GIB), Spot(later, 5 * GIB)]


def test_no_more_than_so_many_for_one_period() -> None:
    assert asked(orders(3)) is None
    assert "3 tokens" in str(asked(orders(4)))
    assert "3 tokens" in str(asked(orders(1, first=3), had=orders(3)))
    assert asked(orders(3, NEXT), had=orders(3)) is None


def test_what_was_signed_is_signed_again_and_not_counted_again() -> None:
    assert asked(orders(3), had=orders(3)) is None
    assert asked(orders(2) + orders(1), had=orders(1)) is None
    assert asked(orders(2) + orders(1, first=9), had=orders(2)) is None
    assert asked(orders(2) + orders(1, first=9), had=orders(3)) is not None


def test_another_denomination_is_refused_but_for_what_was_signed_when_it_was_the_account_s() -> None:
    assert "bytes" in str(asked(orders(1, LARGE)))
    assert asked(orders(1, LARGE), had=orders(1, LARGE)) is None
    assert "3 tokens" in str(asked(orders(3), had=orders(1, LARGE)))


def test_a_key_that_is_none_or_over_signs_nothing() -> None:
    assert "no key" in str(asked([Order(MintId(bytes(32)), Blank(bytes(384)))]))
    end = START + 30 * DAY + 2 * SKEW
    assert over(mint(), end) and not over(mint(), end - 1)
    assert "no key" in str(asked(orders(1), now=end)) and asked(orders(1), now=end - 1) is None
