"""A volume's journal as bytes: only what was written behind its header, from its beginning, is read."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.formats import journal
from commonhold.formats.journal import HEAD_SIZE, HEADER_SIZE, MAX_BODY, MAX_PAYLOAD, SMALL, SUM, Group, Header, Record
from commonhold.formats.malformed import Malformed

HEADER = Header(bytes(range(16)), b"b" * 16, 300, b"nonce..8")
SUMS = ("5d8cb7cbdb47b3d6", "bbca9a0b3323cc4a", "fb2a989a6518e569")  # of the two, and of the payload
UNSIGNED = st.integers(0, (1 << 64) - 1)
RECORDS = st.builds(
    Record, st.integers(0, 255), st.integers(-(1 << 63), (1 << 63) - 1), UNSIGNED, st.binary(), st.binary()
)


def written(header: bytes, records: list[Record], open_: set[int] = frozenset()) -> bytes:  # type: ignore[assignment]
    """A journal with these records; those at `open_` count only with the next."""
    parts, chain = [header], header[:SUM]
    for at, (call, time, next_, body, payload) in enumerate(records):
        said = journal.pack(chain, call, time, next_, body, payload, more=at in open_)
        parts += [said, payload]
        chain = said[:SUM]
    return b"".join(parts)


def found(data: bytes) -> list[Group]:
    file = io.BytesIO(data)
    return list(journal.groups(file.read(HEADER_SIZE), file.read))


def test_the_form_is_that_of_the_page() -> None:
    header = journal.pack_header(HEADER)
    assert header[SUM:] == b"holdlog1" + bytes(range(16)) + b"b" * 16 + b"\x2c\x01" + bytes(6) + b"nonce..8"
    said = journal.pack(header[:SUM], 11, -2, 5, b"body", b"data", more=True)
    assert said[SUM:16] == b"\x04\0\0\0" + b"\x04\0\0\0" and said[24:] == (
        b"\xfe" + b"\xff" * 7 + b"\x05" + bytes(7) + b"\x0b\x01" + b"body"
    )
    assert (header[:SUM].hex(), said[:SUM].hex(), said[16:24].hex()) == SUMS


@given(st.lists(RECORDS, max_size=5), st.sets(st.integers(0, 4)))
def test_what_is_written_comes_back_in_its_groups(records: list[Record], open_: set[int]) -> None:
    data = written(journal.pack_header(HEADER), records, open_)
    groups, left = [], []
    for at, record in enumerate(records):
        left.append(record)
        if at not in open_:
            groups.append(left)
            left = []
    assert [group.records for group in found(data)] == groups
    assert journal.parse_header(data[:HEADER_SIZE]) == HEADER


@given(st.lists(RECORDS, min_size=1, max_size=4), st.data())
def test_a_change_anywhere_ends_it_there(records: list[Record], data: st.DataObject) -> None:
    whole = written(journal.pack_header(HEADER), records)
    at = data.draw(st.integers(HEADER_SIZE, len(whole) - 1))
    changed = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    for hurt in (changed, whole[:at]):
        assert found(hurt) == [group for group in found(whole) if group.stop <= at]


def test_a_large_payload_is_as_it_is_found_and_no_shorter() -> None:
    header = journal.pack_header(HEADER)
    for size in (SMALL, SMALL + 1):
        whole = written(header, [Record(11, 0, 0, b"", b"x" * size), Record(1, 0, 0, b"", b"")])
        changed = bytearray(whole)
        changed[-HEAD_SIZE - 5] = ord("y")
        assert [len(found(data)) for data in (whole, bytes(changed))] == ([2, 0] if size == SMALL else [2, 2])
        assert found(whole[: -HEAD_SIZE - 1]) == []


@given(st.lists(RECORDS, min_size=2, max_size=4), st.data())
def test_no_record_is_left_out_or_comes_behind_another_header(records: list[Record], data: st.DataObject) -> None:
    header = journal.pack_header(HEADER)
    whole = written(header, records)
    stops = [HEADER_SIZE, *(group.stop for group in found(whole))]
    gone = data.draw(st.integers(0, len(records) - 2))
    assert len(found(whole[: stops[gone]] + whole[stops[gone + 1] :])) == gone
    other = journal.pack_header(HEADER._replace(nonce=b"another."))
    assert found(other + whole[HEADER_SIZE:]) == []


def test_lengths_beyond_all_are_the_end() -> None:
    header = journal.pack_header(HEADER)
    for lengths in ((0xFFFFFFFF, 0), (0, 0xFFFFFFFF), (MAX_BODY + 1, 0), (0, MAX_PAYLOAD + 1)):
        sizes = b"".join(length.to_bytes(4, "little") for length in lengths)
        assert found(header + bytes(SUM) + sizes + bytes(HEAD_SIZE)) == []
    with pytest.raises(Malformed):
        journal.pack(bytes(8), 1, 0, 0, b"", bytes(MAX_PAYLOAD + 1))


@pytest.mark.parametrize("data", [b"", bytes(HEADER_SIZE), b"x" * HEADER_SIZE, journal.pack_header(HEADER) + b"x"])
def test_what_is_no_header_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        journal.parse_header(data)
