"""How many streams there may be, whose, and for how long: time is the test's."""

import pytest

from commonhold.formats.pin import SpkiPin
from commonhold.formats.relaywords import Token
from commonhold.relay.streams import Limits, Origin, Streams
from commonhold.transport.visitors import Limits as Bearable

ATTIC, CELLAR = SpkiPin(b"a" * 32), SpkiPin(b"c" * 32)
LIMITS = Limits(streams=4, of_server=3, of_address=2)


def token(number: int) -> Token:
    return Token(number.to_bytes(32))


def filled(*origins: Origin) -> Streams[int]:
    found: Streams[int] = Streams(LIMITS)
    for number, origin in enumerate(origins):
        assert found.room(origin)
        found.come(number, origin, token(number), 0.0)
    return found


@pytest.mark.parametrize(
    ("there", "one", "other"),
    [
        ([(ATTIC, "1"), (ATTIC, "1")], (CELLAR, "1"), (ATTIC, "2")),  # of one address, at whichever server
        ([(ATTIC, "1"), (ATTIC, "2"), (ATTIC, "3")], (ATTIC, "4"), (CELLAR, "4")),  # of one server
        ([(ATTIC, "1"), (ATTIC, "2"), (CELLAR, "3"), (CELLAR, "4")], (CELLAR, "5"), None),  # of all
    ],
)
def test_there_is_room_for_so_many(there: list[tuple[SpkiPin, str]], one: tuple[SpkiPin, str], other: object) -> None:
    found = filled(*(Origin(*each) for each in there))
    assert not found.room(Origin(*one))
    if isinstance(other, tuple):
        assert found.room(Origin(*other))
    found.answered(token(0), 1.0)  # which changes nothing: a stream that is joined counts, too
    assert not found.room(Origin(*one))
    found.gone(0)
    found.gone(0)  # only once
    assert found.room(Origin(*one)) and len(found) == len(there) - 1


def test_a_token_is_good_once_and_for_its_own_stream() -> None:
    found = filled(Origin(ATTIC, "1"), Origin(ATTIC, "2"))
    assert found.answered(token(1), 1.0) == 1 and found.answered(token(1), 1.0) is None
    assert found.answered(token(9), 1.0) is None and found.answered(token(0), 1.0) == 0


def test_a_token_whose_client_has_gone_is_good_for_nothing() -> None:
    found = filled(Origin(ATTIC, "1"))
    found.gone(0)
    assert found.answered(token(0), 1.0) is None and not found.all()


def test_who_is_not_answered_in_time_is_late() -> None:
    found = filled(Origin(ATTIC, "1"), Origin(ATTIC, "2"))
    found.answered(token(1), 9.0)
    assert found.late(9.9) == [] and found.late(10.0) == [0]


def test_a_stream_is_late_when_nothing_has_moved_for_long_enough() -> None:
    found = filled(Origin(ATTIC, "1"))
    found.answered(token(0), 1.0)
    found.moved(0, 5, 100.0)
    assert found.late(100.0 + LIMITS.idle_seconds - 1) == []
    found.moved(0, 5, 200.0)  # nothing more
    assert found.late(100.0 + LIMITS.idle_seconds) == [0]


def test_who_still_waits_is_not_kept_by_what_never_moved() -> None:
    found = filled(Origin(ATTIC, "1"))
    found.moved(0, 0, 9.0)
    assert found.late(10.0) == [0]


def test_the_ends_have_done_before_the_relay_thinks_so() -> None:
    assert Limits().idle_seconds > Bearable().idle_seconds
    assert Limits().of_address < Limits().of_server < Limits().streams
    assert Limits().of_server < Bearable().connections  # whoever comes by another way finds room
