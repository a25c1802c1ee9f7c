"""Which server is meant."""

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.formats.blessing import INTRODUCER
from commonhold.grids.choosing import chosen
from tests.authority.parties import pin
from tests.grids.made import announced, cache, known

ATTIC = str(pin("attic"))
SERVERS = known(
    cache(
        "a",
        announced("attic"),
        announced("attic", purpose=INTRODUCER),
        announced("cellar"),
        announced("barn", name="cellar"),
    )
).servers


@pytest.mark.parametrize("text", ["attic", ATTIC, ATTIC[:8], ATTIC[:40]])
def test_a_server_is_meant_by_its_name_its_pin_or_how_that_begins(text: str) -> None:
    found = chosen(SERVERS, text)
    assert {server.pin for server in found} == {pin("attic")} and len(found) == 2


@pytest.mark.parametrize("text", ["", "att", "Attic", ATTIC[:7], ATTIC[1:20], ATTIC + "a"])
def test_what_means_nobody_is_not_found(text: str) -> None:
    with pytest.raises(HoldError) as error:
        chosen(SERVERS, text)
    assert error.value.kind is Kind.NOT_FOUND


def test_what_could_be_several_is_refused_with_the_list() -> None:
    with pytest.raises(HoldError) as error:
        chosen(SERVERS, "cellar")
    assert error.value.kind is Kind.USAGE
    assert str(pin("cellar")) in error.value.why and str(pin("barn")) in error.value.why


def test_a_servers_name_cannot_stand_for_anothers_pin() -> None:
    """A stranger calls itself what somebody else's pin is."""
    liar = announced("cellar", name=ATTIC)
    found = chosen(known(cache("a", announced("attic"), liar)).servers, ATTIC)
    assert {server.pin for server in found} == {pin("attic")}
    with pytest.raises(HoldError, match="several are"):
        chosen(known(cache("a", announced("attic"), announced("cellar", name=ATTIC[:20]))).servers, ATTIC[:20])
