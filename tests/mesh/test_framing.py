"""A stream of messages: they come back whole however the stream is cut, and none is longer than it may be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.formats.gossip import MAX_MESSAGE
from commonhold.formats.malformed import Malformed
from commonhold.mesh.framing import ALIVE, FIRST, HEAD, Frames, framed


@given(st.lists(st.binary(max_size=300), max_size=8), st.lists(st.integers(1, 40), min_size=1, max_size=50))
def test_messages_come_back_however_the_stream_is_cut(messages: list[bytes], cuts: list[int]) -> None:
    stream, frames, found, turn = b"".join(map(framed, messages)), Frames(), [], 0
    while stream:
        size = cuts[turn % len(cuts)]
        found += list(frames.feed(stream[:size]))
        stream, turn = stream[size:], turn + 1
    assert found == messages and frames.under_way == 0


def test_a_sign_of_life_is_a_length_of_nothing() -> None:
    assert framed(b"") == ALIVE == bytes(HEAD) and list(Frames().feed(ALIVE * 3)) == [b""] * 3


def test_nothing_is_longer_than_a_hello_until_a_message_has_come() -> None:
    with pytest.raises(Malformed):
        list(Frames().feed((FIRST + 1).to_bytes(HEAD)))
    with pytest.raises(Malformed):
        list(Frames().feed(ALIVE + (FIRST + 1).to_bytes(HEAD)))
    frames = Frames()
    assert list(frames.feed(framed(bytes(FIRST)))) == [bytes(FIRST)]
    assert list(frames.feed(MAX_MESSAGE.to_bytes(HEAD))) == []


def test_no_message_is_longer_than_a_message_may_be() -> None:
    frames = Frames()
    assert len(list(frames.feed(framed(b"hello") + framed(bytes(MAX_MESSAGE))))) == 2
    with pytest.raises(Malformed):
        list(frames.feed((MAX_MESSAGE + 1).to_bytes(HEAD)))


def test_how_long_the_message_under_way_will_be_is_known() -> None:
    frames = Frames()
    found = list(frames.feed(framed(b"hello") + framed(bytes(100))[:-1]))
    assert (found, frames.under_way) == ([b"hello"], 100)
    assert list(frames.feed(b"\0" + b"\0\0")) == [bytes(100)] and frames.under_way == 2
